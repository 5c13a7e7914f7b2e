"""One step of stochastic gradient descent for many parameters, in place.

Notation: w weights, g their gradient (not changed), u the velocity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.contracts import same_shapes

Array = np.ndarray[Any, Any]

#: w, g, u (None without momentum) of one parameter, and whether u has no value yet.
Row = tuple[Array, Array, Array | None, bool]


def step(
    rows: Sequence[Row], lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool
) -> None:
    """g ← g + weight_decay w;  u ← momentum u + (1 - dampening) g (at first u = g);  w ← w - lr u.

    With ``nesterov`` w ← w - lr (g + momentum u), without momentum w ← w - lr g.
    """
    for w, g, u, first in rows:
        same_shapes("sgd.step", (w, g, u))
        if weight_decay:
            g = g + weight_decay * w
        if u is not None:
            if first:
                u[...] = g
            else:
                u *= momentum
                u += (1 - dampening) * g
            g = g + momentum * u if nesterov else u
        w -= lr * g
