"""Softmax cross-entropy of every pixel from its logits, and its cotangent."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]


@c_order
def forward(
    logits: Array, labels: Array, valid: Array, weights: Array, class_weights: Array, smoothing: float
) -> tuple[Array, Array]:
    """The losses (N, M) of logits (N, C, M), and log p (N, C, M).

    log p = z - max z - log sum exp(z - max z): the shift keeps every exponential at most one. labels, valid
    and weights are (N, M), class_weights (C). A pixel that is not valid has loss 0.
    """
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True, dtype=np.float64)).astype(log_p.dtype)
    picked = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    losses = -picked * weights
    if smoothing > 0:
        losses *= 1 - smoothing
        everywhere = (log_p * class_weights.reshape(1, -1, 1)).sum(axis=1, dtype=np.float64)
        losses -= (everywhere * (smoothing / logits.shape[1])).astype(losses.dtype)
    # where, not a product: a loss that is infinite or NaN must not leak out of an ignored pixel.
    return np.where(valid, losses, 0).astype(logits.dtype), log_p


@c_order
def backward(g: Array, log_p: Array, targets: Array, valid: Array) -> Array:
    """Cotangent g (N, M) of the losses -sum_c t_c log p_c, with targets t (N, C, M), to that of the logits.

    g * (p sum_c t_c - t), which for one-hot t is g * (softmax(z) - onehot(y)), E7.
    """
    dz = np.exp(log_p)
    dz *= targets.sum(axis=1, keepdims=True)
    dz -= targets
    dz *= g[:, None]
    if not valid.all():  # 0 times infinity or NaN would not be 0
        np.copyto(dz, 0, where=~valid[:, None])
    return dz
