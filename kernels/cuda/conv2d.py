"""Convolution on a device: one entry, several algorithms (backends ``"cuda"`` and ``"cuda_sim"``).

* ``"direct"`` (``conv2d.cu``): from the definition; any convolution;
* ``"im2col"`` (``unfold.cu``, ``gemm.cu``): columns and a product; any convolution;
* ``"implicit"`` (``conv2d_implicit.cu``): a product whose columns are never stored; any convolution;
* ``"winograd"`` (``conv2d_winograd.cu``): 3x3 with a quarter of the multiplications;
* ``"depthwise"`` (``conv2d_depthwise.cu``): as many groups as channels.

:func:`choose` says which one runs for a shape; ``algorithm=`` asks for one by name, and what it cannot do is
an error. All sums run in a fixed order: the same input gives the same bits.
"""

from __future__ import annotations

import types
from typing import Any

from minidl.kernels.cuda import (
    conv2d_depthwise,
    conv2d_direct,
    conv2d_im2col,
    conv2d_implicit,
    conv2d_winograd,
)
from minidl.kernels.cuda.arrays import on_device
from minidl.kernels.cuda.conv2d_geometry import Geometry
from minidl.kernels.cuda.device import namespace

Pair = tuple[int, int]

ALGORITHMS: dict[str, types.ModuleType] = {
    "direct": conv2d_direct,
    "im2col": conv2d_im2col,
    "implicit": conv2d_implicit,
    "winograd": conv2d_winograd,
    "depthwise": conv2d_depthwise,
}
DIRECTIONS = ("forward", "backward_data", "backward_weight")

#: Rows of the product from which a tile of it is full enough.
ROWS = 32

#: Columns of the gradient of the weight from which a tile is full enough.
TAPS = 16

#: Filters and channels from which Winograd's 36 products of the gradient of the weight, which are not cut
#: into shares of the pixels as the implicit one is, have blocks enough.
WINOGRAD_WEIGHT = 256


def choose(direction: str, s: Geometry) -> str:
    """The algorithm for a direction and a shape.

    Depthwise convolutions have kernels of their own. A product of matrices is worth its tiles where it has
    rows enough (filters forward, channels backward). Winograd's transforms are worth their memory where they
    serve as many channels and filters; for the gradient of the weight, where its products, one for each
    place of a tile, keep a GPU busy. Backward over a stride, the product's columns hold no zeros, where the
    implicit product would multiply by them.

    >>> s = Geometry((8, 64, 96, 96), (128, 64, 3, 3), (96, 96), (1, 1), (1, 1), (1, 1), 1)
    >>> [choose(direction, s) for direction in DIRECTIONS]
    ['winograd', 'winograd', 'implicit']
    >>> [choose(direction, s._replace(stride=(2, 2), out=(48, 48))) for direction in DIRECTIONS]
    ['implicit', 'im2col', 'implicit']
    """
    if conv2d_depthwise.fits(s) and s.groups > 1:
        return "depthwise"
    if not conv2d_implicit.fits(s):  # images of more than 2^31 elements
        return "direct"
    if direction == "backward_weight":
        if conv2d_winograd.fits(s) and min(s.filters, s.channels) >= WINOGRAD_WEIGHT:
            return "winograd"
        return "implicit" if s.filters >= TAPS and s.taps >= TAPS else "direct"
    rows, sums = (s.filters, s.channels) if direction == "forward" else (s.channels, s.filters)
    if conv2d_winograd.fits(s) and min(rows, sums) >= ROWS:
        return "winograd"
    if direction == "backward_data" and s.stride != (1, 1):
        return "im2col" if s.taps >= ROWS else "direct"
    return "implicit" if rows >= ROWS else "direct"


def algorithm_for(direction: str, s: Geometry, asked: str | None = None) -> str:
    """The algorithm that was asked for, else the chosen one.

    Raises:
        ValueError: it does not exist, or cannot do this convolution.
    """
    if asked is None:
        return choose(direction, s)
    if asked not in ALGORITHMS:
        raise ValueError(f"convolution: there is no algorithm {asked!r}; choose from {', '.join(ALGORITHMS)}")
    fits = getattr(ALGORITHMS[asked], "fits", None)
    if fits is not None and not fits(s):
        raise ValueError(
            f"convolution: {asked!r} cannot do weight {s.weight_shape} with stride {s.stride}, "
            f"dilation {s.dilation}, groups {s.groups}"
        )
    return asked


@on_device
def forward(
    x: Any,
    weight: Any,
    bias: Any,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
    relu: bool = False,
) -> Any:
    """x (N, C, H, W), weight (K, C/groups, kh, kw), bias (K) or None, to y (N, K, OH, OW), or max(0, y).

    Raises:
        ValueError: the algorithm that is asked for cannot do this, or does not exist. (The same below.)
    """
    s = Geometry(x.shape, weight.shape, out, stride, padding, dilation, groups)
    name = algorithm_for("forward", s, algorithm)
    if not s.pixels:
        return namespace(x).empty(s.y_shape, x.dtype)
    return ALGORITHMS[name].forward(x, weight, bias, s, relu)


@on_device
def backward_data(
    g: Any,
    weight: Any,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Any:
    """Cotangent g (N, K, OH, OW) to the cotangent of x (N, C, H, W)."""
    s = Geometry(tuple(x_shape), weight.shape, g.shape[2:], stride, padding, dilation, groups)
    name = algorithm_for("backward_data", s, algorithm)
    if not s.pixels:
        return namespace(g).zeros(s.x_shape, g.dtype)
    return ALGORITHMS[name].backward_data(g, weight, s)


@on_device
def backward_weight(
    g: Any,
    x: Any,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Any:
    """Cotangent g (N, K, OH, OW) and input x (N, C, H, W) to that of the weight (K, C/groups, kh, kw)."""
    s = Geometry(x.shape, tuple(weight_shape), g.shape[2:], stride, padding, dilation, groups)
    name = algorithm_for("backward_weight", s, algorithm)
    if not s.pixels:
        return namespace(g).zeros(s.weight_shape, g.dtype)
    return ALGORITHMS[name].backward_weight(g, x, s)


@on_device
def backward_bias(g: Any) -> Any:
    """Cotangent of the bias (K): g summed over images and pixels."""
    return conv2d_direct.backward_bias(g) if g.size else namespace(g).zeros(g.shape[1:2], g.dtype)
