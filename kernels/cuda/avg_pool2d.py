"""Average pooling on a device (backend ``"cuda"``); the kernels are in ``avg_pool2d.cu``."""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.arguments import MAX_SHARED
from minidl.kernels.cuda.arrays import THREADS, TILE, blocks, image_grid, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

Pair = tuple[int, int]

MODULE = Module("avg_pool2d.cu")
FORWARD = ("v1", "v2", "v3")
BACKWARD = ("v1", "v2")


def tile_bytes(kernel: Pair, stride: Pair, itemsize: int) -> int:
    """Shared memory that version 3 needs for the pixels under a block's windows.

    >>> tile_bytes((3, 3), (1, 1), 4)
    1360
    """
    return ((TILE[1] - 1) * stride[0] + kernel[0]) * ((TILE[0] - 1) * stride[1] + kernel[1]) * itemsize


def choose(kernel: Pair, stride: Pair, itemsize: int) -> str:
    """The version of the forward: the tile in shared memory pays where a pixel is in four windows and more.

    >>> choose((2, 2), (2, 2), 4), choose((5, 5), (1, 1), 4), choose((90, 90), (8, 8), 4)
    ('v2', 'v3', 'v2')
    """
    often = kernel[0] * kernel[1] >= 4 * stride[0] * stride[1]
    return "v3" if often and tile_bytes(kernel, stride, itemsize) <= MAX_SHARED else "v2"


@on_device
def forward(
    x: Any, kernel: Pair, out: Pair, stride: Pair, padding: Pair, divisor: Any, version: str | None = None
) -> Any:
    """x (N, C, H, W) to the means (N, C, OH, OW). ``divisor``: a number, or one for each window (OH, OW)."""
    xp, planes, (h, w) = namespace(x), x.shape[0] * x.shape[1], x.shape[2:]
    version = pick(version, choose(kernel, stride, x.itemsize), FORWARD)
    y = xp.empty((*x.shape[:2], *out), x.dtype)
    if not y.size:
        return y
    sizes = (h, w, *out, *kernel, *stride, *padding)
    divisors, name = _divisors(xp, divisor, x.dtype), f"avg_pool2d_forward_{version}"
    if version == "v1":
        MODULE.launch(name, blocks(y.size), THREADS, x, y, *divisors, y.size, *sizes, like=x)
    else:
        shared = tile_bytes(kernel, stride, x.itemsize) if version == "v3" else 0
        grid = (-(-out[1] // TILE[0]), -(-out[0] // TILE[1]), image_grid(planes, *out)[2])
        MODULE.launch(name, grid, TILE, x, y, *divisors, planes, *sizes, like=x, shared_bytes=shared)
    return y


@on_device
def backward(
    g: Any,
    x_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    divisor: Any,
    version: str | None = None,
) -> Any:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    xp, planes, (h, w), out = namespace(g), x_shape[0] * x_shape[1], x_shape[2:], g.shape[2:]
    version = pick(version, "v2", BACKWARD)
    if not g.size or not math.prod(x_shape):
        return xp.zeros(x_shape, g.dtype)
    sizes = (h, w, *out, *kernel, *stride, *padding)
    divisors, name = _divisors(xp, divisor, g.dtype), f"avg_pool2d_backward_{version}"
    if version == "v1":
        dx = xp.zeros(x_shape, g.dtype)
        MODULE.launch(name, blocks(g.size), THREADS, g, dx, *divisors, g.size, *sizes, like=g)
    else:
        dx = xp.empty(x_shape, g.dtype)
        MODULE.launch(name, image_grid(planes, h, w), TILE, g, dx, *divisors, planes, *sizes, like=g)
    return dx


def _divisors(xp: Any, divisor: Any, dtype: Any) -> tuple[Any, Any]:
    """The kernels' two arguments: an array or None, and the number that holds where there is none."""
    if hasattr(divisor, "strides") and divisor.ndim:
        return xp.asarray(divisor, dtype), dtype.type(1)
    return None, dtype.type(int(divisor))
