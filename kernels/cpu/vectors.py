"""Explicit vectors for compiled kernels: load, compute, store, a register's worth of numbers at a time.

A CPU core multiplies and adds 16 float32 (AVX-512), 8 (AVX2) or 4 (NEON, SSE) in one instruction. Compilers
find such instructions by themselves only in simple loops; the transforms and products of a convolution have
too many streams of memory that *might* overlap. So here the vectors are written down. Numba calls a function
decorated with ``@intrinsic`` while it compiles, and what the function emits is LLVM's intermediate code, in
which a vector of 16 floats is a type like any other; LLVM turns it into the machine's instructions. Named a
vector that is wider than the registers, LLVM splits it: the code stays right, only slower.

Inside a compiled kernel::

    for i in range(0, n, lanes(x)):
        count = n - i                                    # of numbers left: lanes beyond it are not touched
        v = load(x, i, count)
        store(y, i, fma(v, v, splat(x, 1)), count)       # y = x² + 1

Arrays are flat and in C order; positions count elements. float32 and float64 run through the same text, with
half as many lanes for float64. Nothing here reorders a sum or assumes that numbers are finite: what is
written is what is computed, so results are the same bits on every machine with a fused multiply-add.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model

from minidl.kernels import environment

I32, I64 = ir.IntType(32), ir.IntType(64)


def _features() -> dict[str, bool]:
    """What the CPU can do that code is generated for.

    With NUMBA_CPU_NAME another one than this is meant, which LLVM knows but does not describe: without
    NUMBA_CPU_FEATURES it is taken for one with AVX2, as all x86 since 2013.
    """
    if config.CPU_NAME and config.CPU_NAME != binding.get_host_cpu_name():
        return {"avx512f": "+avx512f" in (config.CPU_FEATURES or ""), "avx2": True}
    return dict(binding.get_host_cpu_features())


def _vector_bytes() -> int:
    """Width of that CPU's registers; ``MINIDL_VECTOR_BYTES`` overrides."""
    if given := environment.vector_bytes():
        return given
    if _features().get("avx512f"):
        return 64
    return 32 if _features().get("avx2") else 16  # NEON's width: generated, but untested here


VECTOR_BYTES = _vector_bytes()
#: Whether there is an instruction that multiplies a vector by powers of two.
SCALES = VECTOR_BYTES == 64 and bool(_features().get("avx512f"))
#: AVX-512 and NEON have 32 vector registers, AVX2 has 16: how large a tile of sums they can hold.
REGISTERS = 16 if VECTOR_BYTES == 32 else 32


def lanes_of(itemsize: int) -> int:
    """Numbers in a vector, for elements of so many bytes."""
    return VECTOR_BYTES // itemsize


class Vector(types.Type):
    """Numba's type of a vector of floats of ``bits`` bits each."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(name=f"Vector(float{bits} x {VECTOR_BYTES * 8 // bits})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, llvm_vector(vector.bits))


def llvm_element(bits: int) -> ir.Type:
    """LLVM's float or double."""
    return ir.FloatType() if bits == 32 else ir.DoubleType()


def llvm_vector(bits: int) -> ir.VectorType:
    """LLVM's vector of a register's width."""
    return ir.VectorType(llvm_element(bits), VECTOR_BYTES * 8 // bits)


def bits_of(array: types.Array) -> int:
    """32 or 64, of an array of floats."""
    return array.dtype.bitwidth


# --- pieces of LLVM code, for this file and for those that generate whole kernels ---------------------------


def address(context: Any, builder: Any, array_type: types.Array, array: Any, position: Any) -> Any:
    """Pointer to element ``position`` of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [position])


def emit_load(builder: Any, pointer: Any, bits: int) -> Any:
    """A whole vector from any address."""
    value = builder.load(builder.bitcast(pointer, llvm_vector(bits).as_pointer()))
    value.align = bits // 8  # of an element: the array may begin anywhere
    return value


def emit_store(builder: Any, value: Any, pointer: Any, bits: int) -> None:
    """A whole vector to any address."""
    builder.store(value, builder.bitcast(pointer, llvm_vector(bits).as_pointer())).align = bits // 8


def emit_splat(builder: Any, scalar: Any, bits: int) -> Any:
    """The same number in every lane."""
    vector = llvm_vector(bits)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def constant(value: float, bits: int) -> Any:
    """A number known while compiling, in every lane."""
    vector = llvm_vector(bits)
    return ir.Constant(vector, [float(value)] * vector.count)


def emit_fma(builder: Any, a: Any, b: Any, c: Any, bits: int) -> Any:
    """a·b + c, rounded once."""
    return _call(builder, "llvm.fma", bits, a, b, c)


def _suffix(bits: int) -> str:
    return f"v{VECTOR_BYTES * 8 // bits}f{bits}"


def _call(builder: Any, name: str, bits: int, *args: Any) -> Any:
    vector = llvm_vector(bits)
    kind = ir.FunctionType(vector, [vector] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.{_suffix(bits)}")
    return builder.call(function, args)


def emit_mask(builder: Any, count: Any, bits: int) -> Any:
    """Lanes 0 .. count-1."""
    lanes = llvm_vector(bits).count
    numbers = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    one = builder.insert_element(ir.Constant(numbers.type, ir.Undefined), count, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    counts = builder.shuffle_vector(one, ir.Constant(numbers.type, ir.Undefined), zeros)
    return builder.icmp_signed("<", numbers, counts)


def emit_masked_load(builder: Any, pointer: Any, mask: Any, bits: int) -> Any:
    """A vector whose other lanes are 0; memory behind them is not touched."""
    vector = llvm_vector(bits)
    kind = ir.FunctionType(vector, [vector.as_pointer(), I32, mask.type, vector])
    name = f"llvm.masked.load.{_suffix(bits)}.p0"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    place = builder.bitcast(pointer, vector.as_pointer())
    return builder.call(function, [place, ir.Constant(I32, bits // 8), mask, constant(0, bits)])


def emit_masked_store(builder: Any, value: Any, pointer: Any, mask: Any, bits: int) -> None:
    """Store the lanes of the mask only."""
    vector = llvm_vector(bits)
    kind = ir.FunctionType(ir.VoidType(), [vector, vector.as_pointer(), I32, mask.type])
    name = f"llvm.masked.store.{_suffix(bits)}.p0"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    place = builder.bitcast(pointer, vector.as_pointer())
    builder.call(function, [value, place, ir.Constant(I32, bits // 8), mask])


def emit_total(builder: Any, value: Any) -> Any:
    """The sum of a vector's lanes, halves added to halves."""
    count = value.type.count
    while count > 1:
        count //= 2
        low, high = (
            ir.Constant(ir.VectorType(I32, count), list(range(first, first + count))) for first in (0, count)
        )
        none = ir.Constant(value.type, ir.Undefined)
        value = builder.fadd(
            builder.shuffle_vector(value, none, low), builder.shuffle_vector(value, none, high)
        )
    return builder.extract_element(value, ir.Constant(I32, 0))


def emit_prefetch(builder: Any, pointer: Any, write: bool = False) -> None:
    """Ask for the cache line that holds an element, to read or to write it; no address is wrong."""
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_write, into_all_caches, data = (ir.Constant(I32, value) for value in (int(write), 3, 1))
    builder.call(function, [pointer, to_write, into_all_caches, data])


# --- for use in kernels -------------------------------------------------------------------------------------


def lanes(array: Any) -> int:
    """Numbers in a vector of the array's dtype (a constant of the compiled code)."""
    return lanes_of(array.itemsize)


@overload(lanes, strict=False, inline="always")
def _lanes(array: Any) -> Callable[..., Any]:
    count = VECTOR_BYTES * 8 // bits_of(array)
    return lambda array: count


@intrinsic
def load(typingctx: Any, array: Any, position: Any, count: Any) -> Any:
    """The vector at ``position``; where fewer than a whole one are left (``count``), the others are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = bits_of(signature.args[0])
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        whole = builder.icmp_signed(">=", args[2], ir.Constant(I64, llvm_vector(bits).count))
        # A branch, not always a mask: all but the last vector of a row are whole, and AVX2's masks are slow.
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                first, end_first = emit_load(builder, pointer, bits), builder.block
            with otherwise:
                second = emit_masked_load(builder, pointer, emit_mask(builder, args[2], bits), bits)
                end_second = builder.block
        result = builder.phi(llvm_vector(bits))
        result.add_incoming(first, end_first)
        result.add_incoming(second, end_second)
        return result

    return Vector(bits_of(array))(array, types.intp, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, position: Any, value: Any, count: Any) -> Any:
    """Write the vector, or its first ``count`` lanes where that is fewer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = bits_of(signature.args[0])
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        whole = builder.icmp_signed(">=", args[3], ir.Constant(I64, llvm_vector(bits).count))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                emit_store(builder, args[2], pointer, bits)
            with otherwise:
                emit_masked_store(builder, args[2], pointer, emit_mask(builder, args[3], bits), bits)
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp), codegen


@intrinsic
def splat(typingctx: Any, array: Any, number: Any) -> Any:
    """``number`` in every lane, in the array's dtype."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_splat(builder, args[1], bits_of(signature.args[0]))

    return Vector(bits_of(array))(array, array.dtype), codegen


def _ternary(name: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _call(builder, name, signature.return_type.bits, *args)

        return a(a, a, a), codegen

    return intrinsic(typed)


fma = _ternary("llvm.fma")


def _binary(instruction: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return a(a, a), codegen

    return intrinsic(typed)


_add, _sub, _mul, _div = (_binary(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _operator(symbol: Any, function: Any) -> None:
    """Let a vector stand left and right of an arithmetic sign."""

    @overload(symbol, strict=False, inline="always")
    def _typed(a: Any, b: Any) -> Any:
        if isinstance(a, Vector) and a == b:
            return lambda a, b: function(a, b)
        return None


for _symbol, _function in (
    (operator.add, _add),
    (operator.sub, _sub),
    (operator.mul, _mul),
    (operator.truediv, _div),
):
    _operator(_symbol, _function)


def _choice(comparison: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any, then: Any, otherwise: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, args[0], args[1]), args[2], args[3])

        return a(a, a, then, otherwise), codegen

    return intrinsic(typed)


#: where_less(a, b, x, y): x in the lanes where a < b, else y (where a or b is NaN, too). The others likewise.
where_less, where_at_most, where_equal = _choice("<"), _choice("<="), _choice("==")


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:
    """The sum of the lanes: the same order on every machine of this width."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_total(builder, args[0])

    return types.Float(f"float{vector.bits}")(vector), codegen
