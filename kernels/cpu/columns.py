"""Columns of classes: what softmax and cross-entropy share.

A *column* is what a softmax sums over: the logits of one pixel. A vector holds the same class of
neighbouring pixels, so that every step (maximum, exponential, sum, quotient) is one instruction for 16
pixels and nothing is ever summed across lanes. Where the classes of a pixel are neighbours in memory
(channels-last) the vector is gathered, one number of each pixel; where the pixels are neighbours it is
loaded.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import fill
from minidl.kernels.cpu.vectors import (
    I32,
    I64,
    VECTOR_BYTES,
    Vector,
    address,
    bits_of,
    emit_mask,
    llvm_element,
    llvm_vector,
    load,
    store,
    where_equal,
)

Array = np.ndarray[Any, Any]

#: Pixels in a piece of work.
BLOCK = 1024


class Grid(NamedTuple):
    """Where the logits of (outer, classes, inner) lie: ``groups`` times ``pixels`` columns."""

    groups: int
    pixels: int
    classes: int
    pixel_step: int
    class_step: int

    @property
    def blocks(self) -> int:
        """Pieces of work in each group."""
        return -(-self.pixels // BLOCK)


def grid(outer: int, classes: int, inner: int) -> Grid:
    """The grid of memory in this order."""
    if inner == 1:
        return Grid(1, outer, classes, classes, 1)
    return Grid(outer, inner, classes, 1, inner)


def grid_in(shape: tuple[int, ...], order: tuple[int, ...], axis: int) -> Grid:
    """The grid of an array whose axes lie in this order in memory."""
    place = order.index(axis)
    outer, inner = (math.prod(shape[a] for a in part) for part in (order[:place], order[place + 1 :]))
    return grid(outer, shape[axis], inner)


def _places(context: Any, builder: Any, array_type: Any, args: Any) -> tuple[Any, Any]:
    """Addresses of numbers ``step`` apart, and the mask of the first ``count`` of them."""
    array, position, step, count = args
    bits, width = bits_of(array_type), VECTOR_BYTES * 8 // bits_of(array_type)
    start = builder.ptrtoint(address(context, builder, array_type, array, position), I64)
    stride = builder.mul(step, ir.Constant(I64, bits // 8))
    kind = ir.VectorType(I64, width)

    def spread(value: Any) -> Any:
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, width), [0] * width)
        return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    numbers = ir.Constant(kind, list(range(width)))
    addresses = builder.add(spread(start), builder.mul(numbers, spread(stride)))
    pointers = builder.inttoptr(addresses, ir.VectorType(llvm_element(bits).as_pointer(), width))
    return pointers, emit_mask(builder, count, bits)


@intrinsic
def _gather(typingctx: Any, array: Any, position: Any, step: Any, count: Any) -> Any:
    """Numbers ``step`` apart; lanes from ``count`` on are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = bits_of(signature.args[0])
        pointers, mask = _places(context, builder, signature.args[0], args)
        vector = llvm_vector(bits)
        kind = ir.FunctionType(vector, [pointers.type, I32, mask.type, vector])
        name = f"llvm.masked.gather.v{vector.count}f{bits}.v{vector.count}p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        none = ir.Constant(vector, [0.0] * vector.count)
        return builder.call(function, [pointers, ir.Constant(I32, bits // 8), mask, none])

    return Vector(bits_of(array))(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def _scatter(typingctx: Any, array: Any, position: Any, step: Any, value: Any, count: Any) -> Any:
    """Write the first ``count`` lanes ``step`` apart."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, position, step, value, count = args
        bits = bits_of(signature.args[0])
        pointers, mask = _places(context, builder, signature.args[0], (array, position, step, count))
        kind = ir.FunctionType(ir.VoidType(), [value.type, pointers.type, I32, mask.type])
        name = f"llvm.masked.scatter.v{value.type.count}f{bits}.v{value.type.count}p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [value, pointers, ir.Constant(I32, bits // 8), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value, types.intp), codegen


@compiled
def load_apart(array: Array, position: int, step: int, count: int) -> Any:
    """The vector of numbers ``step`` apart, the first ``count`` of them."""
    if step == 1:
        return load(array, position, count)
    return _gather(array, position, step, count)


@compiled
def store_apart(array: Array, position: int, step: int, value: Any, count: int) -> None:
    """Write the first ``count`` lanes ``step`` apart."""
    if step == 1:
        store(array, position, value, count)
    else:
        _scatter(array, position, step, value, count)


@intrinsic
def swapped(typingctx: Any, vector: Any) -> Any:
    """Neighbouring lanes exchanged: of two classes that are neighbours in memory, the other one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_vector(signature.args[0].bits)
        lanes = ir.Constant(ir.VectorType(I32, kind.count), [lane ^ 1 for lane in range(kind.count)])
        return builder.shuffle_vector(args[0], ir.Constant(kind, ir.Undefined), lanes)

    return vector(vector), codegen


@compiled
def finite_or_zero(lost: Any) -> Any:
    """What rounding has cut off a sum; 0 where the sum is infinite, and infinity less infinity came out."""
    return where_equal(lost, lost, lost, fill(lost, 0.0))
