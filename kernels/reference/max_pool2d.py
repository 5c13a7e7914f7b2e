"""Max pooling: one pass over the image for each tap of the window, keeping the largest value and its tap."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.reference.unfold import window_grid

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """x (N, C, H, W) to the maxima (N, C, OH, OW) and the winning tap u*kw + v of each window (integers).

    The first tap in row-major order wins a tie; NaN wins over everything, as in torch.
    """
    padded = _pad(x, padding)
    best = np.empty((*x.shape[:2], *out), x.dtype)
    tap = np.empty(best.shape, np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)
    tap[...] = _first_inside(kernel, out, stride, padding)
    for number, (ys, xs) in _taps(kernel, out, stride):
        value = padded[:, :, ys, xs]
        if number == 0:
            best[...] = value
            continue
        # "not (value <= best)" rather than "value > best": true for a NaN too; a NaN that already won stays.
        wins = ~(value <= best) & (best == best)
        np.copyto(best, value, where=wins)
        np.copyto(tap, tap.dtype.type(number), where=wins)
    return best, tap


def _first_inside(kernel: Pair, out: Pair, stride: Pair, padding: Pair) -> Array:
    """The first tap of each window (OH, OW) that lies on a pixel, not on padding.

    It wins where no tap is larger than the padding, which is so in a window full of -inf.
    """
    u, v = (np.maximum(0, p - s * np.arange(n)) for n, s, p in zip(out, stride, padding, strict=True))
    return u[:, None] * kernel[1] + v


@c_order
def backward(
    g: Array, tap: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: each value goes to the pixel that won its window."""
    n, c, h, w = x_shape
    dx = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), g.dtype)
    for number, (ys, xs) in _taps(kernel, (g.shape[2], g.shape[3]), stride):
        dx[:, :, ys, xs] += np.where(tap == number, g, 0)
    return np.ascontiguousarray(dx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])


def _taps(kernel: Pair, out: Pair, stride: Pair) -> list[tuple[int, tuple[slice, slice]]]:
    taps = [(u, v) for u in range(kernel[0]) for v in range(kernel[1])]
    return [(i, window_grid(tap, (0, out[0]), out[1], stride, (1, 1))) for i, tap in enumerate(taps)]


def _pad(x: Array, padding: Pair) -> Array:
    if padding == (0, 0):
        return x
    (ph, pw), (n, c, h, w) = padding, x.shape
    # The smallest value of the dtype: padding never wins against a pixel.
    smallest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = np.full((n, c, h + 2 * ph, w + 2 * pw), smallest, x.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = x
    return padded
