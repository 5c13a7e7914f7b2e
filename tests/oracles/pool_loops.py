"""Literal loops for pooling (E2) and its inverse (E12): one output value at a time, in float64.

Nothing is shared with the library. `x` is (N, C, H, W); a window's row and column offsets are u and v.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from oracles.loops import Array, Pair, pair

Options = int | Pair


def starts(
    extent: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False
) -> list[int]:
    """Where the windows begin: every `stride` pixels, as long as they end on the padded image.

    With `ceil_mode` one more hangs over the end, by less than a stride, if it begins on the image or before.
    """
    field = (kernel - 1) * dilation + 1
    result = [-padding]
    while result[-1] + field < extent + padding:
        result.append(result[-1] + stride)
    over = result[-1] + field - (extent + padding)
    if over > 0 and (not ceil_mode or over >= stride or result[-1] >= extent):
        result.pop()
    return result


def window(x: Array, n: int, c: int, rows: list[int], cols: list[int]) -> Iterator[tuple[float, int, int]]:
    """The pixels of a window that lie on the image, in row-major order: (value, row, column)."""
    for row in rows:
        for col in cols:
            if 0 <= row < x.shape[2] and 0 <= col < x.shape[3]:
                yield x[n, c, row, col], row, col


def _windows(
    x: Array, kernel_size: Options, stride: Options | None, padding: Options, dilation: Options, ceil: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """The rows of every window row, and the columns of every window column, those outside included."""
    kernel, pads, gaps = pair(kernel_size), pair(padding), pair(dilation)
    steps = pair(kernel_size if stride is None else stride)
    rows, cols = (
        [
            [start + u * gaps[a] for u in range(kernel[a])]
            for start in starts(x.shape[2 + a], kernel[a], steps[a], pads[a], gaps[a], ceil)
        ]
        for a in (0, 1)
    )
    return rows, cols


def max_pool2d_with_indices(
    x: Array,
    kernel_size: Options,
    stride: Options | None = None,
    padding: Options = 0,
    dilation: Options = 1,
    ceil_mode: bool = False,
) -> tuple[Array, NDArray[np.int64]]:
    """E2, put right, and where each maximum was found: the first in row-major order, but the last NaN."""
    rows, cols = _windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.zeros((*x.shape[:2], len(rows), len(cols)))
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        best, where = -math.inf, -1
        for value, row, col in window(x, n, c, rows[i], cols[j]):
            if where < 0 or value > best or math.isnan(value):
                best, where = value, row * x.shape[3] + col
        y[n, c, i, j], indices[n, c, i, j] = best, where
    return y, indices


def max_pool2d(
    x: Array,
    kernel_size: Options,
    stride: Options | None = None,
    padding: Options = 0,
    dilation: Options = 1,
    ceil_mode: bool = False,
) -> Array:
    """E2, put right: the largest value of each window; padding never wins."""
    return max_pool2d_with_indices(x, kernel_size, stride, padding, dilation, ceil_mode)[0]


def max_pool2d_backward(x: Array, g: Array, indices: NDArray[np.int64]) -> Array:
    """E2's backward: each g[n,c,i,j] goes to its window's maximum."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(g.shape):
        dx[n, c, indices[n, c, i, j] // x.shape[3], indices[n, c, i, j] % x.shape[3]] += g[n, c, i, j]
    return dx


def avg_pool2d(
    x: Array,
    kernel_size: Options,
    stride: Options | None = None,
    padding: Options = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """E2's companion: the sum of each window divided by the number of its pixels."""
    rows, cols = _windows(x, kernel_size, stride, padding, 1, ceil_mode)
    ph, pw = pair(padding)
    y = np.zeros((*x.shape[:2], len(rows), len(cols)))
    for n, c, i, j in np.ndindex(y.shape):
        values = [value for value, _, _ in window(x, n, c, rows[i], cols[j])]
        count = len(values)
        if count_include_pad:  # the image and its padding, not what hangs over
            count = sum(r < x.shape[2] + ph for r in rows[i]) * sum(q < x.shape[3] + pw for q in cols[j])
        y[n, c, i, j] = sum(values) / (divisor_override or count)
    return y


def adaptive_avg_pool2d(x: Array, output_size: int | tuple[int | None, int | None]) -> Array:
    """The mean of rows floor(i H / OH) to ceil((i + 1) H / OH), and of columns likewise."""
    asked = (output_size, output_size) if isinstance(output_size, int) else output_size
    size = [n if o is None else o for n, o in zip(x.shape[2:], asked, strict=True)]
    y = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in np.ndindex(y.shape):
        ranges = [
            range(math.floor(Fraction(k * extent, out)), math.ceil(Fraction((k + 1) * extent, out)))
            for k, extent, out in zip((i, j), x.shape[2:], size, strict=True)
        ]
        values = [x[n, c, row, col] for row in ranges[0] for col in ranges[1]]
        y[n, c, i, j] = sum(values) / len(values)
    return y


def max_unpool2d(x: Array, indices: NDArray[np.int64], size: Pair) -> Array:
    """E12: each value is written to the pixel of its index, in row-major order; zeros elsewhere."""
    y = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in np.ndindex(x.shape):
        y[n, c, indices[n, c, i, j] // size[1], indices[n, c, i, j] % size[1]] = x[n, c, i, j]
    return y
