"""How compiled code calls a kernel whose arguments it does not know: machine code for each list of types.

Numba turns an argument into machine words in a way of its own (an array becomes seven). For each list of
types :func:`_emit_call` writes the small function that does it, from a row of words in memory: numbers as
they are, arrays as the addresses of their Python objects. So a thread that never touches Python's lock can
call any kernel, and the caller has only to write down the words.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE, RETCODE_OK
from numba.core.compiler_lock import global_compiler_lock
from numba.np.arrayobj import populate_array

from minidl.kernels.cpu.vectors import I64

Array = np.ndarray[Any, Any]

MOST_ARGUMENTS = 48


class Entry(NamedTuple):
    """A kernel for arguments of certain types, as the threads call it."""

    kernel: int  #: address of its machine code
    call: int  #: address of the code that takes a job's words and calls it
    kinds: tuple[Any, ...]  #: Numba's types of the arguments
    words: struct.Struct  #: how they are written
    arrays: tuple[int, ...]  #: which of them are arrays

    def write(self, memory: Array, at: int, args: tuple[Any, ...]) -> None:
        """Write the arguments to the words from ``at`` on."""
        values = list(args)
        for i in self.arrays:
            values[i] = id(values[i])
        self.words.pack_into(memory.data, 8 * at, *values)


_entries: dict[tuple[Any, bytes], Entry | None] = {}
_calls: dict[str, int] = {}
_kept: list[Any] = []  # code lives as long as its library


def entry_of(kernel: Any, args: tuple[Any, ...]) -> Entry | None:
    """The kernel's entry for arguments of these types, compiled if need be; None where there can be none."""
    key = kernel, compute_fingerprint(args)
    try:
        return _entries[key]
    except KeyError:
        with global_compiler_lock:
            found = _entries[key] = _make_entry(kernel, args)
            return found


def _make_entry(kernel: Any, args: tuple[Any, ...]) -> Entry | None:
    kinds = tuple(kernel.typeof_pyval(arg) for arg in (0, 0, 0, *args))
    if len(args) > MOST_ARGUMENTS or not (_numpy_is_as_expected() and all(map(_is_known, kinds))):
        return None
    kernel.compile(kinds)
    made = kernel.overloads[kinds]
    if made.signature.return_type != types.none:
        return None
    address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
    words = struct.Struct("".join("d" if isinstance(kind, types.Float) else "q" for kind in kinds[3:]))
    arrays = tuple(i for i, kind in enumerate(kinds[3:]) if isinstance(kind, types.Array))
    return Entry(address, _call_for(kernel.targetctx, kinds), kinds[3:], words, arrays)


def _is_known(kind: Any) -> bool:
    return isinstance(kind, types.Array | types.Integer | types.Float | types.Boolean)


def _call_for(context: Any, kinds: tuple[Any, ...]) -> int:
    """Address of ``int64 call(kernel, words, begin, end, worker)``: one for all kernels of these types."""
    key = ", ".join(map(str, kinds))
    if key not in _calls:
        name = f"minidl_call_{len(_calls)}"
        library = context.codegen().create_library(name)
        module = library.create_ir_module(name)
        _emit_call(context, module, name, kinds)
        library.add_ir_module(module)
        library.finalize()
        _kept.append(library)
        _calls[key] = library.get_pointer_to_function(name)
    return _calls[key]


def _emit_call(context: Any, module: Any, name: str, kinds: tuple[Any, ...]) -> None:
    """The code: Numba's convention wants a place for the result, one for an exception, and the arguments."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 5), name)
    builder = ir.IRBuilder(function.append_basic_block())
    kernel, words, begin, end, worker = function.args
    arguments = builder.inttoptr(words, I64.as_pointer())
    values = [begin, end, worker]
    for i, kind in enumerate(kinds[3:]):
        word = builder.load(builder.gep(arguments, [ir.Constant(I64, i)]))
        values.append(_emit_argument(context, builder, kind, word))
    convention = context.call_conv
    target = builder.inttoptr(kernel, convention.get_function_type(types.none, kinds).as_pointer())
    places = [cgutils.alloca_once(builder, kind.pointee) for kind in target.type.pointee.args[:2]]
    flat = context.get_arg_packer(kinds).as_arguments(builder, values)
    status = builder.call(target, [*places, *flat])
    fine = builder.or_(
        builder.icmp_signed("==", status, RETCODE_OK), builder.icmp_signed("==", status, RETCODE_NONE)
    )
    builder.ret(builder.select(fine, ir.Constant(I64, 0), builder.sext(status, I64)))


def _emit_argument(context: Any, builder: Any, kind: Any, word: Any) -> Any:
    """An argument out of its word, as Numba represents it.

    The caller holds on to the arrays while the job lasts, so nobody has to count references here.
    """
    if isinstance(kind, types.Array):
        return _emit_array(context, builder, kind, word)
    target = context.get_value_type(kind)
    if isinstance(kind, types.Boolean):
        return builder.icmp_signed("!=", word, ir.Constant(I64, 0))
    if isinstance(kind, types.Float):
        number = builder.bitcast(word, ir.DoubleType())
        return number if kind == types.float64 else builder.fptrunc(number, target)
    return word if target == I64 else builder.trunc(word, target)


#: Where an array's object has the addresses of its data, its shape and its strides, in words: behind what
#: every Python object begins with come data, number of dimensions, shape, strides. Numba relies on the same.
_DATA = object.__basicsize__ // 8
_SHAPE, _STRIDES = _DATA + 2, _DATA + 3


def _emit_array(context: Any, builder: Any, kind: Any, word: Any) -> Any:
    def word_at(address: Any, index: int) -> Any:
        place = builder.inttoptr(address, I64.as_pointer())
        return builder.load(builder.gep(place, [ir.Constant(I64, index)]))

    made = context.make_array(kind)(context, builder)
    shape, strides = (
        [word_at(word_at(word, at), axis) for axis in range(kind.ndim)] for at in (_SHAPE, _STRIDES)
    )
    data = builder.inttoptr(word_at(word, _DATA), made.data.type)
    itemsize = ir.Constant(I64, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    populate_array(made, data, shape, strides, itemsize, None)
    return made._getvalue()


@functools.cache
def _numpy_is_as_expected() -> bool:
    """Whether an array's object looks as NumPy's C interface says, in this Python."""
    if object.__basicsize__ % 8 or np.intp(0).nbytes != 8:
        return False
    array = np.zeros((7, 5), np.float32)[:, :3]
    words = (ctypes.c_int64 * (_STRIDES + 1)).from_address(id(array))
    pairs = ctypes.c_int64 * 2
    shape, strides = (tuple(pairs.from_address(words[at])) for at in (_SHAPE, _STRIDES))
    return (words[_DATA], shape, strides) == (array.ctypes.data, array.shape, array.strides)
