"""What a training tells whoever watches."""

from __future__ import annotations

from typing import Any, Protocol


class Reporter(Protocol):
    """What the loop tells whoever watches: the command line draws bars, a notebook prints, a test counts."""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A part of the work begins: ``total`` units, of which ``done`` are behind us already."""

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """So many units are done; figures (loss, IoU) are what stands now."""

    def message(self, text: str) -> None:
        """One line for the person."""


class Silent:
    """Reports nothing."""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""
