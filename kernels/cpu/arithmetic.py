"""Sums of two arrays on all threads, into memory that is used again (backend ``"numba"``).

NumPy adds on one core, and half of its time goes into fresh memory for the result. The result lies as the
second array does, or as the first where the second has gaps: one that has (a slice of channels) is read as it
lies. A bias is added to rows where they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from minidl.kernels import threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.order import order_of, rows_of
from minidl.kernels.cpu.pointwise import PIECE, arranged, binary, empty_in, run, supported
from minidl.kernels.cpu.streams import is_far, put
from minidl.kernels.cpu.vectors import lanes, load, store
from minidl.kernels.reference import arithmetic as reference

Array = np.ndarray[Any, Any]


@register_jitable
def _add(x, y, a, b):  # type: ignore[no-untyped-def]
    return x + y


_loop = binary(_add)


def add(x: Array, y: Array) -> Array:
    """x + y."""
    if x.size <= PIECE or x.shape != y.shape or not supported(x, y):  # what is small NumPy does as fast
        return reference.add(x, y)
    x, y = (y, x) if order_of(y) is None else (x, y)
    order = order_of(y)
    if order is None or order_of(x) is not None or (found := rows_of(x.transpose(order))) is None:
        return run(_loop, (x, y), 0.0, 0.0)
    flat_x, n, step = found
    z, flat_z = empty_in(order, y.shape, y.dtype)
    many = max(1, PIECE // n)  # rows in a piece
    pieces, far = -(-y.size // (n * many)), is_far(flat_z, n)
    threads.deal(_add_with_gaps, pieces, flat_x, arranged(y, order), flat_z, n, step, many, far)
    return z


@compiled
def _add_with_gaps(
    begin: int, end: int, worker: int, x: Array, y: Array, z: Array, n: int, step: int, rows: int, far: bool
) -> None:
    """``rows`` rows of n numbers a piece; those of x begin ``step`` apart."""
    for row in range(begin * rows, min(end * rows, z.size // n)):
        for i in range(0, n, lanes(z)):
            at = row * n + i
            put(z, at, load(x, row * step + i, n - i) + load(y, at, n - i), n - i, far)


@compiled
def _add_to_rows(begin: int, end: int, worker: int, z: Array, bias: Array, n: int, rows: int) -> None:
    """``rows`` rows of n numbers a piece."""
    for row in range(begin * rows, min(end * rows, z.size // n)):
        for i in range(0, n, lanes(z)):
            at = row * n + i
            store(z, at, load(z, at, n - i) + load(bias, i, n - i), n - i)


def add_to_rows(z: Array, bias: Array) -> Array:
    """Change z (..., n), which nobody else holds, to z + bias (n)."""
    if z.size <= PIECE or not (supported(z, bias) and z.flags.carray):
        return reference.add_to_rows(z, bias)
    n = bias.size
    rows = max(1, PIECE // n)
    pieces = -(-z.size // (n * rows))
    threads.deal(_add_to_rows, pieces, z.reshape(-1), np.ascontiguousarray(bias), n, rows)
    return z
