"""Joining arrays along one axis as an interleaved copy of rows (backend ``"numba"``).

In memory every array is a list of *rows*: its elements from the axis on, in the order in which they lie.
Channels of channels-last images are rows of C numbers, one for each pixel; images of a batch are one long
row. The result has the rows of the first array, then of the second, and so on, side by side:

    y  |x1 row 0|x2 row 0|x1 row 1|x2 row 1| ...

NumPy copies array by array; where rows are short, it touches every line of the result's memory once for
each of them. Here a thread writes the result from its begin to its end, two arrays at a time. The result
lies in memory as the first array with no gaps does; the others are brought into its order, which is
counted.

The backward copies nothing: the pieces of g are views, whose rows have gaps between them. A sum of cotangents
and an upsampling read them as they lie (``order.py``); who needs them without gaps gets a counted copy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.order import cut, order_of
from minidl.kernels.cpu.pointwise import arranged, empty_in, supported
from minidl.kernels.cpu.streams import is_far, put
from minidl.kernels.cpu.vectors import lanes, load
from minidl.kernels.reference import cat as reference

Array = np.ndarray[Any, Any]

#: Elements that are worth waking a thread for.
PIECE = 16384


def forward(*arrays: Array, axis: int) -> Array:
    """[x_1, ..., x_m] of arrays of one dtype that agree in every extent but that of the axis."""
    if not supported(*arrays) or not any(a.size for a in arrays):
        return reference.forward(*arrays, axis=axis)
    arrays = tuple(a for a in arrays if a.size)
    order = next((o for o in map(order_of, arrays) if o is not None), tuple(range(arrays[0].ndim)))
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y, flat_y = empty_in(order, tuple(shape), arrays[0].dtype)
    behind = [shape[a] for a in order[order.index(axis) + 1 :]]
    inner = math.prod(behind)
    rows = y.size // (shape[axis] * inner)
    flat = [(arranged(a, order), a.shape[axis] * inner) for a in arrays]
    at, length = 0, shape[axis] * inner
    for (first, n), (second, m) in zip(flat[::2], [*flat[1::2], (flat_y, 0)], strict=False):
        # Long rows are cut into parts, so that there is something to deal out.
        parts = max(1, min((n + m) // PIECE, PIECE // max(rows, 1)))
        far = is_far(flat_y, math.gcd(length, at, n, m))
        threads.deal(_copy_rows, rows * parts, first, n, second, m, flat_y, at, length, parts, far)
        at += n + m
    return y


backward = reference.backward


@compiled
def _copy_rows(
    begin: int, end: int, worker: int, first: Array, n: int, second: Array, m: int, y: Array, at: int,
    length: int, parts: int, far: bool,
) -> None:  # fmt: skip
    """Parts of rows of two arrays, side by side, to position ``at`` of rows ``length`` long."""
    for piece in range(begin, end):
        row, part = piece // parts, piece % parts
        place = row * length + at
        low, high = cut(n, part, parts), cut(n, part + 1, parts)
        _copy(y, place + low, first, row * n + low, high - low, far)
        low, high = cut(m, part, parts), cut(m, part + 1, parts)
        _copy(y, place + n + low, second, row * m + low, high - low, far)


@compiled
def _copy(y: Array, to: int, x: Array, at: int, count: int, far: bool) -> None:
    """``count`` numbers."""
    for k in range(0, count, lanes(y)):
        put(y, to + k, load(x, at + k, count - k), count - k, far)
