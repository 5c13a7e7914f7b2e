"""Literal formulas of the losses: one pixel or element at a time, with Python floats and `math`, in float64.

Nothing is shared with the library: these are the expected values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.formulas import elementwise

Array = NDArray[np.float64]


def log_probabilities(z: Sequence[float]) -> list[float]:
    """log p_c = z_c - log sum_k e^{z_k}, the maximum taken out of the sum."""
    top = sorted(z)[-1]
    log_sum = top + math.log(math.fsum(math.exp(v - top) for v in z))
    return [v - log_sum for v in z]


def _scores(scores: Array, index: tuple[int, ...]) -> list[float]:
    """The classes' scores of one pixel; without a batch there is only one pixel, ()."""
    own: Any = (index[0], slice(None), *index[1:]) if index else slice(None)
    return [float(v) for v in scores[own]]


def _reduced(losses: Array, reduction: str, divisor: float) -> Array:
    if reduction == "none":
        return losses
    total = math.fsum(losses.ravel())
    return np.array(total if reduction == "sum" else total / divisor)


def cross_entropy(
    logits: Array,
    target: NDArray[np.int64],
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """E3: -w[y] log p[y] for each pixel; with smoothing e the share e goes, evenly, to every class c, which
    costs -w[c] log p[c]. The mean divides by the sum of w[y]; ignored pixels count in neither."""
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for index in np.ndindex(target.shape):
        label = int(target[index])
        if label == ignore_index:
            continue
        log_p = log_probabilities(_scores(logits, index))
        w = [1.0] * len(log_p) if weight is None else [float(v) for v in weight]
        everywhere = math.fsum(-v * log_p[c] for c, v in enumerate(w)) / len(log_p)
        weights[index] = w[label]
        losses[index] = -(1 - label_smoothing) * w[label] * log_p[label] + label_smoothing * everywhere
    return _reduced(losses, reduction, math.fsum(weights.ravel()))


def cross_entropy_of_probabilities(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """-sum_c w[c] ((1 - e) q[c] + e/C) log p[c] for each pixel; the mean divides by the number of pixels."""
    classes = logits.shape[0 if logits.ndim == 1 else 1]
    losses = np.zeros((*logits.shape[:1], *logits.shape[2:]) if logits.ndim > 1 else ())
    for index in np.ndindex(losses.shape):
        log_p, q = log_probabilities(_scores(logits, index)), _scores(target, index)
        losses[index] = -math.fsum(
            (1.0 if weight is None else weight[c])
            * ((1 - label_smoothing) * q[c] + label_smoothing / classes)
            * log_p[c]
            for c in range(classes)
        )
    return _reduced(losses, reduction, losses.size)


def nll_loss(
    log_p: Array,
    target: NDArray[np.int64],
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """-w[y] x[y] for each pixel, x being logarithms of probabilities already."""
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for index in np.ndindex(target.shape):
        label = int(target[index])
        if label != ignore_index:
            weights[index] = 1.0 if weight is None else weight[label]
            losses[index] = -weights[index] * _scores(log_p, index)[label]
    return _reduced(losses, reduction, math.fsum(weights.ravel()))


def _of_pairs(f: Callable[[float, float], float], x: Array, y: Array, reduction: str) -> Array:
    losses = elementwise(f, x, y)
    divisor = losses.shape[0] if reduction == "batchmean" else losses.size
    return _reduced(losses, reduction, divisor)


def l1_loss(x: Array, y: Array, reduction: str = "mean") -> Array:
    """E4: the mean of |x - y|."""
    return _of_pairs(lambda a, b: abs(a - b), x, y, reduction)


def mse_loss(x: Array, y: Array, reduction: str = "mean") -> Array:
    """The mean of (x - y)^2."""
    return _of_pairs(lambda a, b: (a - b) ** 2, x, y, reduction)


def smooth_l1_loss(x: Array, y: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    """d^2 / 2 beta below beta, d - beta/2 above it."""

    def of_one(a: float, b: float) -> float:
        d = abs(a - b)
        return d * d / (2 * beta) if d < beta else d - beta / 2

    return _of_pairs(of_one, x, y, reduction)


def kl_div(x: Array, y: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    """q log(q / p) with p = e^x, and q = y or e^y; 0 log 0 is 0."""

    def of_one(log_p: float, target: float) -> float:
        q = math.exp(target) if log_target else target
        return q * math.log(q / math.exp(log_p)) if q > 0 else 0.0

    return _of_pairs(of_one, x, y, reduction)


def binary_cross_entropy_with_logits(
    x: Array,
    y: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """-w (p y log s + (1 - y) log(1 - s)) with the sigmoid s = 1 / (1 + e^-x); logits of moderate size."""
    w = np.ones(()) if weight is None else weight
    p = np.ones(()) if pos_weight is None else pos_weight

    def of_one(logit: float, target: float, factor: float, positive: float) -> float:
        s, rest = 1 / (1 + math.exp(-logit)), 1 / (1 + math.exp(logit))
        return -factor * (positive * target * math.log(s) + (1 - target) * math.log(rest))

    losses = elementwise(of_one, x, y, w, p)
    return _reduced(losses, reduction, losses.size)
