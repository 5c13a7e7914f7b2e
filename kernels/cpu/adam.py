"""Adam in one pass over memory (backend ``"numba"``).

The reference makes 14 passes over arrays as large as the parameter, and NumPy runs each on one core. Here
every vector of weights, gradients and moments is read once, and three of the four are written once: 7 trips
to memory instead of some 40. All parameters are cut into jobs of one size, which the threads take from one
list, so that neither many small parameters nor a single large one keeps a thread waiting.

The arithmetic is the reference's, operation by operation in the parameter's dtype: the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import deal_jobs, fill, same_memory, sqrt
from minidl.kernels.cpu.vectors import lanes, load, store
from minidl.kernels.reference import adam as reference
from minidl.kernels.reference.adam import Row

Array = np.ndarray[Any, Any]


def step(
    rows: Sequence[Row],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  w ← w - lr · m̂ / (√v̂ + eps)."""
    beta1, beta2 = betas
    shrink = 1 - lr * weight_decay if weight_decay and decoupled else 1.0
    added = 0.0 if decoupled else weight_decay
    work = []
    for row in rows:
        flat = same_memory(*row[:4])
        if flat is None:
            reference.step([row], lr, betas, eps, weight_decay, decoupled)
            continue
        t = row[4]
        root, rate = math.sqrt(1 - beta2**t), lr / (1 - beta1**t)
        numbers = (1 - beta1, beta2, 1 - beta2, root, eps, rate, shrink, added)
        work.append((flat, tuple(map(float, numbers))))
    deal_jobs(_step, work)


@compiled
def _step(
    begin: int, end: int, worker: int, w: Array, g: Array, m: Array, v: Array, new1: float, old2: float,
    new2: float, root: float, eps: float, rate: float, shrink: float, added: float,
) -> None:  # fmt: skip
    """Elements begin ... end-1 of one parameter."""
    for i in range(begin, end, lanes(w)):
        count = end - i
        weight, gradient = load(w, i, count), load(g, i, count)
        if shrink != 1:
            weight = weight * fill(weight, shrink)
        if added != 0:
            gradient = gradient + fill(weight, added) * weight
        first, second = load(m, i, count), load(v, i, count)
        first = first + fill(first, new1) * (gradient - first)
        second = second * fill(first, old2) + fill(first, new2) * (gradient * gradient)
        below = sqrt(second) / fill(first, root) + fill(first, eps)
        store(m, i, first, count)
        store(v, i, second, count)
        store(w, i, weight - fill(first, rate) * (first / below), count)
