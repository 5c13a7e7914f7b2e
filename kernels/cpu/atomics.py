"""Words of memory that several threads read and write, for compiled code; and a call by address.

An *atomic* instruction is done as a whole: nobody sees half of it, and of two threads that change a word one
comes first. Each is a single instruction of the CPU, where Python would have to take a lock.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.vectors import I32, I64


def _word(builder: Any, address: Any, index: Any) -> Any:
    return builder.gep(builder.inttoptr(address, I64.as_pointer()), [index])


@intrinsic
def read(typingctx: Any, address: Any, index: Any) -> Any:
    """The word ``index`` behind an address, and after it all that was written before it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_word(builder, *args), "acquire", 8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def write(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Set a word; whoever reads it sees all that was written before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _word(builder, *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _change(operation: str) -> Any:
    def typed(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw(operation, _word(builder, *args[:2]), args[2], "seq_cst")

        return types.int64(types.int64, types.int64, types.int64), codegen

    return intrinsic(typed)


#: Set a word, or add to it; both give what it was.
exchange, add = _change("xchg"), _change("add")


@intrinsic
def replace(typingctx: Any, address: Any, index: Any, expected: Any, value: Any) -> Any:
    """Set a word if it still is what is expected; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = _word(builder, *args[:2])
        return builder.extract_value(builder.cmpxchg(word, args[2], args[3], "seq_cst", "seq_cst"), 1)

    return types.boolean(*[types.int64] * 4), codegen


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tell the core that this is a waiting loop."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        machine = builder.module.triple.split("-")[0]
        if machine == "x86_64":
            kind, name, hint = ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause", []
        elif machine == "aarch64":
            kind, name = ir.FunctionType(ir.VoidType(), [I32]), "llvm.aarch64.hint"
            hint = [ir.Constant(I32, 1)]  # the number of its instruction "yield"
        else:
            return context.get_dummy_value()
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), hint)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def invoke(typingctx: Any, call: Any, kernel: Any, arguments: Any, begin: Any, end: Any, worker: Any) -> Any:
    """Run the code at ``call``, which calls the kernel with the arguments; the kernel's exit status."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I64, [I64] * 5)
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(*[types.int64] * 6), codegen
