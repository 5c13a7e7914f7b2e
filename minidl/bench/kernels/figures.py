"""From a record's samples to figures: medians, rates, shares of the roofline. Nothing is measured here."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from minidl.bench.kernels.contestants import OWN

Record = dict[str, Any]


class Limits(NamedTuple):
    """What bounds a place: FLOP/s and bytes/s; None where it is not known."""

    flops: float | None
    bandwidth: float | None

    def bound(self, flops: int, size: int) -> float | None:
        """Seconds that something takes at least; None if a limit is missing that it needs."""
        if self.bandwidth is None or (flops and self.flops is None):
            return None
        return max(flops / self.flops if self.flops else 0.0, size / self.bandwidth)


class Figure(NamedTuple):
    """A contestant's figures for a case.

    Attributes:
        name: of the contestant.
        backend, place: where it belongs.
        seconds: median of its turns.
        quartiles: first and third.
        flops, bandwidth: the case's FLOPs and least bytes over that time.
        share: of the roofline: the time that the limits allow over its own; None where they are not known.
        note: for people.
    """

    name: str
    backend: str
    place: str
    seconds: float
    quartiles: tuple[float, float]
    flops: float
    bandwidth: float
    share: float | None
    note: str


def limits(record: Record) -> dict[str, Limits]:
    """Of each place that was measured.

    On the CPU they are this machine's own rates in the same run, SGEMM and copying; of a GPU its measured
    copy rate, and what its data sheet says of float32.

    Args:
        record: all of it.
    """
    best: dict[str, float] = {}
    for measured in record["cases"]:
        for name, row in measured["gauge"].items():
            best[name] = max([best.get(name, 0.0), *row])
    found = {"cpu": Limits(best.get("sgemm"), best.get("copy"))}
    if gpu := record["gpu"]:
        sheet = gpu["data_sheet"]
        found["gpu"] = Limits(sheet["flops"] if sheet else None, gpu["copy"])
    return found


def figures(measured: Record, allowed: dict[str, Limits]) -> list[Figure]:
    """Of everyone who was timed, in the order of their turns.

    Args:
        measured: one case of the record.
        allowed: from :func:`limits`.
    """
    found = []
    for name, side in measured["contestants"].items():
        if not side.get("samples"):
            continue
        seconds = statistics.median(side["samples"])
        bound = allowed[side["place"]].bound(measured["flops"], measured["bytes"])
        share = None if bound is None else bound / seconds
        notes = [side["note"], "bound by the host" if side["bound_by_host"] else ""]
        found.append(
            Figure(
                name,
                side["backend"],
                side["place"],
                seconds,
                quartiles(side["samples"]),
                measured["flops"] / seconds,
                measured["bytes"] / seconds,
                share,
                ", ".join(filter(None, notes)),
            )
        )
    return found


def quartiles(samples: list[float]) -> tuple[float, float]:
    """First and third.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0]), quartiles([7.0])
    ((2.0, 4.0), (7.0, 7.0))
    """
    if len(samples) == 1:
        return samples[0], samples[0]
    quarters = statistics.quantiles(samples, n=4, method="inclusive")
    return quarters[0], quarters[2]


def best(found: list[Figure], place: str, own: bool) -> Figure | None:
    """The fastest on one side of the bus: of minidl's without the reference, or of the others.

    Args:
        found: a case's figures.
        place: "cpu" or "gpu".
        own: whether minidl's are asked for.
    """
    chosen = [f for f in found if f.place == place and (f.backend in OWN) == own and f.backend != "numpy"]
    return min(chosen, key=lambda f: f.seconds, default=None)


def reference(found: list[Figure]) -> Figure | None:
    """The reference's figures.

    Args:
        found: a case's figures.
    """
    return next((f for f in found if f.backend == "numpy"), None)
