"""Turns: every contestant runs once, then every one again, A B C A B C ..."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from minidl.bench.processes import WorkerError

#: Threads of a library wait a moment for more work before they sleep; the next one's turn starts after that.
PAUSE = 0.03


class Asked(Protocol):
    """What a turn needs of a contestant (tests use stand-ins)."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Its answer."""


class Samples:
    """What one contestant's turns gave.

    Attributes:
        parts: seconds of each part, one number a round.
        idle: processor seconds that it used while the others had their turns, one number a round.
        turns: seconds of each turn (a quick operation runs several times in one).
        error: why it stopped, if it did.
    """

    def __init__(self) -> None:
        self.parts: dict[str, list[float]] = {}
        self.idle: list[float] = []
        self.turns: list[float] = []
        self.error: str | None = None

    def add(self, reply: dict[str, Any]) -> None:
        """One turn."""
        for part, seconds in reply["parts"].items():
            self.parts.setdefault(part, []).append(seconds)
        self.idle.append(reply["idle"])
        self.turns.append(reply["turn"])


def alternate(
    contestants: Mapping[str, Asked],
    rounds: int,
    advance: Callable[[], None] = lambda: None,
    pause: float = PAUSE,
) -> dict[str, Samples]:
    """Let the contestants run in strict alternation.

    A machine that is shared, or that warms up, changes its speed from minute to minute: in turn, the change
    meets all alike. One that fails has no further turns; the others go on.

    Args:
        contestants: prepared ones, in the order of their turns.
        rounds: turns of each.
        advance: called after each turn.
        pause: seconds between turns.
    """
    samples = {name: Samples() for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            if samples[name].error is None:
                time.sleep(pause)
                _turn(contestant, samples[name])
            advance()
    return samples


def _turn(contestant: Asked, samples: Samples) -> None:
    try:
        samples.add(contestant.ask({"do": "go"}))
    except WorkerError as error:
        samples.error = str(error)


def total(parts: dict[str, list[float]]) -> list[float]:
    """Seconds of each round, all parts together.

    >>> total({"forward": [1.0, 2.0], "backward": [0.5, 0.5]})
    [1.5, 2.5]
    """
    return [sum(row) for row in zip(*parts.values(), strict=True)]
