"""The three streams that every program is given, where they are not given, or go away."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


def open_missing() -> None:
    """Where stdin, stdout or stderr are closed (``2>&-``), the null device takes their place.

    Without it the next file that is opened gets the number of the missing stream, and what anything prints
    lands in that file; Python itself sets the stream to None.
    """
    if os.name == "posix":
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (for good)


def write_anything() -> None:
    """What the encoding of standard output does not have is written as an escape, whoever writes it.

    What commands write goes through `minidl.cli.screen`, which sees to this itself; but kernels that are
    checked print, and so may libraries, and a line that cannot be encoded would end a command after its work.
    """
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            with contextlib.suppress(AttributeError, OSError, ValueError):  # no file, or in use for reading
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextlib.contextmanager
def libraries_silent() -> Iterator[None]:
    """What Pillow warns of and logs about a file stays off the screen.

    Such a file gets one line of ours, or is good enough. What others warn of goes on.
    """
    heard = logging.NullHandler()  # without any handler, logging itself prints
    log = logging.getLogger("PIL")
    log.addHandler(heard)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            yield
    finally:
        log.removeHandler(heard)


def leave_terminal() -> None:
    """Print no more to a terminal that has hung up, where every line would be an input/output error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
            if os.isatty(stream.fileno()) or _is_dead(stream.fileno()):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def _is_dead(number: int) -> bool:
    """A terminal that has hung up does not say any more that it is one."""
    try:
        os.write(number, b"")
    except OSError:
        return True
    return False
