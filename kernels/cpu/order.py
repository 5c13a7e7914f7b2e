"""Copies into another memory order, on all threads (backend ``"numba"``).

NumPy copies with a loop over the result's last axis. Where that is not the source's last axis (channels-last
to C order and back), each number comes from another cache line, and the line is gone when its neighbour's
turn comes: a tenth of the speed of memory. Here squares of numbers are turned in registers: a vector from
each of W rows, W rows later a vector for each of W columns, and every line is read and written once.

Turning W vectors takes log2 W steps (Eklundh 1972): seen as W x W numbers with row i and column l, step d (1,
2, 4 ...) swaps bit d of i with bit d of l,

    row i, bit d = 0:    a_i[l]     where bit d of l is 0,   a_j[l - d] elsewhere       j = i + d
    row j:               a_i[l + d]                          a_j[l]

Where the source has gaps but the same last axis (a slice of channels), its rows are copied as they are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels import layout, memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.streams import emit_past, is_far, put
from minidl.kernels.cpu.vectors import (
    I32,
    address,
    bits_of,
    emit_load,
    emit_store,
    lanes,
    llvm_vector,
    load,
)  # fmt: skip

Array = np.ndarray[Any, Any]

#: Elements in a piece of work, about.
PIECE = 16384
#: Numbers of which every vector is a divisor.
WHOLE = 64
#: Elements that NumPy copies before other threads are awake.
FEW = 131072
#: What is compiled for.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

Order = tuple[int, ...]


# --- which order an array has -------------------------------------------------------------------------------


def by_strides(array: Array) -> Order:
    """The axes from the one with the longest step in memory to the one with the shortest."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def order_of(array: Array) -> Order | None:
    """The axes from the slowest in memory to the fastest, or None where the memory has gaps or repeats.

    >>> order_of(np.ones((2, 3, 4, 5)).transpose(0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    if array.flags.c_contiguous:
        return tuple(range(array.ndim))
    order = by_strides(array)
    return order if array.transpose(order).flags.c_contiguous else None


# --- copies -------------------------------------------------------------------------------------------------


class _Axis(NamedTuple):
    """An axis of a copy: its extent, and the elements from one index to the next in source and result."""

    extent: int
    source: int
    result: int


def copied(array: Array) -> Array:
    """A copy in C order of the array's axes, as ``array.copy(order="C")``."""
    axes = _axes(array) if array.size >= FEW and array.dtype in DTYPES and array.flags.behaved else None
    if axes is None:
        return array.copy(order="C")
    y = memory.empty(array.shape, array.dtype)
    source, result = _memory(array, axes), y.reshape(-1)
    if axes[-1].source == 1:
        n = axes[-1].extent
        step, parts = max(1, PIECE // n), max(1, n // PIECE)  # rows in a piece, or pieces of a row
        first, second = _two(axes[:-1])
        steps, far = (second.extent, first.source, second.source), is_far(result, n)
        pieces = -(-result.size // (n * step)) * parts
        threads.deal(_copy_rows, pieces, source, result, *steps, n, step, parts, far)
        return y
    at = next(i for i, axis in enumerate(axes) if axis.source == 1)
    rows, columns = axes[at], axes[-1]
    step = max(64, PIECE // columns.extent // 64 * 64)  # rows in a piece
    parts = -(-rows.extent // step)
    first, second = _two([*axes[:at], *axes[at + 1 : -1]])
    places = (second.extent, first.source, second.source, first.result, second.result)
    sizes = (rows.extent, rows.result, columns.extent, columns.source, parts, step)
    count = parts * (result.size // (rows.extent * columns.extent))
    far = is_far(result, math.gcd(rows.result, first.result, second.result))
    threads.deal(_turn, count, source, result, *places, *sizes, far)
    return y


def rows_of(array: Array) -> tuple[Array, int, int] | None:
    """An array, its axes in C order, as rows without gaps whose distance is the same everywhere.

    Returns:
        The flat memory from its first number to its last, the numbers of a row, and the step from one row to
        the next. None: it does not lie so, or may not be written to (other types for the compiler).

    >>> flat, n, step = rows_of(np.arange(24.0).reshape(2, 3, 4)[..., 1:3])
    >>> flat[:7], n, step
    (array([1., 2., 3., 4., 5., 6., 7.]), 2, 4)
    """
    axes = _axes(array) if array.size and array.flags.behaved else None
    if axes is None or len(axes) > 2 or axes[-1].source != 1:
        return None
    n = axes[-1].extent
    return _memory(array, axes), n, axes[0].source if len(axes) == 2 else n


def _axes(array: Array) -> list[_Axis] | None:
    """The axes with more than one index, neighbours joined where they can be; None: not for these kernels."""
    if any(stride % array.itemsize or stride < 0 for stride in array.strides):
        return None
    found: list[_Axis] = []
    result = 1
    for extent, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        source = stride // array.itemsize
        if found and source == found[-1].source * found[-1].extent:
            found[-1] = found[-1]._replace(extent=found[-1].extent * extent)
        elif extent > 1:
            found.append(_Axis(extent, source, result))
        result *= extent
    inner = 1 if found and found[0].source == 1 else 2  # the axes that the kernels run along
    fits = len(found) - inner in (0, 1, 2) and any(axis.source == 1 for axis in found)
    return found[::-1] if fits else None


def _two(outer: list[_Axis]) -> list[_Axis]:
    """Two axes, the first ones of one index where there are fewer."""
    return [_Axis(1, 0, 0)] * (2 - len(outer)) + outer


def _memory(array: Array, axes: list[_Axis]) -> Array:
    """The flat memory from an array's first element to its last."""
    span = 1 + sum((axis.extent - 1) * axis.source for axis in axes)
    return np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))


@compiled
def _copy_rows(
    begin: int, end: int, worker: int, x: Array, y: Array, inner: int, outer_step: int, inner_step: int,
    n: int, step: int, parts: int, far: bool,
) -> None:  # fmt: skip
    """A piece is ``step`` rows of n numbers, or part of a row; two axes of rows, the second of ``inner``."""
    for piece in range(begin, end):
        first, part = piece // parts * step, piece % parts
        low, high = cut(n, part, parts), cut(n, part + 1, parts)
        i, j = first // inner, first % inner
        for row in range(first, min(first + step, y.size // n)):
            at = i * outer_step + j * inner_step
            for k in range(low, high, lanes(x)):
                put(y, row * n + k, load(x, at + k, high - k), high - k, far)
            j += 1
            if j == inner:
                i, j = i + 1, 0


@compiled
def cut(n: int, part: int, parts: int) -> int:
    """Where a part of n numbers begins: with a whole vector."""
    return n if part == parts else part * n // parts // WHOLE * WHOLE


@compiled
def _turn(
    begin: int, end: int, worker: int, x: Array, y: Array, inner: int, outer_from: int, inner_from: int,
    outer_to: int, inner_to: int, rows: int, row_step: int, columns: int, column_step: int, parts: int,
    step: int, far: bool,
) -> None:  # fmt: skip
    """A piece is ``step`` rows of the result; x lies along them, y along the columns."""
    width = lanes(x)
    for piece in range(begin, end):
        place, part = piece // parts, piece % parts
        at = place // inner * outer_from + place % inner * inner_from
        to = place // inner * outer_to + place % inner * inner_to
        low, high = part * step, min((part + 1) * step, rows)
        whole, whole_columns = high - (high - low) % width, columns - columns % width
        for c in range(0, whole_columns, width):
            for r in range(low, whole, width):
                _turn_square(
                    x, y, at + c * column_step + r, to + r * row_step + c, column_step, row_step, far
                )  # fmt: skip
        for r in range(low, high):
            for c in range(whole_columns if r < whole else 0, columns):
                y[to + r * row_step + c] = x[at + c * column_step + r]


@intrinsic
def _turn_square(typingctx: Any, x: Any, y: Any, at: Any, to: Any, x_step: Any, y_step: Any, far: Any) -> Any:
    """W vectors of x, ``x_step`` apart, to the W vectors of y whose numbers are across them."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = bits_of(signature.args[0])
        width = llvm_vector(bits).count
        source = address(context, builder, signature.args[0], args[0], args[2])
        target = address(context, builder, signature.args[1], args[1], args[3])
        rows = []
        for _ in range(width):
            rows.append(emit_load(builder, source, bits))
            source = builder.gep(source, [args[4]])
        distance = 1
        while distance < width:
            low, high = (_swap(width, distance, upper) for upper in (False, True))
            for i in range(width):
                if not i & distance:
                    a, b = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = (builder.shuffle_vector(a, b, s) for s in (low, high))
            distance *= 2
        targets = [target]
        for _ in rows[1:]:
            targets.append(builder.gep(targets[-1], [args[5]]))
        with builder.if_else(args[6]) as (past, through):
            for branch, emit in ((past, emit_past), (through, emit_store)):
                with branch:
                    for row, pointer in zip(rows, targets, strict=True):
                        emit(builder, row, pointer, bits)
        return context.get_dummy_value()

    return types.void(x, y, *[types.intp] * 4, types.boolean), codegen


def _swap(width: int, distance: int, upper: bool) -> Any:
    """Where the lanes of row i come from, or of row i + distance (``upper``), whose own are width + lane."""
    lanes_from = [
        (lane + distance if upper else lane)
        if not lane & distance
        else width + (lane if upper else lane - distance)
        for lane in range(width)
    ]
    return ir.Constant(ir.VectorType(I32, width), lanes_from)


layout.set_copier(copied)
