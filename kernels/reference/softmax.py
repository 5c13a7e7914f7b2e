"""Softmax and its logarithm along one axis, and their cotangents.

Shifted by the maximum, no exponential is larger than one. float32 is summed in float64: NumPy adds numbers
that are not neighbours in memory one after the other, which loses digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def forward(z: Array, axis: int) -> Array:
    """p = e^(z - max z) / Σ e^(z - max z)."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / _sum(e, axis)


def backward(g: Array, p: Array, axis: int) -> Array:
    """p ⊙ (g - Σ g p)."""
    return p * (g - _sum(g * p, axis))


def log_forward(z: Array, axis: int) -> Array:
    """log p = (z - max z) - log Σ e^(z - max z)."""
    shifted = z - z.max(axis=axis, keepdims=True)
    return shifted - np.log(_sum(np.exp(shifted), axis))


def log_backward(g: Array, log_p: Array, axis: int) -> Array:
    """g - p Σ g."""
    return g - np.exp(log_p) * _sum(g, axis)


def _sum(x: Array, axis: int) -> Array:
    return x.sum(axis=axis, keepdims=True, dtype=np.promote_types(x.dtype, np.float64)).astype(x.dtype)
