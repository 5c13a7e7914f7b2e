"""Averages over windows that differ in size, on a device; the kernels are in ``adaptive_avg_pool2d.cu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

Windows = tuple[tuple[int, int], ...]

MODULE = Module("adaptive_avg_pool2d.cu")
FORWARD = ("v1", "v2", "v3")
BACKWARD = ("v1", "v2")


def choose(vertical: Windows, horizontal: Windows) -> str:
    """The version of the forward, by the pixels of the largest window: a thread, a warp or a block for each.

    >>> halves, all8, all64 = ((0, 2), (2, 4)), ((0, 8),), ((0, 64),)
    >>> choose(halves, halves), choose(all8, all8), choose(all64, all64)
    ('v1', 'v2', 'v3')
    """
    area = max(b - a for a, b in vertical) * max(b - a for a, b in horizontal)
    return "v1" if area < 16 else "v2" if area < 1024 else "v3"


@on_device
def forward(x: Any, vertical: Windows, horizontal: Windows, version: str | None = None) -> Any:
    """x (N, C, H, W) to the means (N, C, OH, OW)."""
    xp = namespace(x)
    y = xp.empty((*x.shape[:2], len(vertical), len(horizontal)), x.dtype)
    if not y.size:
        return y
    version = pick(version, choose(vertical, horizontal), FORWARD)
    grid = blocks(y.size, {"v1": THREADS, "v2": THREADS // 32, "v3": 1}[version])
    tables = (*_ends(xp, vertical), *_ends(xp, horizontal))
    sizes = (y.size, *x.shape[2:], *y.shape[2:])
    MODULE.launch(f"adaptive_avg_pool2d_forward_{version}", grid, THREADS, x, y, *tables, *sizes, like=x)
    return y


@on_device
def backward(
    g: Any, x_shape: tuple[int, ...], vertical: Windows, horizontal: Windows, version: str | None = None
) -> Any:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    xp, (h, w) = namespace(g), x_shape[2:]
    version = pick(version, "v2", BACKWARD)
    if not g.size or not math.prod(x_shape):
        return xp.zeros(x_shape, g.dtype)
    tables = (*_ends(xp, vertical), *_ends(xp, horizontal))
    name = f"adaptive_avg_pool2d_backward_{version}"
    if version == "v1":
        dx = xp.zeros(x_shape, g.dtype)
        MODULE.launch(name, blocks(g.size), THREADS, g, dx, *tables, g.size, h, w, *g.shape[2:], like=g)
        return dx
    dx = xp.empty(x_shape, g.dtype)
    holders = (*_holders(xp, vertical, h), *_holders(xp, horizontal, w))
    sizes = (dx.size, h, w, *g.shape[2:])
    MODULE.launch(name, blocks(dx.size), THREADS, g, dx, *tables, *holders, *sizes, like=g)
    return dx


def _ends(xp: Any, windows: Windows) -> tuple[Any, Any]:
    """The first pixel of each window, and the one after its last, as arrays of the device."""
    first, last = np.array(windows, np.int32).T
    return xp.asarray(np.ascontiguousarray(first)), xp.asarray(np.ascontiguousarray(last))


def _holders(xp: Any, windows: Windows, size: int) -> tuple[Any, Any]:
    """For each pixel the first window that holds it, and the one after the last.

    Windows begin and end in ascending order, so that those are a range.
    """
    first, last = np.array(windows).T
    pixels = np.arange(size)
    begin = np.searchsorted(last, pixels, side="right")  # windows that end before the pixel, or at it
    end = np.searchsorted(first, pixels, side="right")  # windows that begin before it, or at it
    return xp.asarray(begin.astype(np.int32)), xp.asarray(end.astype(np.int32))
