"""Numbers on the command line: each has an upper bound, so that a slip is a line, not a full memory."""

from __future__ import annotations

from typing import Any

import click

from minidl.kernels.threads import available_cores

#: Largest values of what has no natural end.
STEPS, EPOCHS, IMAGES, SIDE, CHANNELS, ROUNDS = 10**9, 10**6, 2**16, 2**15, 2**12, 10**6
CLASSES, SEED, RATE = 2**16, 2**64 - 1, 1e6
#: Threads: tests and comparisons want a few more than there are cores, nobody wants thousands.
THREADS = max(64, 4 * available_cores())


class Whole(click.IntRange):
    """A whole number of digits 0 to 9, from ``least`` to ``most``; ``int`` takes other digits, and "1_0"."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        text = value.strip() if isinstance(value, str) else ""
        if text and not (text.isascii() and text.lstrip("+-").isdigit()):
            self.fail(f"{value[:40]!r} is not a whole number.", param, ctx)
        if len(text) > 40:
            self.fail(f"{text[:20]}... is not in the range {self.min}<=x<={self.max}.", param, ctx)
        return super().convert(value, param, ctx)


class Real(click.FloatRange):
    """A finite number from ``least`` to ``most``; NaN is none."""

    def __init__(self, least: float, most: float, above: bool = False, below: bool = False) -> None:
        super().__init__(least, most, min_open=above, max_open=below)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        if isinstance(value, str) and not (value.isascii() and "_" not in value):
            self.fail(f"{value[:40]!r} is not a number.", param, ctx)
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value} is not a number.", param, ctx)
        return found
