"""Softmax cross-entropy of every pixel from its logits, and its cotangent."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]


@c_order
def forward(
    logits: Array, target: Array, weight: Array | None, ignore_index: int
) -> tuple[Array, Array, Array]:
    """logits (N, C, M), target (N, M) to the losses (N, M), log p (N, C, M) and the pixels' weights (N, M).

    log p = z - max z - log sum exp(z - max z): the shift keeps every exponential at most one. Ignored pixels
    have weight and loss zero.
    """
    valid = target != ignore_index
    label = np.where(valid, target, 0)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    pixel_weight = valid.astype(logits.dtype)
    if weight is not None:
        pixel_weight *= weight[label]
    picked = np.take_along_axis(log_p, label[:, None], axis=1)[:, 0]
    # where, not a product: a loss that is infinite or NaN must not leak out of an ignored pixel.
    return np.where(valid, -picked * pixel_weight, 0).astype(logits.dtype), log_p, pixel_weight


@c_order
def backward(g: Array, log_p: Array, target: Array, pixel_weight: Array, ignore_index: int) -> Array:
    """Cotangent g (N, M) of the losses to that of the logits: g * weight * (softmax(z) - onehot(y)), E7."""
    valid = target != ignore_index
    label = np.where(valid, target, 0)[:, None]
    scale = np.where(valid, g * pixel_weight, 0)[:, None]
    dz = np.exp(log_p)
    np.put_along_axis(dz, label, np.take_along_axis(dz, label, axis=1) - 1, axis=1)
    dz *= scale
    return np.where(valid[:, None], dz, 0) if not np.isfinite(dz).all() else dz
