"""Max pooling: one pass over the image for each tap of the window, keeping the largest value and its tap."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.reference.unfold import padded_extents, surround, window_grid

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def forward(
    x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Array, Array]:
    """x (N, C, H, W) to the maxima (N, C, OH, OW) and the winning tap u*kw + v of each window (integers).

    The first tap in row-major order wins a tie; a NaN wins over everything, the last of several, as in torch.
    Every window holds a pixel; what it covers beyond the image never wins.
    """
    # The smallest value of the dtype: it never wins against a pixel.
    smallest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = surround(x, kernel, out, stride, padding, dilation, smallest)
    best = np.empty((*x.shape[:2], *out), x.dtype)
    value = np.empty_like(best)
    tap = np.empty(best.shape, np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)
    tap[...] = _first_inside(kernel, out, stride, padding, dilation)
    for number, (ys, xs) in _taps(kernel, out, stride, dilation):
        if number == 0:
            best[...] = padded[:, :, ys, xs]
            continue
        value[...] = padded[:, :, ys, xs]  # without gaps: what follows reads it four times
        wins = value > best
        wins |= value != value  # for a NaN
        np.copyto(best, value, where=wins)
        np.copyto(tap, tap.dtype.type(number), where=wins)
    return best, tap


def _first_inside(kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The first tap of each window (OH, OW) that lies on a pixel, not on padding.

    It wins where no tap is larger than the padding, which is so in a window full of -inf.
    """
    u, v = (
        -(np.minimum(0, s * np.arange(n) - p) // d)
        for n, s, p, d in zip(out, stride, padding, dilation, strict=True)
    )
    return u[:, None] * kernel[1] + v


@c_order
def backward(
    g: Array, tap: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: each value goes to the pixel that won its window."""
    (n, c, h, w), out = x_shape, (g.shape[2], g.shape[3])
    dx = np.zeros((n, c, *padded_extents((h, w), kernel, out, stride, padding, dilation)), g.dtype)
    for number, (ys, xs) in _taps(kernel, out, stride, dilation):
        dx[:, :, ys, xs] += np.where(tap == number, g, 0)
    return np.ascontiguousarray(dx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])


def _taps(kernel: Pair, out: Pair, stride: Pair, dilation: Pair) -> list[tuple[int, tuple[slice, slice]]]:
    taps = [(u, v) for u in range(kernel[0]) for v in range(kernel[1])]
    return [(i, window_grid(tap, (0, out[0]), out[1], stride, dilation)) for i, tap in enumerate(taps)]
