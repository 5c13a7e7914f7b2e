"""Averages over windows that differ in size: first along the rows, then along the columns.

A window is a rectangle, so its mean is the mean over its rows of the means over its columns. Each axis comes
with a list of windows [first, last).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]
Windows = tuple[tuple[int, int], ...]


@c_order
def forward(x: Array, vertical: Windows, horizontal: Windows) -> Array:
    """x (N, C, H, W) to the means (N, C, OH, OW)."""
    n, c, h, _ = x.shape
    # Row sums run along memory, where NumPy adds pairwise; the sums of those are few, and kept in float64.
    rows = np.empty((n, c, h, len(horizontal)), x.dtype)
    for j, (first, last) in enumerate(horizontal):
        rows[..., j] = x[..., first:last].sum(axis=3)
    y = np.empty((n, c, len(vertical), len(horizontal)), x.dtype)
    for i, (first, last) in enumerate(vertical):
        y[:, :, i] = rows[:, :, first:last].sum(axis=2, dtype=np.float64)
    y /= areas(vertical, horizontal)
    return y


@c_order
def backward(g: Array, x_shape: tuple[int, ...], vertical: Windows, horizontal: Windows) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    n, c, h, _ = x_shape
    share = np.divide(g, areas(vertical, horizontal), dtype=g.dtype)
    rows = np.zeros((n, c, h, len(horizontal)), g.dtype)
    for i, (first, last) in enumerate(vertical):
        rows[:, :, first:last] += share[:, :, i, None]
    dx = np.zeros(x_shape, g.dtype)
    for j, (first, last) in enumerate(horizontal):
        dx[..., first:last] += rows[..., j, None]
    return dx


def areas(vertical: Windows, horizontal: Windows) -> Array:
    """How many pixels each window has, (OH, OW)."""
    heights, widths = ([last - first for first, last in windows] for windows in (vertical, horizontal))
    return np.outer(np.array(heights, np.int64), np.array(widths, np.int64))
