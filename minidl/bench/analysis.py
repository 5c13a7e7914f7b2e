"""From samples to figures: medians, the fastest peer, ratios, shares of the machine's rates, verdicts.

Everything here takes parts of the record that ``results.json`` holds, and measures nothing.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from minidl.bench.alternate import total
from minidl.bench.contestants import MINIDL, OWN
from minidl.bench.costs import cost
from minidl.bench.goals import FIRST_STEP, MEMORY, WARM_STEP, Goal
from minidl.bench.workloads import find

#: A contestant that uses more than this share of a core while the others have their turns is reported.
SPINNING = 0.1


@dataclass
class Figures:
    """What a workload's samples say.

    Attributes:
        seconds: median of a round, for each contestant that was measured.
        best: the fastest peer; None without one.
        ratio: its time over minidl's; None without both.
        spread: first and third quartile of the ratios of the rounds.
        parts: the same ratio for forward and backward alone, where they were timed apart.
        verdict: on the ratio.
        sgemm: minidl's FLOPs (by direct convolution) as a share of what the SGEMM rate allows.
        copy: minidl's least traffic as a share of what the copy rate allows.
        notes: what a reader must know: failures, unequal work.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    best: str | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    parts: dict[str, float] = field(default_factory=dict)
    verdict: str = ""
    sgemm: float | None = None
    copy: float | None = None
    notes: list[str] = field(default_factory=list)


def figures(measured: dict[str, Any], quick: bool = False) -> Figures:
    """The figures of one workload.

    Args:
        measured: its part of the record.
        quick: whether the record is of a quick run, whose shapes are smaller.
    """
    result = Figures()
    sides = measured["contestants"]
    for name, side in sides.items():
        result.notes.extend(_notes(name, side))
        if side["status"] == "measured":
            result.seconds[name] = statistics.median(total(side["parts"]))
    peers = [name for name in result.seconds if name not in OWN]
    ours = result.seconds.get(MINIDL)
    if peers:
        result.best = min(peers, key=lambda name: result.seconds[name])
    workload = find(measured["name"], quick)
    if ours is None:
        return result
    if result.best is not None:
        result.ratio = result.seconds[result.best] / ours
        result.spread = _quartiles(sides[result.best]["parts"], sides[MINIDL]["parts"])
        result.parts = _part_ratios(sides, peers)
        if workload.goal is not None:
            result.verdict = workload.goal.verdict(result.ratio)
    least, rates = cost(workload), measured["gauge"]
    if rates.get("sgemm") and least.flops:
        result.sgemm = least.flops / ours / max(rates["sgemm"])
    if rates.get("copy"):
        result.copy = least.bytes / ours / max(rates["copy"])
    return result


def _notes(name: str, side: dict[str, Any]) -> list[str]:
    """What went wrong with a contestant."""
    if side["status"] not in ("measured", "not installed"):
        return [f"{name}: {side['status']}"]
    # Some rounds are so short that a single tick of the clock is a large share of them.
    if side["status"] == "measured" and side["idle_share"] > SPINNING:
        return [f"{name} used {side['idle_share']:.0%} of a core while the others had their turns"]
    return []


def _quartiles(theirs: dict[str, list[float]], ours: dict[str, list[float]]) -> tuple[float, float]:
    """Of the ratios of the rounds: what a neighbour of ours on the machine does meets both."""
    ratios = sorted(a / b for a, b in zip(total(theirs), total(ours), strict=True))
    if len(ratios) == 1:
        return ratios[0], ratios[0]
    quarters = statistics.quantiles(ratios, n=4, method="inclusive")
    return quarters[0], quarters[2]


def _part_ratios(sides: dict[str, Any], peers: list[str]) -> dict[str, float]:
    """Forward and backward apart, each beside the peer that is the fastest at it."""
    ours = sides[MINIDL]["parts"]
    if len(ours) < 2:
        return {}
    return {
        part: min(statistics.median(sides[name]["parts"][part]) for name in peers) / statistics.median(row)
        for part, row in ours.items()
    }


@dataclass
class Mark:
    """A figure that has a goal but is no ratio of times.

    Attributes:
        title: what it is.
        value: the figure, None if it was not measured.
        goal: its marks.
        unit: behind the figure.
    """

    title: str
    value: float | None
    goal: Goal
    unit: str = ""

    @property
    def verdict(self) -> str:
        """Which mark is reached."""
        return "" if self.value is None else self.goal.verdict(self.value)


def memory_mark(measured: dict[str, Any]) -> Mark:
    """minidl's peak memory over that of the more frugal of torch's settings.

    Args:
        measured: one entry of the record's ``memory``.
    """
    peaks = {name: row["peak"] for name, row in measured["contestants"].items() if "peak" in row}
    torch = [peak for name, peak in peaks.items() if name in ("torch", "torch-channels-last")]
    value = peaks[MINIDL] / min(torch) if torch and MINIDL in peaks else None
    return Mark(f"peak memory, {measured['title']}, minidl / PyTorch", value, MEMORY)


def start_marks(measured: dict[str, Any]) -> list[Mark]:
    """First steps with an empty and with a warm compile cache.

    Args:
        measured: the record's ``startup``.
    """
    cold, warm = measured.get("empty"), measured.get("warm")
    first = cold["warm_up"][0] if cold else None
    beyond = warm["warm_up"][0] - statistics.median(warm["later"]) if warm else None
    return [
        Mark("first step after an installation", first, FIRST_STEP, "s"),
        Mark("first step with a warm cache, beyond a later step", beyond, WARM_STEP, "s"),
    ]


def best_rates(record: dict[str, Any]) -> dict[str, float]:
    """The highest SGEMM and copy rate of the whole run (FLOP/s, bytes/s).

    Args:
        record: all of it.
    """
    rates: dict[str, float] = {}
    for measured in record["workloads"]:
        for name, row in measured["gauge"].items():
            rates[name] = max([rates.get(name, 0.0), *row])
    return rates
