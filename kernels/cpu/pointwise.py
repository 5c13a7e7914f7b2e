"""What kernels share that treat every element alike: flat memory, whatever order the elements lie in.

Which element is the neighbour of which does not matter to them, so they run over the memory from its begin to
its end. Any order without gaps will do (C order, channels-last, transposed), and the result gets the same
one: nothing is converted. Where several arrays meet, the last one decides; the others are brought into its
order, which is counted (``kernels/layout.py``), and so are copies of views with gaps.

A compiled kernel gets ranges of *pieces* of :data:`PIECE` elements. An array of one piece stays on the
calling thread: to wake another costs more than it could bring.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels import memory, threads
from minidl.kernels.contracts import same_shapes
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.order import Order, by_strides, order_of
from minidl.kernels.cpu.streams import is_far, put
from minidl.kernels.cpu.vectors import emit_splat, lanes, llvm_element, load
from minidl.kernels.layout import contiguous

Array = np.ndarray[Any, Any]

#: Elements in a piece: some microseconds of work.
PIECE = 16384

#: What is compiled for; arrays of other dtypes go to the reference kernels.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def pieces(count: int) -> int:
    """How many pieces so many elements are."""
    return -(-count // PIECE)


# --- memory order -------------------------------------------------------------------------------------------


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def dense(array: Array) -> tuple[Array, Order]:
    """The array itself, or a counted copy without gaps, and its order."""
    order = order_of(array)
    if order is None or not (array.flags.writeable and array.flags.aligned and array.dtype.isnative):
        order = by_strides(array)
        array = contiguous(_native(array.transpose(order))).transpose(np.argsort(order))
    return array, order


def arranged(array: Array, order: Order) -> Array:
    """The array's elements as flat memory in this order: its own, or that of a counted copy."""
    turned = array.transpose(order)
    flags = array.flags
    if not (turned.flags.c_contiguous and flags.writeable and flags.aligned and array.dtype.isnative):
        turned = contiguous(_native(turned))
    return turned.reshape(-1)


def empty_in(order: Order, shape: tuple[int, ...], dtype: Any) -> tuple[Array, Array]:
    """A new array of this shape whose axes lie in this order, and its flat memory."""
    turned = memory.empty(tuple(shape[axis] for axis in order), dtype)
    back = [0] * len(order)
    for place, axis in enumerate(order):
        back[axis] = place
    return turned.transpose(back), turned.reshape(-1)


def run(kernel: Callable[..., Any], arrays: tuple[Array, ...], *numbers: float) -> Array:
    """Fill a result like the last array: ``kernel(begin, end, worker, *flat arrays, flat result, *numbers,
    far)``, where ``far`` says that the result goes past the caches (``streams.py``).

    The last, because a backward takes the cotangent first and then what the forward saw, whose order counts.
    """
    same_shapes("pointwise", arrays)
    last, order = dense(arrays[-1])
    y, flat_y = empty_in(order, last.shape, last.dtype)
    flat = [*(arranged(a, order) for a in arrays[:-1]), last.transpose(order).reshape(-1)]
    threads.deal(kernel, pieces(last.size), *flat, flat_y, *numbers, is_far(flat_y))
    return y


def supported(*arrays: Array) -> bool:
    """Whether all have one dtype, one that is compiled for (so, of this machine's byte order)."""
    dtype = arrays[0].dtype
    return dtype in DTYPES and all(a.dtype is dtype or a.dtype == dtype for a in arrays)


# --- many arrays at once ------------------------------------------------------------------------------------

#: Elements that an optimizer's thread works on before it takes the next job.
JOB = 131072


def same_memory(first: Array, *others: Array) -> tuple[Array, ...] | None:
    """Flat views of arrays that can be changed in place together, or None where they cannot.

    They must agree in dtype and in order, without gaps. (The array that is only read must be writable too:
    read-only arrays are other types for the compiler.)
    """
    arrays = (first, *others)
    same_shapes("arrays that are changed together", arrays)
    if not supported(*arrays):
        return None
    if all(a.flags.carray for a in arrays):
        return tuple(a.reshape(-1) for a in arrays)  # nearly always; it takes a third of what follows
    order = order_of(first)
    if order is None:
        return None
    turned = [a.transpose(order) for a in (first, *others)]
    if not all(a.flags.c_contiguous and a.flags.behaved for a in turned):
        return None
    return tuple(a.reshape(-1) for a in turned)


def deal_jobs(kernel: Callable[..., Any], work: list[tuple[tuple[Array, ...], tuple[Any, ...]]]) -> None:
    """Call ``kernel(begin, end, worker, *flat arrays, *numbers)`` on parts of all the rows of arrays."""
    rows = [(*arrays, *numbers) for arrays, numbers in work]
    sizes = tuple(arrays[0].size for arrays, _ in work)
    if sum(sizes) <= PIECE:
        for size, row in zip(sizes, rows, strict=True):
            kernel(0, size, 0, *row)
        return
    threads.deal_rows(kernel, rows, _cuts(sizes))


@functools.lru_cache(maxsize=64)
def _cuts(sizes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(begin, end, row) of the jobs; an optimizer asks for the same ones in every step."""
    return [
        (begin, min(begin + JOB, size), row)
        for row, size in enumerate(sizes)
        for begin in range(0, size, JOB)
    ]


# --- compiled loops -----------------------------------------------------------------------------------------


@intrinsic
def fill(typingctx: Any, vector: Any, number: Any) -> Any:
    """``number`` in every lane of a vector like ``vector``: how a formula writes its constants."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, value = signature.args[0].bits, args[1]
        if bits == 32:
            value = builder.fptrunc(value, llvm_element(32))
        return emit_splat(builder, value, bits)

    return vector(vector, types.float64), codegen


def _of_lanes(emit: Callable[[Any, Any], Any], text: str) -> Any:
    def typed(typingctx: Any, vector: Any) -> Any:
        return vector(vector), lambda context, builder, signature, args: emit(builder, args[0])

    typed.__doc__ = text
    return intrinsic(typed)


def _llvm(name: str) -> Callable[[Any, Any], Any]:
    """LLVM's own function of this name, for vectors."""

    def emit(builder: Any, value: Any) -> Any:
        kind = ir.FunctionType(value.type, [value.type])
        suffix = f"v{value.type.count}f{64 if isinstance(value.type.element, ir.DoubleType) else 32}"
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{suffix}"), [value]
        )

    return emit


sqrt = _of_lanes(_llvm("sqrt"), "The square root of every lane, correctly rounded; NaN below 0.")
size = _of_lanes(_llvm("fabs"), "|x| of every lane.")
negative = _of_lanes(lambda builder, value: builder.fneg(value), "-x of every lane, also of zeros.")


def unary(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel y = formula(x, a, b) from a formula on vectors and two numbers."""

    def loop(begin: int, end: int, worker: int, x: Array, y: Array, a: float, b: float, far: bool) -> None:
        stop = min(end * PIECE, x.size)
        for i in range(begin * PIECE, stop, lanes(x)):
            put(y, i, formula(load(x, i, stop - i), a, b), stop - i, far)

    return compiled(loop)


def binary(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel z = formula(x, y, a, b)."""

    def loop(
        begin: int, end: int, worker: int, x: Array, y: Array, z: Array, a: float, b: float, far: bool
    ) -> None:
        stop = min(end * PIECE, x.size)
        for i in range(begin * PIECE, stop, lanes(x)):
            put(z, i, formula(load(x, i, stop - i), load(y, i, stop - i), a, b), stop - i, far)

    return compiled(loop)
