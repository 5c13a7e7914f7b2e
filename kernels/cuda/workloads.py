"""The workloads whose bytes are counted for the tables (``tables.py``): small, but larger than a tile.

Counted are the bytes that threads load and store, and those of the 32-byte sectors that their warps touch in
doing so, before any cache; FLOPs are those of the definition, two for each multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from minidl.kernels.cuda import (
    conv2d_depthwise,
    conv2d_direct,
    conv2d_implicit,
    conv2d_winograd,
    gemm,
    unfold,
)
from minidl.kernels.cuda.conv2d_geometry import Geometry

#: Bytes that global memory gives or takes at least.
SECTOR = 32

#: m, n, k of the product.
PRODUCT = (128, 128, 32)

#: 32 filters of 3x3 over 8 channels, and as many groups as channels.
CONVOLUTION = Geometry((1, 8, 16, 16), (32, 8, 3, 3), (16, 16), (1, 1), (1, 1), (1, 1), 1)
DEPTHWISE = Geometry((1, 8, 16, 16), (8, 1, 3, 3), (16, 16), (1, 1), (1, 1), (1, 1), 8)

#: What to run, outputs, FLOPs of each.
Workload = tuple[Callable[[], Any], int, float]


def _draw(*shapes: tuple[int, ...]) -> list[Any]:
    import minidl.kernels.sim.cupy as simulated

    rng = np.random.default_rng(0)
    return [simulated.asarray(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def _products() -> Iterator[Workload]:
    m, n, k = PRODUCT
    a, b = _draw((1, 1, m, k), (1, 1, k, n))
    left, right = gemm.matrices(a), gemm.matrices(b)
    for version in gemm.VERSIONS:
        yield partial(gemm.multiply, left, right, PRODUCT, 1, 1, version=version), m * n, 2 * k


def _columns() -> Iterator[Workload]:
    s = CONVOLUTION
    window = (s.kernel, s.out, s.stride, s.padding, s.dilation)
    x, col = _draw(s.x_shape, (1, s.taps, prod(s.out)))
    for version in unfold.VERSIONS:
        yield partial(unfold.forward, x, *window, version=version), col.size, 0
        yield partial(unfold.backward, col, s.x_shape, *window, version=version), x.size, prod(s.kernel)


def _convolutions() -> Iterator[Workload]:
    for s, modules in (
        (CONVOLUTION, (conv2d_direct, conv2d_implicit, conv2d_winograd)),
        (DEPTHWISE, (conv2d_depthwise,)),
    ):
        x, weight, g = _draw(s.x_shape, s.weight_shape, s.y_shape)
        data = 2 * s.filters * prod(s.kernel)
        for module in modules:
            for version in getattr(module, "VERSIONS", (None,)):
                named = {} if version is None else {"version": version}
                yield partial(module.forward, x, weight, None, s, **named), g.size, 2 * s.taps
            if module in (conv2d_direct, conv2d_depthwise):
                yield partial(module.backward_data, g, weight, s), x.size, data
            if module is not conv2d_winograd:
                yield partial(module.backward_weight, g, x, s), weight.size, 2 * s.pixels
        yield partial(conv2d_direct.backward_bias, g), s.weight_shape[0], s.pixels


def count() -> dict[str, dict[str, float]]:
    """Bytes and FLOPs for each output, by kernel."""
    from minidl.kernels.sim import checked

    found: dict[str, dict[str, float]] = {}
    for workloads in (_products(), _columns(), _convolutions()):
        for run, outputs, flops in workloads:
            with checked(count=True) as records:
                run()
            for record in records:
                sectors = sum(line.pieces for line in record.lines if line.memory == "global")
                row: dict[str, float] = {
                    "bytes": round(record.total("global") / outputs, 4),
                    "moved": round(sectors * SECTOR / outputs, 4),
                    "bank_conflicts": record.bank_conflicts,
                }
                if flops and not record.kernel.startswith(("winograd", "conv2d_taps")):
                    row["flops"] = flops
                found.setdefault(record.kernel, row)
    return found
