"""Convolutions by each algorithm, their columns, and products."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from minidl.kernels.cpu.cook_toom import derive
from minidl.kernels.cuda import (
    conv2d_depthwise,
    conv2d_direct,
    conv2d_implicit,
    conv2d_winograd,
    gemm,
    unfold,
)
from minidl.kernels.cuda.conv2d_geometry import Geometry
from minidl.kernels.cuda.workloads.workload import Workload, drawn

#: m, n, k of the product.
PRODUCT = (128, 128, 32)

#: 32 filters of 3x3 over 8 channels, and as many groups as channels.
CONVOLUTION = Geometry((1, 8, 16, 16), (32, 8, 3, 3), (16, 16), (1, 1), (1, 1), (1, 1), 1)
DEPTHWISE = Geometry((1, 8, 16, 16), (8, 1, 3, 3), (16, 16), (1, 1), (1, 1), (1, 1), 8)


def products() -> Iterator[Workload]:
    """The versions of the product of matrices."""
    m, n, k = PRODUCT
    a, b = drawn((1, 1, m, k), (1, 1, k, n))
    left, right = gemm.matrices(a), gemm.matrices(b)
    for version in gemm.VERSIONS:
        yield Workload(partial(gemm.multiply, left, right, PRODUCT, 1, 1, version=version), m * n, 2 * k)


def columns() -> Iterator[Workload]:
    """Windows as columns, and back."""
    s = CONVOLUTION
    window = (s.kernel, s.out, s.stride, s.padding, s.dilation)
    x, col = drawn(s.x_shape, (1, s.taps, prod(s.out)))
    for version in unfold.VERSIONS:
        yield Workload(partial(unfold.forward, x, *window, version=version), col.size, 0)
        back = partial(unfold.backward, col, s.x_shape, *window, version=version)
        yield Workload(back, x.size, prod(s.kernel))


def by_definition() -> Iterator[Workload]:
    """Direct, implicit and depthwise convolution: two FLOPs for each multiply-add of the definition."""
    for s, modules in (
        (CONVOLUTION, (conv2d_direct, conv2d_implicit)),
        (DEPTHWISE, (conv2d_depthwise,)),
    ):
        x, weight, g = drawn(s.x_shape, s.weight_shape, s.y_shape)
        data, forward = 2 * s.filters * prod(s.kernel), 2 * s.taps
        for module in modules:
            for version in getattr(module, "VERSIONS", (None,)):
                named: dict[str, Any] = {} if version is None else {"version": version}
                flops = _but_tables(module, version, forward)
                yield Workload(partial(module.forward, x, weight, None, s, **named), g.size, flops)
            back = partial(module.backward_data, g, weight, s)
            yield Workload(back, x.size, _but_tables(module, None, data))
            yield Workload(partial(module.backward_weight, g, x, s), weight.size, 2 * s.pixels)
        yield Workload(partial(conv2d_direct.backward_bias, g), s.weight_shape[0], s.pixels)


def _but_tables(module: Any, version: str | None, flops: float) -> float | dict[str, float]:
    """Implicit convolution also launches kernels that only find places, and exchange them."""
    return {f"conv2d_implicit_{version}": flops} if module is conv2d_implicit else flops


def winograd() -> Iterator[Workload]:
    """The transforms: two FLOPs for each entry of a matrix that is not 0 and what it is multiplied by.

    The products in between are counted with gemm.cu: 2 * 36/16 * channels for each output.
    """
    s = CONVOLUTION
    x, weight, g = drawn(s.x_shape, s.weight_shape, s.y_shape)
    found, tiles = derive(4, 3), s.pixels // 16
    in_at, in_bt, in_g = (int(np.count_nonzero(np.array(m, float))) for m in (found.AT, found.BT, found.G))
    pairs, channels, filters = weight.size // 9, s.x_shape[1], s.weight_shape[0]
    transforms = {  # left, then right: as many columns as the tile has, then rows of what has become of it
        "winograd_filters_v1": 2 * in_g * (3 + 6) * pairs,
        "winograd_tiles_v1": 2 * in_bt * (6 + 6) * channels * tiles,
        "winograd_outputs_v1": 2 * in_at * (6 + 4) * filters * tiles,
        "winograd_cotangents_v1": 2 * in_at * (4 + 6) * filters * tiles,
        "winograd_weights_v1": 2 * in_g * (6 + 3) * pairs,
    }
    forward = partial(conv2d_winograd.forward, x, weight, None, s)
    yield Workload(forward, g.size, {name: flops / g.size for name, flops in transforms.items()})
    back = partial(conv2d_winograd.backward_weight, g, x, s)
    yield Workload(back, weight.size, {name: flops / weight.size for name, flops in transforms.items()})
