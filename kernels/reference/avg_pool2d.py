"""Average pooling: the taps of a window are summed and divided by their number (padding counts as zeros)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.reference.unfold import window_grid

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair) -> Array:
    """x (N, C, H, W) to the means (N, C, OH, OW)."""
    (ph, pw), (n, c, h, w) = padding, x.shape
    padded = x
    if padding != (0, 0):
        padded = np.zeros((n, c, h + 2 * ph, w + 2 * pw), x.dtype)
        padded[:, :, ph : ph + h, pw : pw + w] = x
    total = np.zeros((n, c, *out), x.dtype)
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            ys, xs = window_grid((u, v), (0, out[0]), out[1], stride, (1, 1))
            total += padded[:, :, ys, xs]
    total /= kernel[0] * kernel[1]
    return total


@c_order
def backward(g: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: spread evenly over the window."""
    n, c, h, w = x_shape
    dx = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), g.dtype)
    share = g / (kernel[0] * kernel[1])
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            ys, xs = window_grid((u, v), (0, g.shape[2]), g.shape[3], stride, (1, 1))
            dx[:, :, ys, xs] += share
    return np.ascontiguousarray(dx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])
