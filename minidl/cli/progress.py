"""Progress bars on a terminal, plain lines elsewhere (a log file should not fill with bars)."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from minidl.cli.pace import Pace, clock_time
from minidl.cli.screen import echo
from minidl.kernels import compiling

#: Seconds of compiling before it is said: a kernel or two more are no reason for a line.
WORTH_A_LINE = 1.0
#: Seconds after which a log gets a line where nothing else was said.
SILENCE = 60.0
#: Seconds between two looks of a bar while kernels are compiled.
TICK = 0.5
#: Columns that are left to the bar itself, at least, before figures beside it are left out.
LEAST_BAR = 4


class Progress:
    """A `minidl.train.Reporter` for people, and the ``progress(done, total)`` callable that scans want.

    One bar at a time, on stderr, and only if that is a terminal. Messages go to stdout; in a file each has
    the time that has passed and the time that is left. Within a ``with`` block a line says when kernels are
    compiled: they are kept, so it is said in the first run alone.

    Args:
        images_per_step: what a step of training is worth, so that the bar can say images/s.
        unit: what is counted.
    """

    def __init__(self, images_per_step: int = 1, unit: str = " images") -> None:
        self.images_per_step = images_per_step
        self.unit = unit
        self.bar: _Bar | None = None
        self.name = ""
        self.pace = Pace(0)  # of this phase
        self.training: Pace | None = None  # with the validations between its phases
        self.compiling = False
        self._began = self._last_said = time.monotonic()
        self._compiled, self._compiling_since = 0.0, 0.0
        self._said_compiling = False
        self._watch = contextlib.ExitStack()
        self._ended = threading.Event()

    def __enter__(self) -> Progress:
        self._watch.enter_context(compiling.watching(self._told_of_compiling))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()
        self._ended.set()
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A new bar."""
        self.close()
        self.name = name
        self.pace = Pace(total, done)
        before = self.training
        if name == "training" and (before is None or (before.total, before.done) != (total, done)):
            self.training = self.pace
        self.bar = _Bar(
            self,
            total=total * self.images,
            initial=done * self.images,
            desc=name,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            miniters=0,  # looked at with every part of a unit; drawn ten times a second at most
            disable=not sys.stderr.isatty(),
        )

    @property
    def images(self) -> int:
        """What a unit of this phase is worth."""
        return self.images_per_step if self.name == "training" else 1

    def advance(self, amount: float = 1, **figures: Any) -> None:
        """Move the bar, by parts of a unit, too, and show the figures beside it."""
        if self.bar is None:
            return
        self.pace.advance(amount)
        if self.name == "training" and self.training is not None and self.training is not self.pace:
            self.training.advance(amount)
        if figures:
            self.bar.figures = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.bar.update(amount * self.images)
        if self.bar.disable and time.monotonic() - self._last_said > SILENCE:
            self.message(f"{self.name} {_whole(self.pace.done)}/{self.pace.total}")

    def left(self, *phases: str) -> float | None:
        """Seconds that this phase will take, or in one of these phases the whole training."""
        pace = self.training if self.name in phases and self.training is not None else self.pace
        return pace.left

    def message(self, text: str) -> None:
        """Lines above the bar; in a log the first one has the times, unless it is a note."""
        first, *more = text.split("\n")
        if not sys.stdout.isatty() and self.pace.total and not first.startswith(("note:", "warning:")):
            first += self._times()
        self._say(first, *more)

    def _times(self) -> str:
        left = self.left("training", "validating")
        return f"  [{clock_time(time.monotonic() - self._began)} elapsed, {clock_time(left)} left]"

    def _say(self, *lines: str) -> None:
        self._last_said = time.monotonic()
        if self.bar is not None and not self.bar.disable:
            self.bar.clear()  # tqdm.write would do that only for bars on stdout
            echo(*lines)
            self.bar.refresh()
        else:
            echo(*lines)

    def counter(self, name: str) -> Any:
        """A ``progress(done, total)`` callable with a bar of its own."""

        def progress(done: int, total: int) -> None:
            if self.bar is None or self.name != name:
                self.phase(name, total)
            self.advance(done - self.pace.done)

        return progress

    def _told_of_compiling(self, begins: bool) -> None:
        """See `minidl.kernels.compiling.watching`."""
        now = time.monotonic()
        if begins:
            self._compiling_since = now
        else:
            self._compiled += now - self._compiling_since
        for pace in {self.pace, self.training or self.pace}:
            (pace.pause if begins else pace.go_on)()
        if self._compiled < WORTH_A_LINE:
            return
        self.compiling = begins
        if not self._said_compiling:
            self._said_compiling = True
            self._say(about_compiling())
            if self.bar is not None and not self.bar.disable:
                threading.Thread(target=self._tick, name="minidl-compiling", daemon=True).start()

    def _tick(self) -> None:
        """Let the seconds of compiling be seen to pass: one kernel can take ten of them."""
        while not self._ended.wait(TICK):
            if self.compiling and self.bar is not None:
                self.bar.refresh()

    @property
    def compiled(self) -> float:
        """Seconds of compiling so far."""
        return self._compiled + (time.monotonic() - self._compiling_since if self.compiling else 0.0)


def about_compiling() -> str:
    """Whether it is once depends on whether the code can be kept; why not, a note of its own says."""
    from minidl.kernels.cpu import kept_for_good

    if kept_for_good():
        return "compiling kernels, once (half a minute or so); later runs start at once"
    return "compiling kernels (half a minute or so)"


def _whole(done: float) -> int:
    """Units that are done, of which parts were added up: three thirds may be a little less than one."""
    return int(done + 1e-6)


class _Bar(tqdm):
    """tqdm's bar, with the figures of a :class:`Progress` beside it: as many as there is room for."""

    def __init__(self, owner: Progress, **options: Any) -> None:
        self.owner, self.figures = owner, ""
        super().__init__(**options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """tqdm asks for it whenever it draws."""
        values = dict(super().format_dict)
        done, total = values["n"], values["total"]
        head = f"{values['prefix']} {100 * done / max(total, 1):3.0f}% |"
        columns = values["ncols"] or 80
        for tail in self._tails(f"{_whole(done)}/{total}"):
            if len(head) + LEAST_BAR + len(tail) <= columns:
                break
        values["bar_format"] = head + "{bar}" + tail
        return values

    def _tails(self, count: str) -> list[str]:
        """What stands behind the bar, the longest first."""
        owner = self.owner
        if owner.compiling:
            spent = clock_time(owner.compiled)
            full = f"| {count} [compiling kernels, {spent}]"
            return [full, f"| compiling kernels, {spent}", f"| compiling, {spent}", f"| {spent}", "|"]
        rate = owner.pace.rate
        # Always images/s, where tqdm would turn slow rates around into s/images.
        speed = f"{'?' if rate is None else f'{rate * owner.images:5.2f}'}{owner.unit}/s"
        time_left = clock_time(owner.left("training"))
        left = f"{time_left} left"
        figures = f", {self.figures}" if self.figures else ""
        return [
            f"| {count} [{speed}, {left}{figures}]",
            f"| {count} [{left}{figures}]",
            f"| {count} [{left}]",
            f"| {left}",
            f"| {time_left}",
            "|",
        ]
