"""Convolution with as many groups as channels, on a device (``conv2d_depthwise.cu``)."""

from __future__ import annotations

from math import prod
from typing import Any

from minidl.kernels.cuda.arrays import MOST_BLOCKS, THREADS, blocks
from minidl.kernels.cuda.conv2d_geometry import Geometry
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("conv2d_depthwise.cu")


def fits(s: Geometry) -> bool:
    """Whether each filter sees one channel."""
    return s.channels == 1


def _grid(planes: int, pixels: int) -> tuple[int, int]:
    return blocks(pixels), min(planes, MOST_BLOCKS)


def forward(x: Any, weight: Any, bias: Any, s: Geometry, relu: bool = False) -> Any:
    """y."""
    y = namespace(x).empty(s.y_shape, x.dtype)
    planes = y.shape[0] * y.shape[1]
    arguments = (x, weight, bias, y, planes, *s.sizes, int(relu))
    MODULE.launch("depthwise_forward_v1", _grid(planes, prod(s.out)), THREADS, *arguments, like=x)
    return y


def backward_data(g: Any, weight: Any, s: Geometry) -> Any:
    """The cotangent of x."""
    dx = namespace(g).empty(s.x_shape, g.dtype)
    n, c, h, w = s.x_shape
    arguments = (g, weight, dx, n * c, *s.sizes)
    MODULE.launch("depthwise_backward_data_v1", _grid(n * c, h * w), THREADS, *arguments, like=g)
    return dx


def backward_weight(g: Any, x: Any, s: Geometry) -> Any:
    """The cotangent of the weight."""
    gradient = namespace(g).empty(s.weight_shape, g.dtype)
    arguments = (g, x, gradient, s.x_shape[0], *s.sizes)
    MODULE.launch("depthwise_backward_weight_v1", gradient.size, THREADS, *arguments, like=g)
    return gradient
