"""Standardising groups of values: the common core of batch, layer, instance and group normalisation.

The input is seen as (A, B, M): statistics are taken over A and M, one mean and one variance for each of the B
groups. Batch normalisation has A = N, B = C, M = H*W; the others have A = 1: group normalisation B = N*groups
and M = (C/groups)*H*W, instance normalisation B = N*C and M = H*W, layer normalisation a group for each row.
The inner sums run along contiguous memory, where NumPy adds pairwise, the outer ones in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]


def _group_mean(x: Array) -> Array:
    """(A, B, M) to (1, B, 1). Groups without values, which nobody reads, have mean 0."""
    count = max(1, x.shape[0] * x.shape[2])
    mean = x.sum(axis=2).sum(axis=0, dtype=np.float64) / count
    return mean.astype(x.dtype).reshape(1, -1, 1)


@c_order
def forward(x: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """x (A, B, M) to xhat = (x - mean) / sqrt(var + eps), mean, var (biased), 1 / sqrt(var + eps), each (B,).

    Two passes: the variance is the mean square of the centred values; E[x²] - E[x]² would cancel.
    """
    mean = _group_mean(x)
    centred = x - mean
    var = _group_mean(np.square(centred))
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    centred *= inv_std
    return centred, mean.ravel(), var.ravel(), inv_std.ravel()


@c_order
def standardise(x: Array, mean: Array, inv_std: Array) -> Array:
    """x (A, B, M) to (x - mean) * inv_std, with a mean and an inv_std (B,) for each group.

    With forward's own mean and inv_std the result is forward's, bit for bit.
    """
    centred = x - mean.reshape(1, -1, 1)
    centred *= inv_std.reshape(1, -1, 1)
    return centred


@c_order
def backward(g: Array, xhat: Array, inv_std: Array) -> Array:
    """Cotangent of xhat (A, B, M) to that of x: inv_std * (g - mean(g) - xhat * mean(g * xhat)).

    Mean and deviation depend on every value of the group: the two means take out of g what a common shift or
    a common stretch of the group cannot change.
    """
    dx = g * xhat
    np.multiply(xhat, _group_mean(dx), out=dx)
    dx += _group_mean(g)
    np.subtract(g, dx, out=dx)
    dx *= inv_std.reshape(1, -1, 1)
    return dx
