"""The compiled loops of ``normalize.py`` over pixels with channels.

Memory is (images, rows, C), piece p is chunk p % chunks of image p // chunks. All loops read memory in its
own order, so that the next lines are fetched ahead; what belongs to the channels (factors, running sums) is a
few lines that stay in the first-level cache.

Each direction is a pass for sums, some arithmetic for each channel (``normalize_images.py``), and a pass for
the result. What the first pass read last is in the cache yet, so the second one begins there: it takes the
pieces
from the last to the first (*turn* t is piece last - t).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import fill
from minidl.kernels.cpu.streams import put
from minidl.kernels.cpu.vectors import fma, lanes, load, store

Array = np.ndarray[Any, Any]

#: Rows whose sum is taken in the array's own dtype.
BLOCK = 64


@compiled
def statistics(
    begin: int, end: int, worker: int, x: Array, means: Array, squares: Array,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Mean and sum of squared deviations of each piece and channel.

    A block is read once, for its deviations from the mean of the block before it. Where that is so far off
    that more would cancel than is left (and in a piece's first block), it is read twice, from the cache.
    """
    centre, rest, square = np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        place = piece * C
        means[place : place + C] = 0
        squares[place : place + C] = 0
        for row in range(first, last, BLOCK):
            n, seen = min(BLOCK, last - row), row - first
            start = (piece // chunks * rows + row) * C
            if seen:
                _deviations(x, start, n, C, centre, rest, square)
            if seen == 0 or _cancels(n, C, rest, square):
                _means(x, start, n, C, centre)
                _deviations(x, start, n, C, centre, rest, square)
            part, both = n / (seen + n), seen * n / (seen + n)
            for c in range(C):
                left = np.float64(rest[c]) / n
                mean = centre[c] + left
                apart = mean - means[place + c]
                means[place + c] += apart * part
                squares[place + c] += square[c] - n * left * left + apart * apart * both
                centre[c] = mean


@compiled
def _cancels(n: int, C: int, rest: Array, square: Array) -> bool:
    """Whether Σ d² - n (Σ d / n)² is less than half of Σ d² in a channel."""
    found = False
    for c in range(C):
        found |= np.float64(rest[c]) ** 2 > n / 2 * square[c]
    return found


@compiled
def _means(x: Array, start: int, n: int, C: int, centre: Array) -> None:
    """The means of n rows, rounded. Four rows at a time: the sums are read and written once for them."""
    fours, end = start + n // 4 * 4 * C, start + n * C
    for c in range(0, C, lanes(x)):
        store(centre, c, fill(load(x, start, 1), 0.0), C - c)
    for row in range(start, fours, 4 * C):
        for c in range(0, C, lanes(x)):
            i, count = row + c, C - c
            one = load(x, i, count) + load(x, i + C, count)
            other = load(x, i + 2 * C, count) + load(x, i + 3 * C, count)
            store(centre, c, load(centre, c, count) + (one + other), count)
    for row in range(fours, end, C):
        for c in range(0, C, lanes(x)):
            store(centre, c, load(centre, c, C - c) + load(x, row + c, C - c), C - c)
    for c in range(0, C, lanes(x)):
        s = load(centre, c, C - c)
        store(centre, c, s * fill(s, 1 / n), C - c)


@compiled
def _deviations(x: Array, start: int, n: int, C: int, centre: Array, rest: Array, square: Array) -> None:
    """The sums of n rows' deviations from ``centre``, and of their squares."""
    fours, end, width = start + n // 4 * 4 * C, start + n * C, lanes(x)
    whole = C - C % width
    for c in range(0, C, width):
        zero = fill(load(x, start, 1), 0.0)
        store(rest, c, zero, C - c)
        store(square, c, zero, C - c)
    for row in range(start, fours, 4 * C):
        for c in range(0, whole, width):
            _four_deviations(x, centre, rest, square, row + c, C, c, width)
        if whole < C:
            _four_deviations(x, centre, rest, square, row + whole, C, whole, C - whole)
    for row in range(fours, end, C):
        for c in range(0, C, width):
            d = load(x, row + c, C - c) - load(centre, c, C - c)
            store(rest, c, load(rest, c, C - c) + d, C - c)
            store(square, c, fma(d, d, load(square, c, C - c)), C - c)


@register_jitable
def _four_deviations(x, centre, rest, square, i, C, c, count):  # type: ignore[no-untyped-def]
    m = load(centre, c, count)
    d, e = load(x, i, count) - m, load(x, i + C, count) - m
    f, g = load(x, i + 2 * C, count) - m, load(x, i + 3 * C, count) - m
    store(rest, c, load(rest, c, count) + ((d + e) + (f + g)), count)
    squares = fma(d, d, e * e) + fma(f, f, g * g)
    store(square, c, load(square, c, count) + squares, count)


@compiled
def affine(
    begin: int, end: int, worker: int, x: Array, y: Array, mean: Array, scale: Array, bias: Array, far: bool,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """y = (x - mean) scale + bias, where ranges are of turns."""
    last_piece = x.size // (rows * C) * chunks - 1
    width = lanes(x)
    whole = C - C % width
    for turn in range(begin, end):
        piece = last_piece - turn
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image = piece // chunks
        for row in range(image * rows + first, image * rows + last):
            for c in range(0, whole, width):
                _affine(x, y, mean, scale, bias, row * C + c, image * C + c, width, far)
            if whole < C:
                _affine(x, y, mean, scale, bias, row * C + whole, image * C + whole, C - whole, far)


@register_jitable
def _affine(x, y, mean, scale, bias, i, at, count, far):  # type: ignore[no-untyped-def]
    d = load(x, i, count) - load(mean, at, count)
    put(y, i, fma(d, load(scale, at, count), load(bias, at, count)), count, far)


@compiled
def sums(
    begin: int, end: int, worker: int, g: Array, x: Array, mean: Array, totals: Array, moments: Array,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Σ g and Σ g (x - mean) of each piece and channel."""
    part, product = np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    width = lanes(x)
    whole = C - C % width
    for piece in range(begin, end):
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image, place = piece // chunks, piece * C
        totals[place : place + C] = 0
        moments[place : place + C] = 0
        for block in range(first, last, BLOCK):
            for row in range(image * rows + block, image * rows + min(block + BLOCK, last)):
                for c in range(0, whole, width):
                    _sums(g, x, mean, part, product, row * C + c, image * C + c, c, width)
                if whole < C:
                    i, at = row * C + whole, image * C + whole
                    _sums(g, x, mean, part, product, i, at, whole, C - whole)
            for c in range(C):
                totals[place + c] += part[c]
                moments[place + c] += product[c]
                part[c] = product[c] = 0


@register_jitable
def _sums(g, x, mean, part, product, i, at, c, count):  # type: ignore[no-untyped-def]
    v = load(g, i, count)
    d = load(x, i, count) - load(mean, at, count)
    store(part, c, load(part, c, count) + v, count)
    store(product, c, fma(v, d, load(product, c, count)), count)


@compiled
def gradient(
    begin: int, end: int, worker: int, g: Array, x: Array, dx: Array, mean: Array, by_g: Array, by_x: Array,
    shift: Array, far: bool, chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """dx = by_g g + by_x (x - mean) + shift, where ranges are of turns."""
    last_piece = x.size // (rows * C) * chunks - 1
    width = lanes(x)
    whole = C - C % width
    for turn in range(begin, end):
        piece = last_piece - turn
        first = piece % chunks * chunk
        last = min(first + chunk, rows)
        image = piece // chunks
        for row in range(image * rows + first, image * rows + last):
            for c in range(0, whole, width):
                _gradient(g, x, dx, mean, by_g, by_x, shift, row * C + c, image * C + c, width, far)
            if whole < C:
                at = image * C + whole
                _gradient(g, x, dx, mean, by_g, by_x, shift, row * C + whole, at, C - whole, far)


@register_jitable
def _gradient(g, x, dx, mean, by_g, by_x, shift, i, at, count, far):  # type: ignore[no-untyped-def]
    d = load(x, i, count) - load(mean, at, count)
    rest = fma(load(by_x, at, count), d, load(shift, at, count))
    put(dx, i, fma(load(by_g, at, count), load(g, i, count), rest), count, far)
