"""The folder of a run: new or resumed, made when training begins, taken away again if nothing came of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from minidl import _outputs
from minidl._recognise import is_ours
from minidl.errors import InputError

#: What a training writes, and what the commands add.
FILES = ("last.safetensors", "best.safetensors", "config.json", "history.csv", "history.png")
PICTURES = "val.png"

#: Of the last checkpoint: which file it is, when it was written and its size; None: there is none.
Signature = tuple[int, int, int] | None


def check(
    out: Path,
    resume: bool,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    data: Path | None = None,
) -> None:
    """A run's folder is new, or resumed; nothing of anybody else's lies there, and nobody else writes there.

    Args:
        out: the folder.
        resume: go on with the run in it.
        overwrite: replace files that minidl has not written (never a run).
        inputs: files that are read.
        data: the folder of the data set.

    Raises:
        InputError: it holds a run and should not, or the other way round; or what
            :func:`minidl._outputs.check` says.
    """
    there = (out / "last.safetensors").exists()
    if resume and not there:
        raise InputError(
            f"{out}: holds no run to go on with (no last.safetensors); leave out --resume, or correct --out"
        )
    _outputs.check(out, (*FILES, PICTURES), overwrite, inputs, data)
    if there and not resume and not (overwrite and not is_ours(out / "last.safetensors")):
        raise InputError(f"{out}: holds a run already; use --resume to go on with it, or give another --out")


def signature(out: Path) -> Signature:
    """Of ``last.safetensors``, to notice that another process has written it."""
    try:
        found = os.stat(out / "last.safetensors")
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def check_unchanged(out: Path, seen: Signature) -> None:
    """Nobody has trained in this folder since a checkpoint of it was read or written here.

    Raises:
        InputError: somebody has.
    """
    if signature(out) != seen:
        raise InputError(
            f"{out}: another process has trained here meanwhile; go on from there with --resume, or give"
            " another --out"
        )
