"""The one place from which commands write to the screen, or to the file that output goes to.

Names of files and classes may be anybody's, and so may what a checkpoint or a kernel's source says: nothing
in them may act on a terminal (`minidl._text`).
"""

from __future__ import annotations

import os
import sys

import click

from minidl._text import visible
from minidl.errors import InputError


def echo(*lines: str, err: bool = False, label: str = "") -> None:
    """Write lines, each with a line break after it, on which no character acts but the ones that are seen.

    Args:
        lines: what to write; a line break within one is written out as ``\\n``.
        err: to standard error.
        label: before the first line, in red on a terminal.

    Raises:
        InputError: standard output cannot be written to (its disk is full).
        BrokenPipeError: nobody reads it any more.
    """
    stream = sys.stderr if err else sys.stdout
    coding = getattr(stream, "encoding", None) or "utf-8"
    text = "\n".join(visible(line) for line in lines)
    text = text.encode(coding, "backslashreplace").decode(coding)
    colour = False if os.environ.get("NO_COLOR") else None  # None: if it is a terminal
    try:
        click.echo(click.style(label, fg="red") + text if label else text, err=err, color=colour)
    except BrokenPipeError:
        raise
    except OSError as error:
        if not err:  # else there is nobody who could be told: standard error may lie on the same full disk
            raise InputError(
                f"standard output: cannot be written ({error.strerror or error}); free some space, or send it"
                " elsewhere"
            ) from error
