"""Convolution from its definition, on a device: any convolution, no other memory (``conv2d.cu``)."""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, pick
from minidl.kernels.cuda.conv2d_geometry import Geometry
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("conv2d.cu")
VERSIONS = ("v1", "v2")
FILTERS = 4  # that a thread of v2 computes
#: Blocks that compute anew what another algorithm could not. Starting 65,535 of them, only for each to see
#: that there is nothing to do, takes longer than many a kernel.
ANEW_BLOCKS = 512


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
    """y; v2 unless a group has a single filter. The given ``y`` stays as it is where ``only_if`` is 0."""
    y = namespace(x).empty(s.y_shape, x.dtype) if y is None else y
    version = pick(version, "v2" if s.filters > 1 else "v1", VERSIONS)
    each = FILTERS if version == "v2" else 1
    count = s.pixels * s.groups * -(-s.filters // each)
    arguments = (x, weight, bias, only_if, y, count, *s.sizes, s.groups, int(relu))
    MODULE.launch(f"conv2d_forward_{version}", _grid(count, only_if), THREADS, *arguments, like=x)
    return y


def _grid(count: int, only_if: Any) -> int:
    """Blocks of a launch. One that nearly always ends at once has no more than a GPU runs at a time."""
    return blocks(count) if only_if is None else min(blocks(count), ANEW_BLOCKS)


def backward_data(g: Any, weight: Any, s: Geometry, only_if: Any = None, dx: Any = None) -> Any:
    """The cotangent of x, gathered; the given ``dx`` stays as it is where ``only_if`` (int32, there) is 0."""
    if dx is None:
        dx = namespace(g).empty(s.x_shape, g.dtype)
    arguments = (g, weight, only_if, dx, dx.size, *s.sizes, s.groups)
    MODULE.launch("conv2d_backward_data_v1", _grid(dx.size, only_if), THREADS, *arguments, like=g)
    return dx


def backward_weight(g: Any, x: Any, s: Geometry) -> Any:
    """The cotangent of the weight, a block for each of its elements."""
    gradient = namespace(g).empty(s.weight_shape, g.dtype)
    arguments = (g, x, gradient, s.x_shape[0], *s.sizes, s.groups)
    MODULE.launch("conv2d_backward_weight_v1", gradient.size, THREADS, *arguments, like=g)
    return gradient


def backward_bias(g: Any) -> Any:
    """The cotangent of the bias, a block for each."""
    n, k, oh, ow = g.shape
    db = namespace(g).empty((k,), g.dtype)
    MODULE.launch("conv2d_backward_bias_v1", k, THREADS, g, db, n, k, oh * ow, like=g)
    return db
