"""The update rules of optimizers for one number at a time, in Python's floats."""

from __future__ import annotations

import math


def sgd_by_hand(w, gradients, *, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """g <- g + λw; v <- g at first, then μv + (1 - τ)g; w <- w - α v, with nesterov w - α (g + μv)."""
    velocity, path = None, []
    for g in gradients:
        g = g + weight_decay * w if weight_decay else g  # without decay an infinite weight pulls at nothing
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        w = w - lr * g
        path.append(w)
    return path


def adam_by_hand(w, gradients, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    """Kingma and Ba's algorithm 1; `decoupled` shrinks w by (1 - αλ) first, as Loshchilov and Hutter."""
    m = v = 0.0
    path = []
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            w = w * (1 - lr * weight_decay)
        elif weight_decay:
            g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - lr * (m_hat / (math.sqrt(v_hat) + eps))
        path.append(w)
    return path
