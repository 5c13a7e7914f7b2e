"""Literal formulas for everything that does not look through windows: arithmetic, reductions, activations,
norms (losses: `loss_formulas`).

Each function is its equation, written with Python floats and `math`, one output value at a time, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Dim = int | tuple[int, ...] | None


def elementwise(f: Callable[..., float], *operands: Array) -> Array:
    """f of the operands' values; an axis of extent 1, or one that is missing, is read at 0 (broadcasting)."""
    shape = np.broadcast_shapes(*(a.shape for a in operands))
    y = np.zeros(shape)
    for index in np.ndindex(shape):
        y[index] = f(*(float(a[_own_index(a, index)]) for a in operands))
    return y


def _own_index(a: Array, index: tuple[int, ...]) -> tuple[int, ...]:
    trailing = index[len(index) - a.ndim :]
    return tuple(0 if n == 1 else i for i, n in zip(trailing, a.shape, strict=True))


def sigmoid(x: Array) -> Array:
    return elementwise(lambda z: 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z)), x)


def tanh(x: Array) -> Array:
    return elementwise(math.tanh, x)


def relu(x: Array) -> Array:
    return elementwise(lambda z: max(z, 0.0), x)


def matmul(a: Array, b: Array) -> Array:
    """(..., I, L) times (..., L, J): c[..., i, j] = sum_l a[..., i, l] b[..., l, j]; 1-D as in NumPy."""
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    c = np.zeros((*batch, left.shape[-2], right.shape[-1]))
    for *outer, i, j in np.ndindex(c.shape):
        own_left = left[_own_index(np.empty(left.shape[:-2]), tuple(outer))]
        own_right = right[_own_index(np.empty(right.shape[:-2]), tuple(outer))]
        for k in range(left.shape[-1]):
            c[(*outer, i, j)] += own_left[i, k] * own_right[k, j]
    if a.ndim == 1:
        c = c[..., 0, :]
    return c[..., 0] if b.ndim == 1 else c


def linear(x: Array, w: Array, bias: Array | None = None) -> Array:
    """E5 in rows: z[..., o] = bias[o] + sum_i x[..., i] w[o, i]."""
    z = np.zeros((*x.shape[:-1], w.shape[0]))
    for *outer, o in np.ndindex(z.shape):
        z[(*outer, o)] = (0.0 if bias is None else bias[o]) + sum(
            x[(*outer, i)] * w[o, i] for i in range(w.shape[1])
        )
    return z


def axes(dim: Dim, ndim: int) -> tuple[int, ...]:
    """The reduced axes as non-negative numbers; None means all."""
    if dim is None:
        return tuple(range(ndim))
    return tuple(d % ndim for d in ((dim,) if isinstance(dim, int) else dim))


def reduce(f: Callable[[Sequence[float]], float], x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """f of the values that share all the coordinates that are kept, gathered in row-major order."""
    gone = axes(dim, x.ndim)
    kept_shape = tuple(1 if d in gone else n for d, n in enumerate(x.shape))
    gathered: dict[tuple[int, ...], list[float]] = {index: [] for index in np.ndindex(kept_shape)}
    for index in np.ndindex(x.shape):
        gathered[tuple(0 if d in gone else i for d, i in enumerate(index))].append(float(x[index]))
    y = np.zeros(kept_shape)
    for index, values in gathered.items():
        y[index] = f(values)
    return y if keepdim else y.reshape([n for d, n in enumerate(x.shape) if d not in gone])


def total(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    return reduce(math.fsum, x, dim, keepdim)


def mean(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    return reduce(lambda values: math.fsum(values) / len(values), x, dim, keepdim)


def largest(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    return reduce(lambda values: sorted(values)[-1], x, dim, keepdim)


def argmax(x: Array, dim: int, keepdim: bool = False) -> Array:
    return reduce(lambda values: list(values).index(sorted(values)[-1]), x, dim, keepdim)


def softmax(x: Array, dim: int) -> Array:
    """E6: e^{z_j - max z} / sum_k e^{z_k - max z} along one axis."""
    return np.apply_along_axis(_softmax_of_one, dim, x)


def _softmax_of_one(z: Array) -> Array:
    top = sorted(z)[-1]
    powers = [math.exp(v - top) for v in z]
    return np.array([p / math.fsum(powers) for p in powers])


def log_softmax(x: Array, dim: int) -> Array:
    """z_j - log sum_k e^{z_k}, the maximum taken out of the sum."""
    return np.apply_along_axis(_log_softmax_of_one, dim, x)


def _log_softmax_of_one(z: Array) -> Array:
    top = sorted(z)[-1]
    log_sum = top + math.log(math.fsum(math.exp(v - top) for v in z))
    return np.array([v - log_sum for v in z])


def _scale_and_shift(y: Array, weight: Array | None, bias: Array | None) -> Array:
    """Channel c is multiplied by weight[c] and bias[c] is added."""
    out = y.copy()
    for index in np.ndindex(y.shape):
        c = index[1]
        out[index] = y[index] * (1.0 if weight is None else weight[c]) + (0.0 if bias is None else bias[c])
    return out


def _standardised(x: Array, mu: float, deviation: float) -> Array:
    return elementwise(lambda v: (v - mu) / deviation, x)


def mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the biased variance (division by the count)."""
    mu = math.fsum(values) / len(values)
    return mu, math.fsum((v - mu) ** 2 for v in values) / len(values)


def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    statistics: tuple[Array, Array] | None = None,
    eps: float = 1e-5,
) -> Array:
    """(x - mean_c) / sqrt(var_c + eps), the moments being the batch's own unless `statistics` are given."""
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        if statistics is None:
            mu, variance = mean_and_variance(x[:, c].ravel().tolist())
        else:
            mu, variance = statistics[0][c], statistics[1][c]
        y[:, c] = _standardised(x[:, c], mu, math.sqrt(variance + eps))
    return _scale_and_shift(y, weight, bias)


def running_statistics(
    x: Array, mean_before: Array, var_before: Array, momentum: float
) -> tuple[Array, Array]:
    """(1 - m) old + m new; the new variance is the unbiased one (divided by count - 1, as Bessel's)."""
    mean_after, var_after = mean_before.copy(), var_before.copy()
    for c in range(x.shape[1]):
        values = x[:, c].ravel().tolist()
        mu, variance = mean_and_variance(values)
        unbiased = variance * len(values) / (len(values) - 1)
        mean_after[c] = (1 - momentum) * mean_before[c] + momentum * mu
        var_after[c] = (1 - momentum) * var_before[c] + momentum * unbiased
    return mean_after, var_after


def group_norm(
    x: Array, num_groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    """Every sample's channels in num_groups runs; each run is normalised by its own mean and variance."""
    y = np.zeros(x.shape)
    run = x.shape[1] // num_groups
    for n, q in np.ndindex(x.shape[0], num_groups):
        part = (n, slice(q * run, (q + 1) * run))
        mu, variance = mean_and_variance(x[part].ravel().tolist())
        y[part] = _standardised(x[part], mu, math.sqrt(variance + eps))
    return _scale_and_shift(y, weight, bias)


def instance_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    statistics: tuple[Array, Array] | None = None,
    eps: float = 1e-5,
) -> Array:
    """Every plane (n, c) normalised by its own moments, or by its channel's `statistics`."""
    y = np.zeros(x.shape)
    for n, c in np.ndindex(x.shape[:2]):
        if statistics is None:
            mu, variance = mean_and_variance(x[n, c].ravel().tolist())
        else:
            mu, variance = statistics[0][c], statistics[1][c]
        y[n, c] = _standardised(x[n, c], mu, math.sqrt(variance + eps))
    return _scale_and_shift(y, weight, bias)


def layer_norm(
    x: Array,
    normalized_shape: tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Every row (the last axes together) normalised by its own moments; weight and bias for each place."""
    y = np.zeros(x.shape)
    for row in np.ndindex(x.shape[: x.ndim - len(normalized_shape)]):
        mu, variance = mean_and_variance(x[row].ravel().tolist())
        for place in np.ndindex(normalized_shape):
            standard = (x[row][place] - mu) / math.sqrt(variance + eps)
            y[row][place] = standard * (1.0 if weight is None else weight[place])
            y[row][place] += 0.0 if bias is None else bias[place]
    return y
