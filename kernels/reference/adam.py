"""One step of Adam or AdamW for many parameters, in place.

Notation: w weights, g their gradient (not changed), m and v its running moments, t the number of the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.contracts import same_shapes

Array = np.ndarray[Any, Any]

#: w, g, m, v and t of one parameter.
Row = tuple[Array, Array, Array, Array, int]


def step(
    rows: Sequence[Row],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  w ← w - lr · m̂ / (√v̂ + eps).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ). Weight decay: ``decoupled`` shrinks w before the step, else it
    is added to the gradient.
    """
    beta1, beta2 = betas
    for w, g, m, v, t in rows:
        same_shapes("adam.step", (w, g, m, v))
        if weight_decay and decoupled:
            w *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * w
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        denominator = np.sqrt(v)
        denominator /= math.sqrt(1 - beta2**t)
        denominator += eps
        w -= lr / (1 - beta1**t) * (m / denominator)
