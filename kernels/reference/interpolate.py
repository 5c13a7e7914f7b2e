"""Resampling along one axis as a sparse matrix with few entries a row, and its transpose.

Output i is a weighted sum of the input pixels ``index[0][i]``, ``index[1][i]`` ... with the weights
``weight[0][i]``, ``weight[1][i]`` ... (nearest has one of each, bilinear two, bicubic four). Resizing an
image does that along H and then along W; the adjoint runs backwards with the transposed matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]
#: (index, weight) pairs; weight is None where it is one everywhere.
Taps = tuple[tuple[Array, Array | None], ...]


@c_order
def forward(x: Array, vertical: Taps, horizontal: Taps) -> Array:
    """x (N, C, H, W) to (N, C, OH, OW)."""
    return np.ascontiguousarray(_gather(_gather(x, vertical, 2), horizontal, 3))


@c_order
def backward(g: Array, x_shape: tuple[int, ...], vertical: Taps, horizontal: Taps) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x."""
    return np.ascontiguousarray(_scatter(_scatter(g, horizontal, 3, x_shape[3]), vertical, 2, x_shape[2]))


def _along(weight: Array, axis: int) -> Array:
    return weight.reshape(-1, 1) if axis == 2 else weight


def _gather(x: Array, taps: Taps, axis: int) -> Array:
    total: Array | None = None
    for index, weight in taps:
        part = x.take(index, axis=axis)
        if weight is not None:
            part *= _along(weight, axis).astype(x.dtype)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def _scatter(g: Array, taps: Taps, axis: int, size: int) -> Array:
    shape = list(g.shape)
    shape[axis] = size
    x = np.zeros(shape, g.dtype)
    for index, weight in taps:
        part = g if weight is None else g * _along(weight, axis).astype(g.dtype)
        for chosen in _without_repeats(index):
            source, target = _as_slice(chosen), _as_slice(index[chosen])
            # Within one group no pixel is named twice, so that "+=" with a list of indices is right.
            if axis == 2:
                x[:, :, target] += part[:, :, source]
            else:
                x[..., target] += part[..., source]
    return x


def _without_repeats(index: Array) -> list[Array]:
    """Cut the positions of a sorted index list into groups in which no index comes twice."""
    first = np.searchsorted(index, index, side="left")
    rank = np.arange(len(index)) - first  # 0 for the first output that reads a pixel, 1 for the second ...
    return [np.flatnonzero(rank == r) for r in range(int(rank.max()) + 1)]


def _as_slice(positions: Array) -> Array | slice:
    """Evenly spaced positions as a slice, for which NumPy makes no copy; others as they are."""
    first, last = int(positions[0]), int(positions[-1])
    step = int(positions[1]) - first if len(positions) > 1 else 1
    evenly = np.array_equal(positions, np.arange(first, last + 1, step))
    return slice(first, last + 1, step) if evenly else positions
