"""Convolution as a product whose columns are gathered on the way, on a device (``conv2d_implicit.cu``).

The backward for the data is the forward of the adjoint convolution, with flipped filters. Where the stride is
not 1 that one runs over g with zeros in between: right, but with s² times the work it would need.
"""

from __future__ import annotations

from math import prod
from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, pick
from minidl.kernels.cuda.conv2d_geometry import Geometry, flipped, spread
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
    only_if: Any = None,
    y: Any = None,
) -> Any:
    """y, or nothing happens to the given ``y`` where the number ``only_if`` (int32, on the device) is 0."""
    version = pick(version, "v2", VERSIONS)
    if y is None:
        y = namespace(x).empty(s.y_shape, x.dtype)
    side = tile("v5", x.itemsize) if version == "v2" else 16
    grid = (-(-s.filters // side) * -(-s.pixels // side), s.groups)
    arguments = (x, weight, bias, _table(s, x), only_if, y, *_window_sizes(s), int(relu))
    MODULE.launch(f"conv2d_implicit_{version}", grid, THREADS, *arguments, like=x)
    return y


def backward_data(g: Any, weight: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of x."""
    return forward(spread(g, s.stride), flipped(weight, s.groups), None, s.adjoint(), version=version)


def backward_weight(g: Any, x: Any, s: Geometry) -> Any:
    """The cotangent of the weight: shares of the pixels, added up in a fixed order."""
    side = tile("v5", g.itemsize)
    tiles = -(-s.filters // side) * -(-s.taps // side)
    shares = max(1, min(BLOCKS // (tiles * s.groups), s.pixels // LEAST_PIXELS))
    each = -(-s.pixels // shares)
    shares = -(-s.pixels // each)  # none without pixels
    partial = namespace(g).empty((shares, *s.weight_shape), g.dtype)
    arguments = (g, x, _table(s, g), partial, *_window_sizes(s), each)
    grid = (tiles, s.groups, shares)
    MODULE.launch("conv2d_implicit_backward_weight_v1", grid, THREADS, *arguments, like=g)
    return partial[0] if shares == 1 else partial.sum(axis=0)
