"""Standardising groups of values: the common core of batch, layer, instance and group normalisation.

The input is (N, C, M) by shape, in any memory order. ``groups`` says over what statistics are taken:

* None: every channel over the whole batch (batch normalisation), C groups of N·M values;
* G: in each image, G groups of C/G channels, so N·G groups of C/G·M values (group normalisation; G = C is
  instance normalisation; with M = 1 and G = 1 it is layer normalisation of N rows with C places).

Notation: B groups with mean μ, biased variance σ² and s = 1 / √(σ² + ε), each (B,); x̂ = (x - μ) s; weight γ
and bias β, (C) or None; g the cotangent of y = γ x̂ + β. The inner sums run along contiguous memory, where
NumPy adds pairwise, the outer ones in float64.

Where σ² + ε leaves the range of the format although the numbers do not (in float32 from about 1e19 on, and
without an ε below 1e-15), a group is divided by a power of two of its own size first: x̂ is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.scaling import largest, power_of_two

Array = np.ndarray[Any, Any]
Needed = tuple[bool, bool, bool]


def _grouped(x: Array, groups: int | None) -> Array:
    """(N, C, M) as (A, B, M'): a group is a place on the middle axis."""
    if groups is None:
        return x
    n, c, m = x.shape
    return x.reshape(1, n * groups, c // max(1, groups) * m)


def _group_mean(x: Array) -> Array:
    """(A, B, M') to (1, B, 1). Groups without values, which nobody reads, have mean 0."""
    count = max(1, x.shape[0] * x.shape[2])
    mean = x.sum(axis=2).sum(axis=0, dtype=np.float64) / count
    return mean.astype(x.dtype).reshape(1, -1, 1)


def _standardise(x: Array, mean: Array, inv_std: Array) -> Array:
    """x̂ of grouped values."""
    mean, inv_std = mean.reshape(1, -1, 1), inv_std.reshape(1, -1, 1)
    limits = np.finfo(x.dtype)
    far = np.abs(mean) > limits.max * limits.eps  # then x - mean may be infinite
    if far.any():
        half = np.where(far, x.dtype.type(0.5), x.dtype.type(1))
        x, mean, inv_std = x * half, mean * half, inv_std / half
    centred = x - mean
    centred *= inv_std
    return centred


def in_range(total: Array) -> Array:
    """Where σ² + ε is a number, and large enough for squares that underflowed not to matter."""
    limits = np.finfo(total.dtype)
    usual: Array = (total > limits.tiny / limits.eps) & (total < np.inf)
    return usual


def _scaled(x: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """x̂ of grouped values with μ, σ² and s, where squares would leave the range of the format.

    With z = x / k for a power of two k of the size of the group (and of √ε): μ = k mean z, σ² = k² var z and
    s = 1 / (k √(var z + ε/k²)).
    """
    kind = x.dtype.type
    scale = power_of_two(np, np.maximum(largest(np, x, (0, 2)), kind(np.sqrt(eps))))
    z = (x / scale).astype(np.float64)  # so that equal float32 numbers have their mean without rounding
    mean = _group_mean(z)
    z -= mean
    var = _group_mean(np.square(z))
    whole = var.astype(kind) * scale * scale
    inv_std = 1 / np.sqrt(whole + kind(eps))
    # Where σ² + ε is in range after all, it may be ε alone, and ε/k² nothing.
    usual = in_range(whole + kind(eps))
    inverse = 1 / np.sqrt(var + eps / scale / scale)
    xhat = z.astype(kind) * np.where(usual, scale, kind(1)) * np.where(usual, inv_std, inverse.astype(kind))
    inv_std = np.where(usual, inv_std, (inverse / scale).astype(kind))
    return xhat, mean.astype(kind) * scale, whole, inv_std


def _affine(xhat: Array, weight: Array | None, bias: Array | None) -> Array:
    """γ x̂ + β for x̂ (N, C, M), written over x̂."""
    if weight is not None:
        xhat *= weight.reshape(1, -1, 1)
    if bias is not None:
        xhat += bias.reshape(1, -1, 1)
    return xhat


def _parameter_sum(g: Array) -> Array:
    """The sum for each channel."""
    return g.sum(axis=2).sum(axis=0, dtype=np.float64).astype(g.dtype)


@c_order
def forward(
    x: Array, weight: Array | None, bias: Array | None, groups: int | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """y, μ, σ² and s.

    Two passes: the variance is the mean square of the centred values; E[x²] - E[x]² would cancel.
    """
    grouped = _grouped(x, groups)
    mean = _group_mean(grouped)
    centred = grouped - mean
    var = _group_mean(np.square(centred))
    if in_range(var + x.dtype.type(eps)).all():
        inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
        centred *= inv_std
    else:
        centred, mean, var, inv_std = _scaled(grouped, eps)
    y = _affine(centred.reshape(x.shape), weight, bias)
    return y, mean.ravel(), var.ravel(), inv_std.ravel()


@c_order
def backward(
    g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, groups: int | None, needed: Needed
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents of x, γ and β, those that are needed.

    With h = γ g, dx = s (h - mean(h) - x̂ mean(h x̂)): mean and deviation depend on every value of the group,
    and the two means take out of h what a common shift or a common stretch of the group cannot change.
    """
    xhat = _standardise(_grouped(x, groups), mean, inv_std)
    dx, dweight, dbias = _towards(g, xhat.reshape(x.shape), weight, needed)
    if dx is None:
        return None, dweight, dbias
    h = _grouped(dx, groups)
    result = h * xhat
    np.multiply(xhat, _group_mean(result), out=result)
    result += _group_mean(h)
    np.subtract(h, result, out=result)
    result *= inv_std.reshape(1, -1, 1)
    return result.reshape(x.shape), dweight, dbias


@c_order
def forward_given(x: Array, weight: Array | None, bias: Array | None, mean: Array, inv_std: Array) -> Array:
    """y with a given μ and s for each channel."""
    return _affine(_standardise(x, mean, inv_std), weight, bias)


@c_order
def backward_given(
    g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, needed: Needed
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents of x, γ and β, those that are needed, where μ and s do not depend on x: dx = s γ g."""
    h, dweight, dbias = _towards(g, _standardise(x, mean, inv_std), weight, needed)
    return None if h is None else h * inv_std.reshape(1, -1, 1), dweight, dbias


def _towards(
    g: Array, xhat: Array, weight: Array | None, needed: Needed
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangent of y to those of x̂ (h), γ and β; all (N, C, M)."""
    dbias = _parameter_sum(g) if needed[2] else None
    dweight = _parameter_sum(g * xhat) if needed[1] else None
    if not needed[0]:
        return None, dweight, dbias
    return g if weight is None else g * weight.reshape(1, -1, 1), dweight, dbias
