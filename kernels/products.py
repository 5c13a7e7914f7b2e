"""Matrix products of arrays on the host: BLAS's, cut into pieces here (``kernels/blas.py`` says why).

A product Z = X Y of shapes (..., M, K) and (..., K, N) is cut along one of the axes of Z, never along K: each
number of Z is the sum that one call of BLAS makes, on one thread. Into how many pieces depends on the shapes
and on the number of threads that was set, on nothing else; a small product is one piece.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import blas, memory
from minidl.kernels.threads import for_each, is_worker, number_set

Array = np.ndarray[Any, Any]

#: A piece has at least so many products of two numbers (some 100 µs): handing it over takes about 20.
LEAST_PRODUCTS = 2**22
#: A piece has at least so many rows (columns) of Z: every piece makes BLAS arrange all of the other factor.
LEAST_ROWS = 64


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """``np.matmul(x, y, out)``, with the same bits whatever other threads do.

    >>> matmul(np.ones((2, 3)), np.ones((3, 1)))
    array([[3.],
           [3.]])
    """
    threads = number_set()
    if threads is None:
        return np.asarray(np.matmul(x, y, out=out))
    with blas.one_thread():
        pieces = 1 if threads == 1 or is_worker() else _pieces(x, y, threads)
        if pieces == 1:
            blas.limit_here()
            return np.asarray(np.matmul(x, y, out=out))
        shape = _shape(x, y)
        z = memory.empty(shape, np.result_type(x, y)) if out is None else out
        axis = _axis(shape, pieces)
        ends = [i * shape[axis] // pieces for i in range(pieces + 1)]

        def one_piece(i: int) -> None:
            part = slice(ends[i], ends[i + 1])
            np.matmul(
                _of(x, axis - len(shape), part, but=-1),
                _of(y, axis - len(shape), part, but=-2),
                out=_of(z, axis - len(shape), part),
            )

        for_each(one_piece, pieces)
        return z


def _shape(x: Array, y: Array) -> tuple[int, ...]:
    """(..., M, N), with the leading extents broadcast."""
    return (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])


def _pieces(x: Array, y: Array, threads: int) -> int:
    """How many pieces: no more than threads, and none too small. Products with vectors are small."""
    if x.ndim < 2 or y.ndim < 2:
        return 1
    shape = _shape(x, y)
    pieces = min(threads, math.prod(shape) * x.shape[-1] // LEAST_PRODUCTS)
    return max(1, min(pieces, max(*shape[:-2], *(n // LEAST_ROWS for n in shape[-2:]), 1)))


def _axis(shape: tuple[int, ...], pieces: int) -> int:
    """The axis of Z to cut: the first leading one that has a matrix for every piece, else M or N."""
    leading = (i for i, extent in enumerate(shape[:-2]) if extent >= pieces)
    return next(leading, len(shape) - (2 if shape[-2] >= shape[-1] else 1))


def _of(array: Array, axis: int, part: slice, but: int = 0) -> Array:
    """The part of an array along an axis, counted from the last one; ``but`` is the axis that is summed over.

    All of the array where it has no such axis, or is stretched along it.
    """
    if axis == but or -axis > array.ndim or (axis < -2 and array.shape[axis] == 1):
        return array
    place: Any = (..., part, *(slice(None),) * (-axis - 1))
    return array[place]
