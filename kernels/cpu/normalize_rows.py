"""The compiled loops of ``normalize.py`` for rows that are normalised on their own (layer normalisation).

A row is read from memory once: statistics and result, or sums and gradient, while it is in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import fill
from minidl.kernels.cpu.vectors import fma, lanes, load, store, total

Array = np.ndarray[Any, Any]

#: Vectors of one row, or images, whose sum is taken in the array's own dtype.
BLOCK = 64


@compiled
def rows_forward(
    begin: int, end: int, worker: int, x: Array, y: Array, weight: Array, bias: Array,
    means: Array, variances: Array, inverses: Array, size: int, groups: int, step: int, rows: int, eps: float,
) -> None:  # fmt: skip
    """Rows of ``size`` values, each normalised on its own; weight and bias for each place of an image."""
    zero, width = fill(load(x, 0, 1), 0.0), lanes(x)
    whole = size - size % width
    for row in range(begin * step, min(end * step, rows)):
        start, places = row * size, row % groups * size
        mean, variance = _row_statistics(x, start, size)
        inverse = 1 / np.sqrt(variance + eps)
        means[row], variances[row], inverses[row] = mean, variance, inverse
        m, k = fill(zero, mean), fill(zero, inverse)
        for i in range(0, whole, width):
            _normalised(x, y, weight, bias, start + i, places + i, m, k, width)
        if whole < size:
            _normalised(x, y, weight, bias, start + whole, places + whole, m, k, size - whole)


@register_jitable
def _normalised(x, y, weight, bias, i, place, m, k, n):  # type: ignore[no-untyped-def]
    v = (load(x, i, n) - m) * k
    store(y, i, fma(v, load(weight, place, n), load(bias, place, n)), n)


@compiled
def _row_statistics(x: Array, start: int, size: int) -> tuple[float, float]:
    """Mean and biased variance of x[start : start + size]: blocks of vectors, the rest one by one."""
    width = lanes(x)
    whole = size - size % width
    zero = fill(load(x, start, 1), 0.0)
    mean = 0.0
    for block in range(start, start + whole, BLOCK * width):
        mean += _sum(x, block, min(block + BLOCK * width, start + whole), zero)
    for i in range(start + whole, start + size):
        mean += np.float64(x[i])
    centre = x.dtype.type(mean / size)
    m = fill(zero, np.float64(centre))
    deviation, square = 0.0, 0.0
    for block in range(start, start + whole, BLOCK * width):
        one, two = _deviations(x, block, min(block + BLOCK * width, start + whole), m, zero)
        deviation += one
        square += two
    for i in range(start + whole, start + size):
        apart = np.float64(x[i] - centre)
        deviation += apart
        square += apart * apart
    left = deviation / size  # what rounding left of the deviations' mean
    return centre + left, square / size - left * left


# An addition takes four cycles, but two can begin in each: one sum alone would wait for itself. Hence four.


@compiled
def _sum(x: Array, first: int, last: int, zero: Any) -> float:
    """The sum of whole vectors."""
    width = lanes(x)
    a, b, c, d = zero, zero, zero, zero
    i = first
    while i + 4 * width <= last:
        a = a + load(x, i, width)
        b = b + load(x, i + width, width)
        c = c + load(x, i + 2 * width, width)
        d = d + load(x, i + 3 * width, width)
        i += 4 * width
    while i < last:
        a = a + load(x, i, width)
        i += width
    return np.float64(total((a + b) + (c + d)))


@compiled
def _deviations(x: Array, first: int, last: int, m: Any, zero: Any) -> tuple[float, float]:
    """The sums of x - m and of its squares."""
    width = lanes(x)
    a, b, c, d = zero, zero, zero, zero
    p, q, r, s = zero, zero, zero, zero
    i = first
    while i + 4 * width <= last:
        e, f = load(x, i, width) - m, load(x, i + width, width) - m
        g, h = load(x, i + 2 * width, width) - m, load(x, i + 3 * width, width) - m
        a, b, c, d = a + e, b + f, c + g, d + h
        p, q, r, s = fma(e, e, p), fma(f, f, q), fma(g, g, r), fma(h, h, s)
        i += 4 * width
    while i < last:
        e = load(x, i, width) - m
        a, p = a + e, fma(e, e, p)
        i += width
    return np.float64(total((a + b) + (c + d))), np.float64(total((p + q) + (r + s)))


@compiled
def rows_backward(
    begin: int, end: int, worker: int, g: Array, x: Array, dx: Array, weight: Array, means: Array,
    inverses: Array, sums: Array, size: int, groups: int, pieces: int, images: int,
) -> None:  # fmt: skip
    """dx of rows normalised on their own; ``sums`` (pieces, 2, C): Σ g x̂ and Σ g of each piece and place."""
    C = groups * size
    some = np.zeros(2 * C, x.dtype)  # of up to BLOCK images, in the array's own dtype
    for piece in range(begin, end):
        first, last = piece * images // pieces, (piece + 1) * images // pieces
        sums[piece * 2 * C : (piece + 1) * 2 * C] = 0
        for image in range(first, last):
            for row in range(image * groups, (image + 1) * groups):
                place = (row - image * groups) * size
                _row_backward(g, x, dx, weight, some, row * size, place, size, C, means[row], inverses[row])
            if image == last - 1 or (image - first) % BLOCK == BLOCK - 1:
                for i in range(2 * C):
                    sums[piece * 2 * C + i] += some[i]
                    some[i] = 0


@compiled
def _row_backward(
    g: Array, x: Array, dx: Array, weight: Array, some: Array, start: int, place: int, size: int, C: int,
    mean: float, inverse: float,
) -> None:  # fmt: skip
    """One row: dx from g, and the row's share of the gradients of weight and bias."""
    width = lanes(x)
    whole = size - size % width
    zero = fill(load(x, start, 1), 0.0)
    m, s = fill(zero, np.float64(mean)), fill(zero, np.float64(inverse))
    deviation, moment = 0.0, 0.0
    for block in range(0, size, BLOCK * width):
        r, q = zero, zero
        for i in range(block, min(block + BLOCK * width, whole), width):
            h = load(g, start + i, width) * load(weight, place + i, width)
            r = r + h
            q = fma(h, load(x, start + i, width) - m, q)
        if whole < size <= block + BLOCK * width:
            n = size - whole  # lanes beyond the end are 0 in g, so in h
            h = load(g, start + whole, n) * load(weight, place + whole, n)
            r = r + h
            q = fma(h, load(x, start + whole, n) - m, q)
        deviation += np.float64(total(r))
        moment += np.float64(total(q))
    mean_h, mean_hx = fill(zero, deviation / size), fill(zero, moment * inverse / size)
    for i in range(0, whole, width):
        _slope(g, x, dx, weight, some, start + i, place + i, C, m, s, mean_h, mean_hx, width)
    if whole < size:
        i, at = start + whole, place + whole
        _slope(g, x, dx, weight, some, i, at, C, m, s, mean_h, mean_hx, size - whole)


@register_jitable
def _slope(g, x, dx, weight, some, i, place, C, m, s, mean_h, mean_hx, n):  # type: ignore[no-untyped-def]
    v = load(g, i, n)
    xhat = (load(x, i, n) - m) * s
    store(dx, i, s * (v * load(weight, place, n) - mean_h - xhat * mean_hx), n)
    store(some, place, fma(v, xhat, load(some, place, n)), n)
    store(some, C + place, load(some, C + place, n) + v, n)
