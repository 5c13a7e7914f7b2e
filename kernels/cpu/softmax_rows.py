"""Softmax and its logarithm of rows: many classes that are neighbours in memory.

The loops of ``softmax.py`` keep the same class of 16 pixels in a vector. Where the classes of one pixel lie
side by side and are many, that would gather every number by itself; here a vector holds 16 classes of one
pixel instead. The arithmetic is the same: the largest exponential, 1, is not added but known. A block of
:data:`BLOCK` vectors is summed in the array's own dtype, and the sums of the blocks in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.vector_math import exp
from minidl.kernels.cpu.vectors import fma, lanes, load, splat, store, total, where_equal, where_less

Array = np.ndarray[Any, Any]

#: Vectors that are summed in the array's own dtype.
BLOCK = 64
#: From so many classes on.
LEAST = 64


@compiled
def forward(
    begin: int, end: int, worker: int, z: Array, y: Array, rows: int, classes: int, step: int, log: bool
) -> None:
    """Rows begin·step ... end·step - 1."""
    width = lanes(z)
    space = np.empty(-(-classes // width) * width, z.dtype)  # a row; its end is filled with what adds nothing
    zero, one, none = splat(z, 0), splat(z, 1), splat(z, -np.inf)
    for row in range(begin * step, min(end * step, rows)):
        start = row * classes
        largest = load(z, start, width)
        store(space, space.size - width, none, width)
        for k in range(0, classes, width):
            value = load(z, start + k, classes - k)
            store(space, k, value, classes - k)
            value = load(space, k, width)
            largest = where_less(largest, value, value, largest)
        top = splat(z, _largest(largest, y, start))
        sums, at_top = 0.0, 0.0
        for block in range(0, space.size, BLOCK * width):
            rest = count = zero
            for k in range(block, min(block + BLOCK * width, space.size), width):
                shifted = load(space, k, width) - top
                e = exp(shifted)
                rest = rest + where_equal(shifted, zero, zero, e)
                count = count + where_equal(shifted, zero, one, zero)
                store(space, k, shifted if log else e, width)
            sums += np.float64(total(rest))
            at_top += np.float64(total(count))
        # One of the largest is left out: log(1 + others) keeps the digits of a small sum.
        others = at_top - 1 + sums
        below = splat(z, z.dtype.type(np.log1p(others) if log else 1 + others))
        for k in range(0, classes, width):
            value = load(space, k, width)
            store(y, start + k, value - below if log else value / below, classes - k)


@compiled
def _largest(vector: Any, space: Array, at: int) -> float:
    """The largest number of a vector, which is written to space[at...] to be looked at."""
    width = lanes(space)
    store(space, at, vector, width)
    largest = space[at]
    for lane in range(1, width):
        if largest < space[at + lane]:
            largest = space[at + lane]
    return largest


@compiled
def backward(
    begin: int, end: int, worker: int, g: Array, y: Array, dz: Array, rows: int, classes: int, step: int,
    log: bool,
) -> None:  # fmt: skip
    """Rows begin·step ... end·step - 1; y is p, or its logarithm."""
    width = lanes(g)
    zero = splat(g, 0)
    for row in range(begin * step, min(end * step, rows)):
        start = row * classes
        whole = 0.0
        for block in range(0, classes, BLOCK * width):
            last = min(block + BLOCK * width, classes)
            whole += np.float64(total(_terms(g, y, start, block, last, log, zero)))
        s = splat(g, g.dtype.type(whole))
        for k in range(0, classes, width):
            at, left = start + k, classes - k
            value, own = load(g, at, left), load(y, at, left)
            store(dz, at, value - exp(own) * s if log else own * (value - s), left)


@compiled
def _terms(g: Array, y: Array, start: int, first: int, last: int, log: bool, zero: Any) -> Any:
    """Σ g, or Σ g y, of a stretch of a row, in four sums that do not wait for each other."""
    width = lanes(g)
    a = b = c = d = zero
    for k in range(first, last, 4 * width):
        at, left = start + k, last - k
        a = _add(a, g, y, at, left, log)
        if left > width:
            b = _add(b, g, y, at + width, left - width, log)
        if left > 2 * width:
            c = _add(c, g, y, at + 2 * width, left - 2 * width, log)
        if left > 3 * width:
            d = _add(d, g, y, at + 3 * width, left - 3 * width, log)
    return (a + b) + (c + d)


@compiled
def _add(total: Any, g: Array, y: Array, at: int, left: int, log: bool) -> Any:
    value = load(g, at, left)
    return total + value if log else fma(value, load(y, at, left), total)
