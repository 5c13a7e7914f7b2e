"""Results that go to memory past the caches.

A core that stores a number first fetches the cache line around it, though nothing of that line will be left:
of three lines that y = f(x) moves (x in, y in, y out), one is moved for nothing. A *non-temporal* store says
that the line will be written whole; it is collected beside the caches and goes straight to memory.

That pays where the result would not be found in a cache by whoever reads it next: of a chain of relus each of
which reads what the one before it wrote, results of 4 MiB take 2.7 times as long this way, those of 32 MiB
three quarters of the time (last-level cache of 32 MiB; ``docs/cpu-kernels.md`` has the command). So arrays
from :data:`FAR` on are written so, others are not.

Other threads see such stores after the atomic instruction with which a thread takes its next part of the work
(``team.py``): on x86 every locked instruction waits for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.vectors import (
    I32,
    I64,
    VECTOR_BYTES,
    address,
    bits_of,
    emit_mask,
    emit_masked_store,
    emit_store,
    llvm_vector,
)  # fmt: skip

Array = np.ndarray[Any, Any]

#: Bytes of an array that is taken for too large to be in a cache when it is read next.
FAR = 2**24


def is_far(array: Array, row: int = 0) -> bool:
    """Whether a kernel may and should write this result past the caches.

    Args:
        array: flat; its vectors have to begin at multiples of their width, which the pool's arrays do.
        row: where the kernel begins its vectors: at multiples of so many elements; 0, only at the array's
            first one.

    >>> is_far(np.empty(100)), is_far(np.empty(FAR + 1, np.uint8)[1:])
    (False, False)
    """
    if array.nbytes < FAR or row * array.itemsize % VECTOR_BYTES:
        return False
    return array.ctypes.data % VECTOR_BYTES == 0


@intrinsic
def put(typingctx: Any, array: Any, position: Any, value: Any, count: Any, far: Any) -> Any:
    """``vectors.store``; a whole vector goes past the caches if ``far``, as :func:`is_far` gave it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = bits_of(signature.args[0])
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        whole = builder.icmp_signed(">=", args[3], ir.Constant(I64, llvm_vector(bits).count))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then, builder.if_else(args[4]) as (past, through):
                with past:
                    emit_past(builder, args[2], pointer, bits)
                with through:
                    emit_store(builder, args[2], pointer, bits)
            with otherwise:
                emit_masked_store(builder, args[2], pointer, emit_mask(builder, args[3], bits), bits)
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp, types.boolean), codegen


def emit_past(builder: Any, value: Any, pointer: Any, bits: int) -> None:
    """A whole vector to an address that is a multiple of its width, past the caches."""
    store = builder.store(value, builder.bitcast(pointer, llvm_vector(bits).as_pointer()))
    store.align = VECTOR_BYTES  # such stores exist for whole vectors only
    store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
