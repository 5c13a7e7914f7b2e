"""SIGKILL at random moments of a training and in the middle of its writes, resumed each time"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from attacks.bench import Bench
from soak.kills import EVERY, soak

MEANS = "every bit of every file is that of the training that was not killed"
COUNT = 20


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """A training of so many kills, as `soak.kills` does it."""
    folder = Path(bench.folder) / "soak"
    folder.mkdir()
    found: dict[str, Any] = {"kills": [None] * count}
    why = ""
    try:
        found = soak(folder, kills=count, seed=rng.randrange(2**31), steps=max(8, 3 * count) * EVERY)
    except AssertionError as error:
        why = str(error)[:500] or "differs"
    for _ in found["kills"]:
        bench.judge("killed and resumed", why)
