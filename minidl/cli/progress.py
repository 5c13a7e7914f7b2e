"""Progress bars on a terminal, plain lines elsewhere (a log file should not fill with bars)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

from minidl.cli.screen import echo

#: rate_noinv_fmt: always images/s, where tqdm would turn slow rates around into s/images.
BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{rate_noinv_fmt}, {remaining} left{postfix}]"


class Progress:
    """A `minidl.train.Reporter` for people, and the ``progress(done, total)`` callable that scans want.

    One bar at a time, on stderr, and only if that is a terminal. Messages go to stdout.

    Args:
        images_per_step: what a step of training is worth, so that the bar can say images/s.
        unit: what is counted.
    """

    def __init__(self, images_per_step: int = 1, unit: str = " images") -> None:
        self.images_per_step = images_per_step
        self.unit = unit
        self.bar: Any = None
        self.name = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        self.bar = tqdm(
            total=total * self._images(),
            initial=done * self._images(),
            desc=name,
            unit=self.unit,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            bar_format=BAR,
        )

    def _images(self) -> int:
        return self.images_per_step if self.name == "training" else 1

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """Move the bar and show the figures beside it."""
        if self.bar is None:
            return
        if figures:
            text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
            self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(amount * self._images())

    def message(self, text: str) -> None:
        """Lines above the bar."""
        if self.bar is not None and not self.bar.disable:
            self.bar.clear()  # tqdm.write would do that only for bars on stdout
            echo(*text.split("\n"))
            self.bar.refresh()
        else:
            echo(*text.split("\n"))

    def counter(self, name: str) -> Any:
        """A ``progress(done, total)`` callable with a bar of its own."""

        def progress(done: int, total: int) -> None:
            if self.bar is None or self.name != name:
                self.phase(name, total)
            self.advance(done - self.bar.n)

        return progress
