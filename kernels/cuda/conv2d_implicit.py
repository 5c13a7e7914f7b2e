"""Convolution as a product whose columns are gathered on the way, on a device (``conv2d_implicit.cu``).

The backward for the data is the forward of the adjoint convolution, with flipped filters. Where the stride is
not 1 that one runs over g with zeros in between: right, but with s² times the work it would need. The zeros
around and between the cotangents have no place in the gradient's definition, which shows where a weight is
not finite: then a flag on the device is up, and ``conv2d_backward_data_v1``, which is launched in any case,
computes the gradient anew (where the flag is down its blocks end at once, and the host need not know).
"""

from __future__ import annotations

from math import prod
from typing import Any

from minidl.kernels.cuda import conv2d_direct
from minidl.kernels.cuda.arrays import THREADS, blocks, pick
from minidl.kernels.cuda.conv2d_geometry import Geometry, spread
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.gemm import tile
from minidl.kernels.cuda.launch import Module

MODULE = Module("conv2d_implicit.cu")
VERSIONS = ("v1", "v2")

#: Blocks that a gradient of the weight is cut into, about: some for each multiprocessor of any GPU.
BLOCKS = 512

#: Pixels that a block of the gradient of the weight sums at least.
LEAST_PIXELS = 256


def fits(s: Geometry) -> bool:
    """Whether the table's 32-bit offsets reach every tap of a group, forward and backward.

    >>> s = Geometry((1, 64, 512, 512), (64, 64, 3, 3), (512, 512), (1, 1), (1, 1), (1, 1), 1)
    >>> fits(s), fits(s._replace(x_shape=(1, 64, 8192, 8192)))
    (True, False)
    """
    return all(side.channels * prod(side.x_shape[2:]) < 2**31 for side in (s, s.adjoint()))


def _table(s: Geometry, like: Any) -> Any:
    """Where each tap of a group lies."""
    table = namespace(like).empty((s.taps, 4), "int32")
    sizes = (s.taps, *s.x_shape[2:], *s.kernel, *s.dilation)
    MODULE.launch("conv2d_taps", blocks(s.taps), THREADS, table, *sizes, like=like)
    return table


def _window_sizes(s: Geometry) -> tuple[int, ...]:
    return (*s.x_shape, s.weight_shape[0], s.taps, *s.out, *s.stride, *s.padding, s.groups)


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    s: Geometry,
    relu: bool = False,
    version: str | None = None,
) -> Any:
    """y."""
    version = pick(version, "v2", VERSIONS)
    y = namespace(x).empty(s.y_shape, x.dtype)
    side = tile("v5", x.itemsize) if version == "v2" else 16
    grid = (-(-s.filters // side) * -(-s.pixels // side), s.groups)
    arguments = (x, weight, bias, _table(s, x), y, *_window_sizes(s), int(relu))
    MODULE.launch(f"conv2d_implicit_{version}", grid, THREADS, *arguments, like=x)
    return y


def backward_data(g: Any, weight: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of x."""
    turned, flag = flipped(weight, s)
    dx = forward(spread(g, s.stride), turned, None, s.adjoint(), version=version)
    return conv2d_direct.backward_data(g, weight, s, only_if=flag, dx=dx)


def flipped(weight: Any, s: Geometry) -> tuple[Any, Any]:
    """The filters of the adjoint, (c, k/groups, kh, kw), and 1 on the device if one is not finite, else 0."""
    xp = namespace(weight)
    flag, turned = xp.zeros((1,), "int32"), xp.empty(s.adjoint().weight_shape, weight.dtype)
    sizes = (weight.size, s.channels, s.filters, prod(s.kernel))
    MODULE.launch("conv2d_flipped", blocks(weight.size), THREADS, weight, turned, flag, *sizes, like=weight)
    return turned, flag


def backward_weight(g: Any, x: Any, s: Geometry, only_if: Any = None, dw: Any = None) -> Any:
    """The cotangent of the weight: shares of the pixels, added up in a fixed order.

    The given ``dw`` stays as it is where the number ``only_if`` (int32, on the device) is 0; it is one share.
    """
    side = tile("v5", g.itemsize)
    tiles = -(-s.filters // side) * -(-s.taps // side)
    shares = 1 if dw is not None else max(1, min(BLOCKS // (tiles * s.groups), s.pixels // LEAST_PIXELS))
    each = -(-s.pixels // shares)
    shares = -(-s.pixels // each)  # none without pixels
    partial = namespace(g).empty((shares, *s.weight_shape), g.dtype) if dw is None else dw[None]
    arguments = (g, x, _table(s, g), only_if, partial, *_window_sizes(s), each)
    grid = (tiles, s.groups, shares)
    MODULE.launch("conv2d_implicit_backward_weight_v1", grid, THREADS, *arguments, like=g)
    return partial[0] if shares == 1 else partial.sum(axis=0)
