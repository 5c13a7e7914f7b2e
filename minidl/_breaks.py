"""Ctrl-C while the command line starts, and while it ends: one line, and exit code 130.

An import that is interrupted ends in a traceback of many lines, or in another error, if code in the middle of
it takes the interruption for a failure of its own. A command that is still importing has made nothing that
could be lost, so it may end on the spot. ``minidl/__init__.py`` imports this module first, since all that a
command needs is imported after it; `minidl.cli` says when work begins, which then cleans up after itself.

Only in a process that *is* the command line: a program that imports minidl keeps its signals. SIGTERM needs
no help: what Python does by default is to end without a word, and a shell reports 143.
"""

from __future__ import annotations

# No more than these: until the end of this file an interruption is still Python's own.
import os
import signal
import sys
from types import FrameType

CTRL_C = 128 + 2  # as a shell reports a process that SIGINT ended


def _is_command_line() -> bool:
    """Whether this is ``python -m minidl`` or the installed script.

    A process that another one has started to help it (`multiprocessing`) is told the other's ``sys.argv``:
    what it was really started with must name minidl.
    """
    if not 0 < len(sys.argv) <= len(sys.orig_argv):
        return False
    started = sys.orig_argv[-len(sys.argv)]
    if sys.argv[0] == "-m":  # as long as Python looks for the module
        return started.removeprefix("-m") == "minidl"
    name = os.path.basename(started)
    return started == sys.argv[0] and name.removesuffix(".exe").removesuffix("-script.py") == "minidl"


def leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """End this process, whatever it is doing."""
    try:
        os.write(2, b"minidl: stopped\n")  # not through sys.stderr, which may be in the middle of a line
    finally:  # that may be closed
        os._exit(CTRL_C)


def _handle(old: signal._HANDLER, new: signal._HANDLER) -> bool:
    """Change what Ctrl-C does, if it does ``old``: whoever ignores it, or sees to it, goes on doing so."""
    if signal.getsignal(signal.SIGINT) is not old:
        return False
    try:
        signal.signal(signal.SIGINT, new)
    except ValueError:  # not the main thread
        return False
    return True


#: Whether Ctrl-C is this module's concern.
_here = _is_command_line() and _handle(signal.default_int_handler, leave)


def begin_work() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt again: there may be something to clean up."""
    if _here:
        _handle(leave, signal.default_int_handler)


def end_work() -> None:
    """The command is done: whatever Python still does until the process ends, Ctrl-C cuts it off."""
    if _here:
        _handle(signal.default_int_handler, leave)


class importing:
    """Within this block Ctrl-C ends the process at once, as before the work began."""

    def __enter__(self) -> None:
        self._changed = _here and _handle(signal.default_int_handler, leave)

    def __exit__(self, *exc: object) -> None:
        if self._changed:
            _handle(leave, signal.default_int_handler)
