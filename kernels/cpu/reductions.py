"""Sums over some axes in one pass over memory, in any dense order (backend ``"numba"``).

In memory the axes of an array without gaps fall, nearly always, into three runs: kept, reduced, kept; so it
is seen as (A, R, B) and summed over R. Channels-last activations summed over everything but the channels are
(1, N·H·W, C).

NumPy's float64 accumulation converts element by element, on one core. Here up to 16 numbers are added in the
array's own dtype on whole vectors, then their sum to a float64: as accurate as adding in pairs, at the speed
of memory. The work is cut by the shape alone, so that the bits do not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.order import order_of
from minidl.kernels.cpu.pointwise import PIECE, fill, supported
from minidl.kernels.cpu.vectors import lanes, load, store, total
from minidl.kernels.reference import reductions as reference
from minidl.kernels.threads import deal

Array = np.ndarray[Any, Any]

#: Numbers that are added in the array's own dtype.
BLOCK = 16


def sum(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum over ``axes``, which stay with extent 1."""
    order = order_of(x)
    if not x.size or not supported(x) or order is None or not (x.flags.behaved and x.dtype.isnative):
        return reference.sum(x, axes)
    first, last = _reduced_run(x.shape, axes, order)
    if first is None:
        return reference.sum(x, axes)
    turned = x.transpose(order)
    extents = turned.shape
    a, r, b = (math.prod(part) for part in (extents[:first], extents[first:last], extents[last:]))
    fold = 1  # rows that are taken for one: with few columns, running sums would wait for each other
    while 1 < b and fold * b < 128 and r % (2 * fold) == 0:
        fold *= 2
    r, b = r // fold, b * fold
    # Cut R so that a piece has some ten thousand elements.
    chunk = min(r, max(BLOCK, 2 * PIECE // b))
    chunks = -(-r // chunk)
    parts = np.empty((a, chunks, b))
    step = max(1, PIECE // (chunk * b))  # neighbouring pieces are taken together where they are small
    loop = _runs if b == 1 else _columns
    deal(loop, -(-(a * chunks) // step), turned.reshape(-1), parts.reshape(-1), chunks, chunk, r, b, step)
    result = parts.reshape(a, chunks * fold, b // fold).sum(axis=1).astype(x.dtype)
    kept = tuple(1 if first <= i < last else n for i, n in enumerate(extents))
    return result.reshape(kept).transpose(np.argsort(order))


def _reduced_run(shape: tuple[int, ...], axes: tuple[int, ...], order: tuple[int, ...]) -> tuple[Any, Any]:
    """Begin and end of the reduced axes in memory order; None where kept ones lie between."""
    places = [i for i, axis in enumerate(order) if axis in axes]
    if not places:
        return None, None
    first, last = places[0], places[-1] + 1
    between = [axis for axis in order[first:last] if axis not in axes and shape[axis] != 1]
    return (None, None) if between else (first, last)


@compiled
def _columns(
    begin: int, end: int, worker: int, x: Array, out: Array,
    chunks: int, chunk: int, R: int, B: int, step: int,
) -> None:  # fmt: skip
    """Sums over the rows of each piece, (rows, B) in memory."""
    some = np.zeros(B, x.dtype)
    for piece in range(begin * step, min(end * step, out.size // B)):
        first = piece // chunks * R + piece % chunks * chunk
        last = min(first + chunk, (piece // chunks + 1) * R)
        out[piece * B : (piece + 1) * B] = 0
        for block in range(first, last, BLOCK):
            for row in range(block, min(block + BLOCK, last)):
                for c in range(0, B, lanes(x)):
                    store(some, c, load(some, c, B - c) + load(x, row * B + c, B - c), B - c)
            for c in range(B):
                out[piece * B + c] += some[c]
                some[c] = 0


@compiled
def _runs(
    begin: int, end: int, worker: int, x: Array, out: Array,
    chunks: int, chunk: int, R: int, B: int, step: int,
) -> None:  # fmt: skip
    """Sums of contiguous numbers."""
    zero = fill(load(x, 0, 1), 0.0)
    for piece in range(begin * step, min(end * step, out.size)):
        first = piece // chunks * R + piece % chunks * chunk
        last = min(first + chunk, (piece // chunks + 1) * R)
        result = 0.0
        for block in range(first, last, BLOCK * lanes(x)):
            s = zero
            for i in range(block, min(block + BLOCK * lanes(x), last), lanes(x)):
                s = s + load(x, i, last - i)
            result += np.float64(total(s))
        out[piece] = result
