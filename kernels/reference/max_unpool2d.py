"""Max unpooling, and what derivatives of pooling are made of: reading planes at given pixels, adding to them.

Notation: a plane is one (n, c); q its pixel's number, row·W + column; index (N, C, h, w) int64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def put(x: Array, index: Array, size: Pair) -> Array:
    """Planes of zeros, ``size`` large, with x (N, C, h, w) at the pixels ``index``; the last one stays."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, size[0] * size[1]), x.dtype)
    np.put_along_axis(y, index.reshape(n, c, h * w), x.reshape(n, c, h * w), axis=2)
    return y.reshape(n, c, *size)


@c_order
def stayed(index: Array, size: Pair) -> Array:
    """Where the value that was put at its pixel is still there: true but for pixels named more than once."""
    number = np.arange(index.size).reshape(index.shape)
    return gather(put(number, index, size), index) == number


@c_order
def gather(x: Array, index: Array) -> Array:
    """x (N, C, H, W) at the pixels ``index`` (N, C, h, w) of each plane."""
    flat = index.reshape(*index.shape[:2], math.prod(index.shape[2:]))
    planes = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    return np.take_along_axis(planes, flat, axis=2).reshape(index.shape)


@c_order
def scatter_add(y: Array, index: Array, size: Pair) -> Array:
    """y (N, C, h, w) added into planes of zeros, ``size`` large; in float64, as a pixel may come often."""
    n, c = y.shape[:2]
    pixels = size[0] * size[1]
    position = np.arange(n * c).reshape(n, c, 1, 1) * pixels + index
    total = np.bincount(position.ravel(), weights=y.ravel(), minlength=n * c * pixels)
    return total.reshape(n, c, *size).astype(y.dtype)
