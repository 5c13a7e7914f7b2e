"""The compiled loops of ``normalize.py``.

Pixels: memory is (images, rows, C), piece p is chunk p % chunks of image p // chunks. All loops read memory
in its own order, so that the next lines are fetched ahead; what belongs to the channels (factors, running
sums) is a few lines that stay in the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import fill
from minidl.kernels.cpu.vectors import fma, lanes, load, store, total

Array = np.ndarray[Any, Any]

#: Rows, or vectors of one row, whose sum is taken in the array's own dtype.
BLOCK = 64


@compiled
def statistics(
    begin: int, end: int, worker: int, x: Array, means: Array, squares: Array,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Mean and sum of squared deviations of each piece and channel."""
    centre, rest, square = np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        place = piece * C
        for row in range(first, last, BLOCK):
            n = min(BLOCK, last - row)
            _block(x, (piece // chunks * rows + row) * C, n, C, centre, rest, square)
            seen = row - first
            part, both = n / (seen + n), seen * n / (seen + n)
            if seen == 0:
                means[place : place + C] = 0
                squares[place : place + C] = 0
            for c in range(C):
                left = np.float64(rest[c]) / n  # what rounding left of the deviations' mean
                apart = centre[c] + left - means[place + c] if seen else centre[c] + left
                means[place + c] += apart * part
                squares[place + c] += square[c] - n * left * left + apart * apart * both


@compiled
def _block(x: Array, start: int, n: int, C: int, centre: Array, rest: Array, square: Array) -> None:
    """The mean of n rows, rounded, and the sums of the deviations from it and of their squares."""
    for c in range(0, C, lanes(x)):
        store(centre, c, load(x, start + c, C - c), C - c)
    for row in range(start + C, start + n * C, C):
        for c in range(0, C, lanes(x)):
            store(centre, c, load(centre, c, C - c) + load(x, row + c, C - c), C - c)
    for c in range(0, C, lanes(x)):
        s = load(centre, c, C - c)
        store(centre, c, s * fill(s, 1 / n), C - c)
        store(rest, c, fill(s, 0.0), C - c)
        store(square, c, fill(s, 0.0), C - c)
    for row in range(start, start + n * C, C):
        for c in range(0, C, lanes(x)):
            d = load(x, row + c, C - c) - load(centre, c, C - c)
            store(rest, c, load(rest, c, C - c) + d, C - c)
            store(square, c, fma(d, d, load(square, c, C - c)), C - c)


@compiled
def affine(
    begin: int, end: int, worker: int, x: Array, y: Array, mean: Array, scale: Array, bias: Array,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """y = (x - mean) scale + bias."""
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image = piece // chunks
        for row in range(image * rows + first, image * rows + last):
            for c in range(0, C, lanes(x)):
                count, at, i = C - c, image * C + c, row * C + c
                d = load(x, i, count) - load(mean, at, count)
                store(y, i, fma(d, load(scale, at, count), load(bias, at, count)), count)


@compiled
def sums(
    begin: int, end: int, worker: int, g: Array, x: Array, mean: Array, totals: Array, moments: Array,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Σ g and Σ g (x - mean) of each piece and channel."""
    part, product = np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image, place = piece // chunks, piece * C
        totals[place : place + C] = 0
        moments[place : place + C] = 0
        for block in range(first, last, BLOCK):
            for row in range(image * rows + block, image * rows + min(block + BLOCK, last)):
                for c in range(0, C, lanes(x)):
                    count = C - c
                    v = load(g, row * C + c, count)
                    d = load(x, row * C + c, count) - load(mean, image * C + c, count)
                    store(part, c, load(part, c, count) + v, count)
                    store(product, c, fma(v, d, load(product, c, count)), count)
            for c in range(C):
                totals[place + c] += part[c]
                moments[place + c] += product[c]
                part[c] = product[c] = 0


@compiled
def gradient(
    begin: int, end: int, worker: int, g: Array, x: Array, dx: Array,
    mean: Array, by_g: Array, by_x: Array, shift: Array, chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """dx = by_g g + by_x (x - mean) + shift."""
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image = piece // chunks
        for row in range(image * rows + first, image * rows + last):
            for c in range(0, C, lanes(x)):
                count, at, i = C - c, image * C + c, row * C + c
                d = load(x, i, count) - load(mean, at, count)
                rest = fma(load(by_x, at, count), d, load(shift, at, count))
                store(dx, i, fma(load(by_g, at, count), load(g, i, count), rest), count)


@compiled
def rows_forward(
    begin: int, end: int, worker: int, x: Array, y: Array, weight: Array, bias: Array,
    means: Array, variances: Array, inverses: Array, size: int, groups: int, step: int, rows: int, eps: float,
) -> None:  # fmt: skip
    """Rows of ``size`` values, each normalised on its own; weight and bias for each place of an image."""
    zero = fill(load(x, 0, 1), 0.0)
    for row in range(begin * step, min(end * step, rows)):
        start, places = row * size, row % groups * size
        mean, variance = _row_statistics(x, start, size)
        inverse = 1 / np.sqrt(variance + eps)
        means[row], variances[row], inverses[row] = mean, variance, inverse
        m, k = fill(zero, mean), fill(zero, inverse)
        for i in range(0, size, lanes(x)):
            n = size - i
            v = (load(x, start + i, n) - m) * k
            store(y, start + i, fma(v, load(weight, places + i, n), load(bias, places + i, n)), n)


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
    zero = fill(load(x, start, 1), 0.0)
    m, s = fill(zero, np.float64(mean)), fill(zero, np.float64(inverse))
    deviation, moment = 0.0, 0.0
    for block in range(0, size, BLOCK * width):
        r, q = zero, zero
        for i in range(block, min(block + BLOCK * width, size), width):
            n = size - i  # lanes beyond the end are 0 in g, so in h
            h = load(g, start + i, n) * load(weight, place + i, n)
            r = r + h
            q = fma(h, load(x, start + i, n) - m, q)
        deviation += np.float64(total(r))
        moment += np.float64(total(q))
    mean_h, mean_hx = fill(zero, deviation / size), fill(zero, moment * inverse / size)
    for i in range(0, size, width):
        n = size - i
        v = load(g, start + i, n)
        xhat = (load(x, start + i, n) - m) * s
        store(dx, start + i, s * (v * load(weight, place + i, n) - mean_h - xhat * mean_hx), n)
        store(some, place + i, fma(v, xhat, load(some, place + i, n)), n)
        store(some, C + place + i, load(some, C + place + i, n) + v, n)
