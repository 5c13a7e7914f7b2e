"""Convolution on CPUs: one entry, several algorithms (backend ``"numba"``).

What is different from ``kernels/reference/conv2d.py``: activations lie channels-last in memory, so a pixel's channels are
neighbours and one number of a filter multiplies whole vectors; and for each problem the algorithm that suits it
is taken (``plan.py`` decides, by a model of the cost):

* ``"winograd4"``, ``"winograd2"`` (``winograd.py``): 3x3 with a quarter (or 4/9) of the multiplications;
* ``"direct"`` (``conv2d_direct.py``): any convolution, the image read in place;

Any of them can be asked for by name. Winograd's spreads what is not finite over whole tiles, so such a result is
thrown away and computed directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import conv2d_direct, conv2d_direct_weight, winograd
from minidl.kernels.cpu.vectors import lanes_of
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import conv2d as reference

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


def chosen(direction: str, x_shape: Any, itemsize: int, weight_shape: Any, out: Pair, options: Any) -> str:
    """The algorithm's name."""
    if options.get("algorithm"):
        return options["algorithm"]
    plain = options["stride"] == (1, 1) and options["dilation"] == (1, 1) and options["groups"] == 1
    if (
        plain
        and tuple(weight_shape[2:]) == (3, 3)
        and min(weight_shape[:2]) >= 8
        and max(options["padding"]) <= 2
    ):
        return "winograd4"
    return "direct"


@channels_last
def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """x (N, C, H, W), weight (K, C/groups, kh, kw), bias (K) or None, to y (N, K, OH, OW)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    name = chosen("forward", x.shape, x.itemsize, weight.shape, out, {**options, "algorithm": algorithm})
    if name.startswith("winograd"):
        y = winograd.forward(x, weight, bias, out, padding, int(name[-1]))
        if y is not None:
            return y
    return conv2d_direct.forward(x, weight, bias, out, **options)


@channels_last
def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """Cotangent g (N, K, OH, OW) to the cotangent of x (N, C, H, W)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    name = chosen(
        "backward_data", x_shape, g.itemsize, weight.shape, g.shape[2:], {**options, "algorithm": algorithm}
    )
    if name.startswith("winograd"):
        dx = winograd.backward_data(g, weight, x_shape, padding, int(name[-1]))
        if dx is not None:
            return dx
    return conv2d_direct.backward_data(g, weight, x_shape, **options)


@channels_last
def backward_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """Cotangent g (N, K, OH, OW) and input x (N, C, H, W) to that of the weight (K, C/groups, kh, kw)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    name = chosen(
        "backward_weight", x.shape, x.itemsize, weight_shape, g.shape[2:], {**options, "algorithm": algorithm}
    )
    if name.startswith("winograd"):
        both = winograd.backward_weight(g, x, weight_shape, padding, int(name[-1]))
        if both is not None:
            return both[0]
    return conv2d_direct_weight.backward_weight(g, x, weight_shape, **options)


@channels_last
def backward_bias(g: Array) -> Array:
    """Cotangent of the bias (K)."""
    return g.sum(axis=(0, 2, 3), dtype=np.float64).astype(g.dtype)
