"""The gradient of a convolution's bias: channels-last cotangents summed over images and pixels.

Plain sums of float32 one after the other lose digits: with 260,000 pixels the error grows to thousands of
roundings. Here at most :data:`PIXELS` / 4 numbers are summed in float32, by four sums at a time that do not
wait for each other; what comes out is summed in float64. The pieces do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_tiles import flat
from minidl.kernels.cpu.vectors import lanes, load, splat, store

Array = np.ndarray[Any, Any]

#: Pixels that are summed in the dtype of the cotangents.
PIXELS = 256


@compiled
def _sums(begin: int, end: int, worker: int, g: Array, partial: Array, K: int, pixels: int) -> None:
    """Pieces of PIXELS pixels, each to a row of ``partial`` (pieces, K)."""
    L = lanes(g)
    zero = splat(g, 0)
    for piece in range(begin, end):
        first, last = piece * PIXELS, min(pixels, (piece + 1) * PIXELS)
        whole = first + (last - first) // 4 * 4
        for k in range(0, K, L):
            left = K - k
            a = b = c = d = zero
            for p in range(first, whole, 4):
                at = p * K + k
                a = a + load(g, at, left)
                b = b + load(g, at + K, left)
                c = c + load(g, at + 2 * K, left)
                d = d + load(g, at + 3 * K, left)
            for p in range(whole, last):
                a = a + load(g, p * K + k, left)
            store(partial, piece * K + k, (a + b) + (c + d), left)


def backward_bias(g: Array) -> Array:
    """g (N, K, OH, OW), channels-last, to (K)."""
    n, k, h, w = g.shape
    pieces = -(-n * h * w // PIXELS)
    partial = np.zeros((pieces, k), g.dtype)
    threads.deal(_sums, pieces, flat(g), partial.reshape(-1), k, n * h * w)
    total: Array = partial.sum(axis=0, dtype=np.float64).astype(g.dtype)
    return total
