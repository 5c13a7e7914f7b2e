"""Ctrl-C, SIGTERM (which schedulers send) and SIGHUP (the terminal is gone): finish the step, save, and say
how to go on."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from minidl.cli import streams
from minidl.cli.progress import Progress
from minidl.cli.screen import echo
from minidl.train.trainer import Trainer


def _signals() -> list[int]:
    """Those that ask to stop. Whoever started the program under nohup wants it to outlive its terminal."""
    hangup: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
    ignored = hangup is None or signal.getsignal(hangup) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored or hangup is None else [hangup])]


class Stop:
    """Whether the person, or a scheduler, asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def asked(self) -> bool:
        """What `minidl.train.Trainer.run` wants to know."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """As a shell reports it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """The first SIGINT, SIGTERM or SIGHUP is noted, for the loop to stop between steps.

    The next SIGINT or SIGTERM acts at once.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield stop
        return
    previous: dict[int, Any] = {}
    signals = _signals()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        # Python's own handlers, not the previous ones: a shell starts background jobs with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for other in signals[1:]:
            signal.signal(other, signal.SIG_DFL)
        if number not in (signal.SIGINT, signal.SIGTERM):
            # A program that outlives its terminal is sent the signal more than once, and cannot print there.
            signal.signal(number, signal.SIG_IGN)
            streams.leave_terminal()
        # Not through sys.stderr: the signal may have come in the middle of a print to it.
        with contextlib.suppress(OSError, ValueError):
            text = "\nfinishing this step and saving (Ctrl-C again to stop at once)\n"
            os.write(sys.stderr.fileno(), text.encode())

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in signals:
        previous[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def stops_at_once() -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, also in the background of a shell, which ignores
    SIGINT."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        if number not in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it is sent more than once
            streams.leave_terminal()
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()  # as above
    previous = {n: signal.signal(n, note) for n in _signals()} if here else {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def train_or_stop(trainer: Trainer, stop: Stop, go_on: list[str], progress: Progress) -> bool:
    """Train to the end (True), or until asked to stop; then say what is saved, and how to go on (False).

    ``go_on`` is the command that does.
    """
    try:
        if trainer.run(stop.asked):
            return True
        said = f"stopped after step {trainer.step}, everything is saved; go on with:"
    except KeyboardInterrupt:  # the second one
        said = "stopped; go on from the last checkpoint with:"
    progress.close()
    if not (trainer.out / "last.safetensors").exists():
        echo("stopped before anything was saved", err=True)
        return False
    echo(said, err=True)
    echo(f"  {shlex.join(go_on)}", err=True)
    return False
