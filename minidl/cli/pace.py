"""How fast a part of the work goes, and how long the rest of it will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts units of work and the time they take.

    The first unit does not count: it reads files, loads code and takes memory for the first time. Nor does
    the time between :meth:`pause` and :meth:`go_on`, in which kernels are compiled. Both happen once, and
    multiplied by a thousand steps they made hours out of minutes.

    Args:
        total: units in all.
        done: those that are behind us already.
        clock: gives seconds.

    >>> seconds = iter([20.0, 30.0, 30.0])
    >>> pace = Pace(total=10, clock=lambda: next(seconds))
    >>> pace.advance()  # after 20 s, most of which were compiling
    >>> pace.left is None
    True
    >>> pace.advance(2)
    >>> pace.left  # at 5 seconds a unit
    35.0
    """

    def __init__(self, total: int, done: float = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.clock = total, float(done), clock
        self._first: float | None = None  # units behind us when counting began,
        self._began = 0.0  # and when that was
        self._lost = 0.0  # seconds of pauses since then
        self._paused: float | None = None

    def advance(self, amount: float = 1) -> None:
        """So many units more are done."""
        self.done += amount
        if self._first is None:
            self._first, self._began, self._lost = self.done, self.clock(), 0.0

    def pause(self) -> None:
        """What happens from here on is no part of the work."""
        self._paused = self.clock()

    def go_on(self) -> None:
        """The work goes on."""
        if self._paused is not None:
            self._lost += self.clock() - max(self._paused, self._began)
            self._paused = None

    @property
    def rate(self) -> float | None:
        """Units a second; None before two of them are done."""
        if self._first is None or self.done == self._first:
            return None
        now = self.clock() if self._paused is None else max(self._paused, self._began)
        return (self.done - self._first) / max(now - self._began - self._lost, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take; None while there is no telling."""
        if self.done > self.total - 1e-6:
            return 0.0
        rate = self.rate
        return None if rate is None else (self.total - self.done) / rate


def clock_time(seconds: float | None) -> str:
    """As a person reads it.

    >>> clock_time(61), clock_time(3600), clock_time(None)
    ('01:01', '1:00:00', '?')
    """
    if seconds is None:
        return "?"
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute:02}:{second:02}"
