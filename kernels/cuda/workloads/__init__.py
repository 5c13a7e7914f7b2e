"""The workloads whose bytes are counted for the tables (``tables.py``): small, but larger than a tile.

Counted are the bytes that threads load and store, and those of the 32-byte sectors that their warps touch in
doing so, before any cache. FLOPs are those that the result is defined by, two for each multiply-add; a
comparison, a quotient, a root and a function such as the exponential are one. What a version computes anew,
and taps that fall on padding, count as the definition has them; the transforms of Winograd's algorithm, which
the definition does not know, as they are written. Integers count nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from minidl.kernels.cuda.workloads import classes, convolutions, elementwise, norms, pooling
from minidl.kernels.cuda.workloads.workload import Workload

#: Bytes that global memory gives or takes at least.
SECTOR = 32


def workloads() -> Iterator[Workload]:
    """All of them."""
    families = (
        (convolutions.products, convolutions.columns, convolutions.by_definition, convolutions.winograd),
        (pooling.max_pool, pooling.avg_pool, pooling.adaptive, pooling.resampling, pooling.unpooling),
        (classes.lines, classes.losses, classes.pairs, norms.norms),
        (elementwise.pointwise, elementwise.sums, elementwise.steps),
    )
    for family in chain.from_iterable(families):
        yield from family()


def count() -> dict[str, dict[str, float]]:
    """Bytes and FLOPs for each output, by kernel: of all its launches in the first workload that has any."""
    from minidl.kernels.sim import checked

    found: dict[str, dict[str, float]] = {}
    for workload in workloads():
        with checked(count=True) as records:
            workload.run()
        for kernel in dict.fromkeys(record.kernel for record in records):
            own = [record for record in records if record.kernel == kernel]
            pieces = sum(line.pieces for record in own for line in record.lines if line.memory == "global")
            row: dict[str, float] = {
                "bytes": round(sum(record.total("global") for record in own) / workload.outputs, 4),
                "moved": round(pieces * SECTOR / workload.outputs, 4),
                "bank_conflicts": sum(record.bank_conflicts for record in own),
                "flops": round(workload.flops_of(kernel), 4),
            }
            found.setdefault(kernel, row)
    return found
