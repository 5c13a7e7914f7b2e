"""A team of threads for compiled kernels, which hand work to one another without Python's lock.

A kernel may take 100 µs. Waking a thread that sleeps takes 50, Python's lock must change hands several times,
and every part of the work that a thread takes is one more call from Python. So here a whole kernel is *one*
call: the caller's thread writes down what is to be done (a *job*), and it and its helpers take parts of it
from a common counter, all of that in compiled code.

A helper that is done looks for more work for a moment (:data:`SPIN`), since in a network the next kernel
follows at once, and then goes to sleep in Python; so does a caller whose helpers take longer. OpenMP does the
same, but turns for some milliseconds.

A job is an array of int64: the counter, the pieces and parts, two addresses (the kernel's machine code, and a
small piece of code that calls it), the kernel's exit status, and then a word for each argument. An array's
word is the address of the Python object, in which data, shape and strides are found (:func:`_emit_array`).

Between two threads there is one word, the helper's *state*, and every change of it is one atomic instruction:

    READY   the helper looks for work       -> WORKING  by the caller
    ASLEEP  it waits for its lock ``go``    -> WORKING  by the caller, who then opens the lock
    WORKING                                 -> READY    by the helper, when no part is left
    AWAITED as WORKING, but the caller sleeps; the helper, when done, opens the lock ``done``
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import threading
import time
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE, RETCODE_OK
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from minidl.kernels.cpu import compiled

Array = np.ndarray[Any, Any]

#: How long a thread looks for work, or for the others' end, before it goes to sleep; seconds.
SPIN = 200e-6

READY, ASLEEP, WORKING, AWAITED = range(4)
#: Words of a helper's controls: the two that threads fight for have cache lines of their own.
STATE, JOB, WORKER, WOKEN, CONTROLS = 0, 8, 9, 10, 16
#: What :func:`run` and :func:`finish` give if it is not the number of a helper.
ALL_DONE, SOME_SLEEP = -1, -2
#: Words of a job.
NEXT, PIECES, PARTS, KERNEL, CALL, STATUS, TABLE, ARGUMENTS = 0, 8, 9, 10, 11, 12, 13, 16
MOST_ARGUMENTS = 48

I32, I64, POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()


# --- memory that several threads read and write -------------------------------------------------------------


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


# --- what the threads do ------------------------------------------------------------------------------------


@compiled
def take_parts(job: int, worker: int) -> None:
    """Work on parts of a job until none is left."""
    pieces, parts, table = read(job, PIECES), read(job, PARTS), read(job, TABLE)
    part = add(job, NEXT, 1)
    while part < parts:
        if table:
            begin, end, arguments = read(table, 3 * part), read(table, 3 * part + 1), read(table, 3 * part + 2)
        else:
            begin, end = part * pieces // parts, (part + 1) * pieces // parts
            arguments = job + 8 * ARGUMENTS
        status = invoke(read(job, CALL), read(job, KERNEL), arguments, begin, end, worker)
        if status != 0:
            write(job, STATUS, status)
        part = add(job, NEXT, 1)


@compiled
def serve(controls: int, spins: int) -> bool:
    """A helper's life between two sleeps. True: its caller sleeps and must be woken; False: nothing to do."""
    while True:
        count = 0
        while read(controls, STATE) < WORKING:  # AWAITED already, perhaps: it slept deeply
            pause()
            count += 1
            if count > spins and replace(controls, STATE, READY, ASLEEP):
                return False
        take_parts(read(controls, JOB), read(controls, WORKER))
        if exchange(controls, STATE, READY) == AWAITED:
            return True


@compiled
def begin(job: int, helpers: Array) -> int:
    """Give the job to helpers (their controls' addresses); how many are asleep and must be woken."""
    asleep = 0
    for i in range(helpers.size):
        write(helpers[i], JOB, job)
        write(helpers[i], WORKER, i + 1)
        if exchange(helpers[i], STATE, WORKING) == ASLEEP:
            write(helpers[i], WOKEN, 1)
            asleep += 1
    return asleep


@compiled
def finish(job: int, helpers: Array, first: int, spins: int) -> int:
    """Work too, then wait for helpers ``first``, ...; the number of one for which to sleep, or ``ALL_DONE``."""
    take_parts(job, 0)
    for i in range(first, helpers.size):
        count = 0
        while read(helpers[i], STATE) >= WORKING:
            pause()
            count += 1
            if count > spins and replace(helpers[i], STATE, WORKING, AWAITED):
                return i
    return ALL_DONE


@compiled
def run(job: int, helpers: Array, spins: int) -> int:
    """As ``finish`` where no helper is asleep; else ``SOME_SLEEP``: it has only begun."""
    if begin(job, helpers) > 0:
        return SOME_SLEEP
    return finish(job, helpers, 0, spins)


@compiled
def _turn(count: int) -> None:
    for _ in range(count):
        pause()


@functools.cache
def spins() -> int:
    """How often :data:`SPIN` lets a loop turn on this machine."""
    _turn(1)
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        _turn(1000)
        took.append(time.perf_counter() - begun)
    return int(1000 * SPIN / min(took))


# --- how compiled code calls a kernel ------------------------------------------------------------------------


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
        self.words.pack_into(memory, 8 * at, *values)


#: A part of a job that has a range and arguments of its own: begin, end, row of arguments.
Cut = tuple[int, int, int]

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


#: Where an array's object has the addresses of its data, of its shape and of its strides, in words: behind what
#: every Python object begins with, data, number of dimensions, shape, strides. Numba relies on the same.
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


# --- threads ------------------------------------------------------------------------------------------------


class Helper:
    """A thread that works, looks for more, and sleeps."""

    def __init__(self) -> None:
        words = np.zeros(CONTROLS + 8, np.int64)
        self.controls = words[-words.ctypes.data // 8 % 8 :]  # from the beginning of a cache line on
        self.address = self.controls.ctypes.data
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        threading.Thread(target=self._live, daemon=True, name="minidl").start()

    def wake(self) -> None:
        """Open its lock if it was asleep when it got its work."""
        if self.controls[WOKEN]:
            self.controls[WOKEN] = 0
            self.go.release()

    def _live(self) -> None:
        patience = spins()
        while True:
            if serve(self.address, patience):
                self.done.release()
            else:
                self.go.acquire()


class Team:
    """Helpers and the job that they share with whoever has the team at the moment."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.helpers: list[Helper] = []
        self.addresses = np.zeros(0, np.int64)
        words = np.zeros(ARGUMENTS + MOST_ARGUMENTS + 8, np.int64)
        self.job = words[-words.ctypes.data // 8 % 8 :]
        self.address = self.job.ctypes.data

    def grow(self, count: int) -> None:
        """Have at least so many helpers."""
        while len(self.helpers) < count:
            self.helpers.append(Helper())
        self.addresses = np.array([helper.address for helper in self.helpers], np.int64)

    def work(self, entry: Entry, pieces: int, parts: int, helpers: int, args: tuple[Any, ...]) -> int:
        """Call the kernel on all parts of range(pieces), with so many helpers; wait; its exit status."""
        entry.write(self.job, ARGUMENTS, args)
        return self._run(entry, pieces, parts, helpers, 0)

    def work_on_rows(self, entry: Entry, rows: list[tuple[Any, ...]], cuts: list[Cut], helpers: int) -> int:
        """The same with a range and a row of arguments for every part."""
        size = len(entry.kinds)
        words = np.empty(len(rows) * size, np.int64)
        for i, args in enumerate(rows):
            entry.write(words, i * size, args)
        table = np.array(cuts, np.int64)  # begin, end, row
        table[:, 2] = words.ctypes.data + 8 * size * table[:, 2]
        return self._run(entry, 0, len(cuts), helpers, table.ctypes.data)

    def _run(self, entry: Entry, pieces: int, parts: int, helpers: int, table: int) -> int:
        if helpers > len(self.helpers):
            self.grow(helpers)
        addresses = self.addresses[:helpers]
        _header.pack_into(self.job, 8 * PIECES, pieces, parts, entry.kernel, entry.call, 0, table)
        self.job[NEXT] = 0
        left = run(self.address, addresses, spins())
        if left == SOME_SLEEP:
            for helper in self.helpers[:helpers]:
                helper.wake()
            left = finish(self.address, addresses, 0, spins())
        while left != ALL_DONE:
            self.helpers[left].done.acquire()
            left = finish(self.address, addresses, left + 1, spins())
        return int(self.job[STATUS])


_team = Team()
_header = struct.Struct("6q")


def deal(kernel: Any, pieces: int, parts: int, threads: int, args: tuple[Any, ...]) -> bool:
    """Call ``kernel(begin, end, worker, *args)`` on parts of range(pieces), on ``threads`` threads.

    Returns:
        False, and nothing was done, where the team is at work for another thread or cannot call the kernel.

    Raises:
        RuntimeError: the kernel raised an exception (compiled code can hardly: out of memory).
    """
    entry = entry_of(kernel, args)
    if entry is None or not _team.lock.acquire(blocking=False):
        return False
    try:
        status = _team.work(entry, pieces, parts, threads - 1, args)
    finally:
        _team.lock.release()
    _check(kernel, status)
    return True


def deal_rows(kernel: Any, rows: list[tuple[Any, ...]], cuts: list[Cut], threads: int) -> bool:
    """Call ``kernel(begin, end, worker, *rows[row])`` for all the cuts; else as :func:`deal`."""
    entries = {entry_of(kernel, args) for args in rows}
    entry = entries.pop()
    if entry is None or entries or not _team.lock.acquire(blocking=False):
        return False
    try:
        status = _team.work_on_rows(entry, rows, cuts, min(threads, len(cuts)) - 1)
    finally:
        _team.lock.release()
    _check(kernel, status)
    return True


def _check(kernel: Any, status: int) -> None:
    if status:
        raise RuntimeError(f"{kernel.__name__}: the compiled kernel failed with status {status}")


def _after_fork() -> None:
    global _team
    _team = Team()  # threads do not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
