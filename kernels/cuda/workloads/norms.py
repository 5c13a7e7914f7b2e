"""Normalisation of groups, for each number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from minidl.kernels.cuda import normalize
from minidl.kernels.cuda.workloads.workload import Workload, drawn

PLANES, ROWS = (4, 8, 256), (64, 64, 1)
EVERYTHING = (True, True, True)


def norms() -> Iterator[Workload]:
    """Batch normalisation of planes; of rows the sums for the parameters.

    Statistics: an addition; a difference, a square, an addition. Applied: a difference, the scale, weight and
    bias. Means: h, x̂ by two, their product, two additions. Parameters: x̂, a product, two additions. Input: h
    and x̂, a product, a sum and a difference, the scale.
    """
    x, g = drawn(PLANES, PLANES)
    weight, bias = drawn(PLANES[1:2], PLANES[1:2])
    mean, var = normalize.statistics(x, None)
    inv_std = var + 1
    shape = normalize.grouped(PLANES, None)
    merged = (
        normalize.pieces(shape) * 8 * shape.number
    )  # what the warps of version 3 leave: ten operations each
    for version in normalize.STATISTICS:
        flops: dict[str, float] = {f"normalize_statistics_{version}": 4}
        if version == "v3":
            flops = {"normalize_moments_v3": 4, "normalize_statistics_v3": 10 * merged / x.size}
        yield Workload(partial(normalize.statistics, x, None, version=version), x.size, flops)
    given = (mean, inv_std, None)
    for version in normalize.APPLY:
        yield Workload(partial(normalize.apply, x, weight, bias, *given, version=version), x.size, 4)
        yield Workload(partial(normalize.group_means, g, x, weight, *given, version=version), x.size, 6)
        means = normalize.group_means(g, x, weight, *given)
        back = partial(normalize.towards_input, g, x, weight, mean, inv_std, means, None, version=version)
        yield Workload(back, x.size, 7)
    yield Workload(partial(normalize.parameters, g, x, *given, EVERYTHING, version="v1"), x.size, 5)
    rows, cotangents, s = drawn(ROWS, ROWS, (ROWS[0],))
    of_rows = partial(normalize.parameters, cotangents, rows, s, s, 1, EVERYTHING, version="v2")
    yield Workload(of_rows, rows.size, 5)
