"""Stochastic gradient descent in one pass over memory (backend ``"numba"``).

As ``adam.py``: every vector of weights, gradient and velocity is read once and written once, and all
parameters are cut into jobs of one size for the threads. The same bits as the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import deal_jobs, fill, same_memory
from minidl.kernels.cpu.vectors import lanes, load, store
from minidl.kernels.reference import sgd as reference
from minidl.kernels.reference.sgd import Row

Array = np.ndarray[Any, Any]


def step(
    rows: Sequence[Row], lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool
) -> None:
    """g ← g + weight_decay w;  u ← momentum u + (1 - dampening) g (at first u = g);  w ← w - lr u."""
    work = []
    for row in rows:
        w, g, u, first = row
        # Without momentum the weights stand in for the velocity, which is then neither read nor written.
        flat = same_memory(w, g, w if u is None else u)
        if flat is None:
            reference.step([row], lr, momentum, dampening, weight_decay, nesterov)
            continue
        numbers = (float(lr), float(momentum), float(1 - dampening), float(weight_decay))
        work.append((flat, (*numbers, u is not None, first, nesterov)))
    deal_jobs(_step, work)


@compiled
def _step(
    begin: int, end: int, worker: int, w: Array, g: Array, u: Array, lr: float, old: float, new: float,
    added: float, has_velocity: bool, first: bool, nesterov: bool,
) -> None:  # fmt: skip
    """Elements begin ... end-1 of one parameter."""
    for i in range(begin, end, lanes(w)):
        count = end - i
        weight, gradient = load(w, i, count), load(g, i, count)
        if added != 0:
            gradient = gradient + fill(weight, added) * weight
        if has_velocity:
            velocity = gradient
            if not first:
                velocity = load(u, i, count) * fill(weight, old) + fill(weight, new) * gradient
            store(u, i, velocity, count)
            gradient = gradient + fill(weight, old) * velocity if nesterov else velocity
        store(w, i, weight - fill(weight, lr) * gradient, count)
