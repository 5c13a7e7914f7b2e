"""What is known of the CUDA kernels without a GPU: registers, shared memory, occupancy, counted bytes.

Registers and shared memory are those of NVIDIA's compiler (``kernels/cuda/budget.json``), occupancy follows
from them; bytes and FLOPs for each output were counted by the simulator on a workload of its own
(``kernels/cuda/workloads/``, ``counts.json``). None of it is a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from minidl.bench.costs import Cost
from minidl.bench.kernels.cards import bounds
from minidl.bench.kernels.case import Call, Case

#: The pair of types whose figures are shown.
TYPES = "float, int"


class Known(NamedTuple):
    """One CUDA kernel.

    Attributes:
        file: its source.
        registers, occupancy: by architecture, for blocks as its launch bounds say.
        shared: bytes of static shared memory, by architecture.
        counts: for each output of the counted workload: "bytes", "moved" (of sectors), "flops"; may be empty.
    """

    file: str
    registers: dict[int, int]
    shared: dict[int, int]
    occupancy: dict[int, float]
    counts: dict[str, float]


@cache
def kernels() -> dict[str, Known]:
    """Every CUDA kernel by name.

    >>> kernels()["gemm_v5"].file, sorted(kernels()["gemm_v5"].registers)[:3]
    ('gemm.cu', [70, 75, 80])
    """
    from minidl.kernels.cuda import budget, tables

    counts = json.loads(tables.COUNTS.read_text(encoding="utf-8"))
    found = {}
    for key, by_types in budget.from_json(budget.BUDGET.read_text(encoding="utf-8")).items():
        file, _, name = key.partition(": ")
        uses = by_types[TYPES]
        registers, shared, occupancy = (
            {architecture: getattr(use, what) for architecture, use in uses.items()}
            for what in ("registers", "shared", "occupancy")
        )
        found[name] = Known(file, registers, shared, occupancy, counts.get(name, {}))
    return found


def for_record(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of these kernels, as JSON can hold it: what was known at the time of a run belongs to the run.

    Args:
        names: of kernels.
    """
    return {name: kernels()[name]._asdict() for name in names}


def from_record(record: dict[str, Any], name: str) -> Known:
    """What a record says of a kernel.

    Args:
        record: all of it; JSON has made strings of the architectures.
        name: of the kernel.
    """
    one: dict[str, Any] = record["kernels"][name]
    registers, shared, occupancy = (
        {int(architecture): value for architecture, value in one[what].items()}
        for what in ("registers", "shared", "occupancy")
    )
    return Known(one["file"], registers, shared, occupancy, one["counts"])


def versions(case: Case, call: Call, least: Cost) -> dict[str, dict[str, Any]]:
    """The kernels of each version of a case, and the predicted bounds on each card; for the record.

    Args:
        case: the function.
        call: its arguments: which kernels run may depend on their shapes.
        least: its FLOPs and bytes.
    """
    return {
        version.name: {
            "kernels": list(dict.fromkeys(version.launches(call))),
            "prediction": bounds(least, version.products),
        }
        for version in case.versions
    }
