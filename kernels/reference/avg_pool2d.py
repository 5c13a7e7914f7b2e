"""Average pooling: the taps of a window are summed (padding as zeros) and divided by a given number."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.reference.unfold import padded_extents, surround, window_grid

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, divisor: int | Array) -> Array:
    """x (N, C, H, W) to the means (N, C, OH, OW). ``divisor``: a number, or one for each window (OH, OW)."""
    padded = surround(x, kernel, out, stride, padding, (1, 1), 0)
    total = np.zeros((*x.shape[:2], *out), x.dtype)
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            ys, xs = window_grid((u, v), (0, out[0]), out[1], stride, (1, 1))
            total += padded[:, :, ys, xs]
    total /= divisor
    return total


@c_order
def backward(
    g: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, divisor: int | Array
) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    (n, c, h, w), out = x_shape, (g.shape[2], g.shape[3])
    dx = np.zeros((n, c, *padded_extents((h, w), kernel, out, stride, padding, (1, 1))), g.dtype)
    share = np.divide(g, divisor, dtype=g.dtype)
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            ys, xs = window_grid((u, v), (0, out[0]), out[1], stride, (1, 1))
            dx[:, :, ys, xs] += share
    return np.ascontiguousarray(dx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])
