"""What the kernels on channels-last images share: flat memory, lists of pixels, and a weighted gather.

Average pooling, resizing and their adjoints are one computation,

    y[i, j] = Σ_a Σ_b  v[i, a] · h[j, b] · x[row(i, a), column(j, b)]

with short lists of (pixel, weight) for each output row i and column j: the entries of two sparse matrices,
row by row (:class:`Matrix`). An adjoint has the transposed matrices. So that no two outputs are summed into
by different threads, and nothing is filled with zeros before, an adjoint gathers as well: each pixel of dx
asks who read it. :func:`gather` runs that with vectors of channels, each output pixel written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.order import rows_of
from minidl.kernels.cpu.streams import is_far, put
from minidl.kernels.cpu.vectors import (
    I32,
    Vector,
    address,
    bits_of,
    emit_mask,
    fma,
    lanes,
    llvm_vector,
    load,
    splat,
    store,
)
from minidl.kernels.layout import is_channels_last, to_channels_last

Array = np.ndarray[Any, Any]

#: What is compiled for; arrays of other dtypes go to the reference kernels.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def flat(array: Array) -> Array:
    """The memory of a channels-last array in one row; a copy if it may not be written to.

    (Read-only arrays are other types for the compiler: everything would be compiled twice.)
    """
    turned = array.transpose(0, 2, 3, 1)
    if not (turned.flags.writeable and turned.flags.aligned):
        turned = turned.copy()
    return turned.reshape(-1)


def with_gaps(array: Array) -> Array:
    """An (N, C, H, W) array that :func:`gather` can read: channels-last, perhaps with gaps between pixels.

    A slice of channels is one; anything else is copied, and counted.
    """
    return array if _pitch(array) else to_channels_last(array)


def _pitch(array: Array) -> tuple[Array, int] | None:
    """The flat memory of such an array and the step from pixel to pixel."""
    if is_channels_last(array):
        return flat(array), array.shape[1]
    found = rows_of(array.transpose(0, 2, 3, 1))
    return None if found is None or found[1] != array.shape[1] else (found[0], found[2])


# --- sparse matrices ----------------------------------------------------------------------------------------


class Matrix:
    """A sparse matrix row by row: row i has the entries start[i] ... start[i + 1] - 1.

    Args:
        start: (rows + 1).
        column: that of each entry.
        weight: its value, float64.

    A network asks for the same matrices in every step, so what follows from them is kept with them.
    """

    def __init__(self, start: Array, column: Array, weight: Array) -> None:
        self.start, self.column, self.weight = start, column, weight
        self.rows = len(start) - 1
        entries = len(column) // max(self.rows, 1)
        #: Entries in each row, where all have as many; else 0.
        self.each = entries if (np.diff(start) == entries).all() else 0
        self._weights: dict[tuple[Any, int], Array] = {}

    def weights(self, dtype: Any, divisor: int) -> Array:
        """The values, divided, in the dtype of the pixels."""
        key = dtype, divisor
        if key not in self._weights:
            self._weights[key] = (self.weight / divisor).astype(dtype)
        return self._weights[key]


def transposed(index: Array, size: int) -> tuple[Array, Array]:
    """Lists by target: where that of each target 0 ... size-1 begins, and its entries, in order.

    >>> transposed(np.array([2, 0, 2]), 3)
    (array([0, 1, 1, 3]), array([1, 0, 2]))
    """
    order = np.argsort(index, kind="stable")
    start = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(index, minlength=size), out=start[1:])
    return start, order


def transpose(matrix: Matrix, columns: int) -> Matrix:
    """The transposed matrix: who reads pixel k, in ascending order."""
    readers = np.repeat(np.arange(matrix.rows), np.diff(matrix.start))
    start, order = transposed(matrix.column, columns)
    return Matrix(start, readers[order], matrix.weight[order])


def windows(first: Array, last: Array) -> Matrix:
    """Row i has ones at first[i] ... last[i] - 1."""
    count = np.maximum(last - first, 0)
    start = np.concatenate([[0], np.cumsum(count)])
    index = np.arange(start[-1]) + np.repeat(first - start[:-1], count)
    return Matrix(start, index, np.ones(len(index)))


def gather(x: Array, vertical: Matrix, horizontal: Matrix, before: Any = None, after: Any = None) -> Array:
    """y of the equation above, both channels-last.

    Args:
        x: (N, C, H, W), as :func:`with_gaps` gives it, float32 or float64.
        vertical, horizontal: the matrices, OH and OW rows.
        before: divide each pixel of x by this: a number, or (H, W).
        after: divide each pixel of y by this: a number, or (OH, OW).
    """
    n, c, h, w = x.shape
    y = memory.empty_channels_last((n, c, vertical.rows, horizontal.rows), x.dtype)
    given: Any = before if before is not None else after
    share = 1
    if isinstance(given, int) and given > 0 and given & (given - 1) == 0:
        given, share = None, given  # times 1/4 is divided by 4, exactly
    mode = 0 if given is None else 1 if before is not None else 2
    divisor = np.array(1 if given is None else given, x.dtype)
    steps = (divisor.shape[1], 1) if divisor.ndim else (0, 0)
    matrices = (
        *(vertical.start, vertical.column, vertical.weights(x.dtype, share)),
        *(horizontal.start, horizontal.column, horizontal.weights(x.dtype, 1)),
    )
    (flat_x, pitch), flat_y = _pitch(x) or (flat(x), c), flat(y)
    threads.deal(
        _gather, n * vertical.rows, flat_x, flat_y, h, w, c, pitch, *y.shape[2:], *matrices,
        divisor.reshape(-1), *steps, mode, 0 if mode else horizontal.each, is_far(flat_y, c),
    )  # fmt: skip
    return y


@compiled
def _gather(
    begin: int, end: int, worker: int, x: Array, y: Array,
    h: int, w: int, c: int, pitch: int, oh: int, ow: int,
    v_start: Array, v_index: Array, v_weight: Array, h_start: Array, h_index: Array, h_weight: Array,
    divisor: Array, divisor_row: int, divisor_column: int, mode: int, per_column: int, far: bool,
) -> None:  # fmt: skip
    """Output rows begin ... end-1 of all images."""
    for row in range(begin, end):
        image, i = row // oh, row % oh
        first, last, target = v_start[i], v_start[i + 1], row * ow * c
        above = (image * h + v_index[first]) * w * pitch if last > first else 0
        if per_column == 1 and last - first == 1:
            _row_of_one(x, y, above, target, c, pitch, ow, h_index, h_weight, v_weight[first], far)
        elif per_column == 2 and last - first == 2:
            below = (image * h + v_index[first + 1]) * w * pitch
            weights = v_weight[first], v_weight[first + 1]
            _row_of_four(x, y, above, below, target, c, pitch, ow, h_index, h_weight, *weights, far)
        else:
            for j in range(ow):
                for k in range(0, c, lanes(x)):
                    total = splat(x, 0)
                    for a in range(first, last):
                        source, up = (image * h + v_index[a]) * w, v_weight[a]
                        for b in range(h_start[j], h_start[j + 1]):
                            value = load(x, (source + h_index[b]) * pitch + k, c - k)
                            if mode == 1:
                                at = v_index[a] * divisor_row + h_index[b] * divisor_column
                                value = value / splat(x, divisor[at])
                            total = fma(splat(x, up * h_weight[b]), value, total)
                    if mode == 2:
                        total = total / splat(x, divisor[i * divisor_row + j * divisor_column])
                    put(y, target + j * c + k, total, c - k, far)


@compiled
def _row_of_one(
    x: Array, y: Array, source: int, target: int, c: int, pitch: int, ow: int, index: Array, weight: Array,
    up: float, far: bool,
) -> None:  # fmt: skip
    """A row of outputs that read one pixel each."""
    count = lanes(x)
    whole = c - c % count
    for j in range(ow):
        at, to, factor = source + index[j] * pitch, target + j * c, splat(x, up * weight[j])
        for k in range(0, whole, count):
            put(y, to + k, load(x, at + k, count) * factor, count, far)
        if whole < c:
            store(y, to + whole, load(x, at + whole, c - whole) * factor, c - whole)


@compiled
def _row_of_four(
    x: Array, y: Array, above: int, below: int, target: int, c: int, pitch: int, ow: int, index: Array,
    weight: Array, up: float, down: float, far: bool,
) -> None:  # fmt: skip
    """A row of outputs that read 2x2 pixels each."""
    count = lanes(x)
    for j in range(ow):
        left, right, to = index[2 * j] * pitch, index[2 * j + 1] * pitch, target + j * c
        first, second = splat(x, up * weight[2 * j]), splat(x, up * weight[2 * j + 1])
        third, fourth = splat(x, down * weight[2 * j]), splat(x, down * weight[2 * j + 1])
        for k in range(0, c - c % count, count):
            total = fma(second, load(x, above + right + k, count), first * load(x, above + left + k, count))
            total = fma(third, load(x, below + left + k, count), total)
            put(y, to + k, fma(fourth, load(x, below + right + k, count), total), count, far)
        k = c - c % count
        if k < c:
            total = fma(second, load(x, above + right + k, c - k), first * load(x, above + left + k, c - k))
            total = fma(third, load(x, below + left + k, c - k), total)
            store(y, to + k, fma(fourth, load(x, below + right + k, c - k), total), c - k)


# --- integers beside floats ---------------------------------------------------------------------------------


def _masked(builder: Any, name: str, kind: Any, result: Any, args: list[Any]) -> Any:
    """LLVM's masked load or store of integers."""
    function = ir.FunctionType(result, [a.type for a in args])
    suffix = f"v{kind.count}i{kind.element.width}.p0"
    return builder.call(
        cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.{name}.{suffix}"), args
    )


def _place(context: Any, builder: Any, array_type: Any, args: Any, lanes_here: int, bits: int) -> Any:
    """Type, pointer, alignment and mask of the integers at a position."""
    array, position, count = args
    kind = ir.VectorType(context.get_value_type(array_type.dtype), lanes_here)
    pointer = builder.bitcast(address(context, builder, array_type, array, position), kind.as_pointer())
    mask = emit_mask(builder, count, bits)
    return kind, pointer, ir.Constant(I32, kind.element.width // 8), mask


@intrinsic
def store_integers(typingctx: Any, array: Any, position: Any, vector: Any, count: Any) -> Any:
    """Write whole numbers that are kept as floats to an array of integers, the first ``count`` lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, position, value, count = args
        kind, pointer, align, mask = _place(
            context, builder, signature.args[0], (array, position, count), value.type.count, vector.bits
        )
        whole = builder.fptosi(value, ir.VectorType(I32, kind.count))
        if kind.element.width < 32:
            whole = builder.trunc(whole, kind)
        _masked(builder, "store", kind, ir.VoidType(), [whole, pointer, align, mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen


@intrinsic
def load_integers(typingctx: Any, like: Any, array: Any, position: Any, count: Any) -> Any:
    """Integers as floats, in a vector as ``like`` has them; lanes from ``count`` on are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = llvm_vector(bits_of(signature.args[0]))
        kind, pointer, align, mask = _place(
            context, builder, signature.args[1], args[1:], vector.count, bits_of(signature.args[0])
        )
        none = ir.Constant(kind, [0] * kind.count)
        whole = _masked(builder, "load", kind, kind, [pointer, align, mask, none])
        convert = builder.sitofp if signature.args[1].dtype.signed else builder.uitofp
        return convert(whole, vector)

    return Vector(bits_of(like))(like, array, types.intp, types.intp), codegen
