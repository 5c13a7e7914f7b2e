"""Sums over some axes, accurate in every memory order.

NumPy adds pairwise only along contiguous memory. Elsewhere the rounding error of a float32 sum grows with its
length instead of with its logarithm, so sums are accumulated in float64 unless the array lies in C order and
its *last* axes are reduced.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def sum(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum over ``axes``, which stay with extent 1."""
    pairwise = x.flags.c_contiguous and sorted(axes) == list(range(x.ndim - len(axes), x.ndim))
    if x.dtype != np.float32 or pairwise:
        return np.asarray(x.sum(axis=axes, keepdims=True))
    return np.asarray(x.sum(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype))
