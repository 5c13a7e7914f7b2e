"""Softmax cross-entropy of every pixel from its logits, and its slope."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]


@c_order
def forward(
    logits: Array, labels: Array, valid: Array | None, class_weights: Array, smoothing: float, slope: bool
) -> tuple[Array, Array | None]:
    """The losses (N, M) of logits (N, C, M), and with ``slope`` their derivatives by the logits (N, C, M).

    log p = z - max z - log sum exp(z - max z): the shift keeps every exponential at most one. labels are
    class ids (N, M), valid (N, M) tells which pixels count (None: all); class_weights (C). With targets
    t_c = (1 - smoothing) w[y] [c = y] + smoothing / C · w_c the loss is -sum_c t_c log p_c and the slope
    p sum_c t_c - t, which for one-hot t is softmax(z) - onehot(y), E7. Where a pixel does not count, both
    are 0.
    """
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True, dtype=np.float64)).astype(log_p.dtype)
    picked = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    weights = class_weights[labels]
    losses = -picked * weights
    if smoothing > 0:
        losses *= 1 - smoothing
        everywhere = (log_p * class_weights.reshape(1, -1, 1)).sum(axis=1, dtype=np.float64)
        losses -= (everywhere * (smoothing / logits.shape[1])).astype(losses.dtype)
    if valid is not None:  # where, not a product: infinity or NaN must not leak out of an ignored pixel
        losses = np.where(valid, losses, 0)
    losses = losses.astype(logits.dtype, copy=False)
    if not slope:
        return losses, None
    # Written over log p, and without the targets as an array: their sum, and then what they are taken from.
    target = kept = weights * logits.dtype.type(1 - smoothing)
    spread = class_weights * logits.dtype.type(smoothing / logits.shape[1])
    dz = np.exp(log_p, out=log_p)
    if smoothing > 0:
        target = kept + spread.sum()
    dz *= target[:, None]
    if smoothing > 0:
        dz -= spread.reshape(1, -1, 1)
    own = np.take_along_axis(dz, labels[:, None], axis=1) - kept[:, None]
    np.put_along_axis(dz, labels[:, None], own, axis=1)
    if valid is not None:
        np.copyto(dz, 0, where=~valid[:, None])
    return losses, dz


@c_order
def backward(g: Array, slope: Array, valid: Array | None) -> Array:
    """Cotangent g (N, M) of the losses to that of the logits: g · slope, 0 where a pixel does not count."""
    dz = slope * g[:, None]
    if valid is not None:  # 0 times infinity or NaN would not be 0
        np.copyto(dz, 0, where=~valid[:, None])
    return dz
