"""A team of threads for compiled kernels, which hand work to one another without Python's lock.

A kernel may take 100 µs. Waking a thread that sleeps takes 50, Python's lock must change hands several times,
and every part of the work that a thread takes is one more call from Python. So here a whole kernel is *one*
call: the caller's thread writes down what is to be done (a *job*), and it and its helpers take parts of it
from a common counter, all of that in compiled code.

A helper that is done looks for more work for a moment (:data:`SPIN`), since in a network the next kernel
follows at once, and then goes to sleep in Python; so does a caller whose helpers take longer. OpenMP does the
same, but turns for some milliseconds. A helper that is woken is kept from its caller's core (``cores.py``).

A job is an array of int64: the counter, the pieces and parts, two addresses (the kernel's machine code, and a
small piece of code that calls it), the kernel's exit status, and then a word for each argument. An array's
word is the address of the Python object, in which data, shape and strides are found (``calls.py``).

Between two threads there is one word, the helper's *state*, and every change of it is one atomic instruction:

    READY   the helper looks for work       -> WORKING  by the caller
    ASLEEP  it waits for its lock ``go``    -> WORKING  by the caller, who then opens the lock
    WORKING                                 -> READY    by the helper, when no part is left
    AWAITED as WORKING, but the caller sleeps; the helper, when done, opens the lock ``done``
"""

from __future__ import annotations

import functools
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels import forks
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.atomics import add, exchange, invoke, pause, read, replace, write
from minidl.kernels.cpu.calls import MOST_ARGUMENTS, Entry, entry_of
from minidl.kernels.cpu.cores import UNKNOWN, current_core, keep_away

Array = np.ndarray[Any, Any]

#: How long a thread looks for work, or for the others' end, before it goes to sleep; seconds.
SPIN = 200e-6

READY, ASLEEP, WORKING, AWAITED = range(4)
#: Words of a helper's controls: the two that threads fight for have cache lines of their own.
STATE, JOB, WORKER, WOKEN, ENDED, CONTROLS = 0, 8, 9, 10, 11, 16
#: What :func:`run` and :func:`finish` give if it is not the number of a helper.
ALL_DONE, SOME_SLEEP = -1, -2
#: Words of a job.
NEXT, PIECES, PARTS, KERNEL, CALL, STATUS, TABLE, ARGUMENTS = 0, 8, 9, 10, 11, 12, 13, 16

#: A part of a job that has a range and arguments of its own: begin, end, row of arguments.
Cut = tuple[int, int, int]


# --- what the threads do ------------------------------------------------------------------------------------


@compiled
def take_parts(job: int, worker: int) -> None:
    """Work on parts of a job until none is left."""
    pieces, parts, table = read(job, PIECES), read(job, PARTS), read(job, TABLE)
    part = add(job, NEXT, 1)
    while part < parts:
        if table:
            begin, end, arguments = (
                read(table, 3 * part),
                read(table, 3 * part + 1),
                read(table, 3 * part + 2),
            )
        else:
            begin, end = part * pieces // parts, (part + 1) * pieces // parts
            arguments = job + 8 * ARGUMENTS
        status = invoke(read(job, CALL), read(job, KERNEL), arguments, begin, end, worker)
        if status != 0:
            write(job, STATUS, status)
        part = add(job, NEXT, 1)


@compiled
def serve(controls: int, spins: int) -> bool:
    """A helper's life between two sleeps. True: its caller sleeps and must be woken."""
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
    """Work too, then wait for helpers ``first``, ...; the number of one to sleep for, or ``ALL_DONE``."""
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


# --- threads ------------------------------------------------------------------------------------------------


class Helper:
    """A thread that works, looks for more, and sleeps. It ends when the helper is dropped (:meth:`end`)."""

    controls: Array | None = None  # as long as nothing is to be ended

    def __init__(self, kept: list[Any]) -> None:
        words = np.zeros(CONTROLS + 8, np.int64)
        controls = words[-words.ctypes.data // 8 % 8 :]  # from the beginning of a cache line on
        self.address = controls.ctypes.data
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.avoided = UNKNOWN  # the core that it was last told to keep away from
        self.controls = controls
        # The thread knows nothing of this object, or it would never be dropped.
        self.thread = threading.Thread(
            target=_live, args=(controls, self.go, self.done, kept), daemon=True, name="minidl"
        )
        self.thread.start()

    def wake(self, core: int) -> None:
        """Open its lock if it was asleep when it got its work. Its caller runs on this core."""
        assert self.controls is not None
        if self.controls[WOKEN]:
            self.controls[WOKEN] = 0
            if core != self.avoided:
                keep_away(self.thread.native_id or 0, core)
                self.avoided = core
            self.go.release()

    def end(self) -> None:
        """Let the thread end: at once if it sleeps, else when it is done with what it works on."""
        if self.controls is not None:
            self.controls[ENDED] = 1
            try:  # noqa: SIM105 (contextlib may be gone when the interpreter ends)
                self.go.release()
            except RuntimeError:  # it is open already
                pass

    __del__ = end


def _live(controls: Array, go: Any, done: Any, kept: list[Any]) -> None:
    """A helper's thread. It holds what its work reads and writes (``kept``), whoever else lets go of it."""
    address, patience = controls.ctypes.data, spins()
    while True:
        if serve(address, patience):
            done.release()
        else:
            go.acquire()
            if controls[ENDED]:
                return


class Team:
    """Helpers and the job that they share with whoever has the team at the moment."""

    def __init__(self) -> None:
        self.helpers: list[Helper] = []
        self.addresses = np.zeros(0, np.int64)
        words = np.zeros(ARGUMENTS + MOST_ARGUMENTS + 8, np.int64)
        self.job = words[-words.ctypes.data // 8 % 8 :]
        self.address = self.job.ctypes.data
        #: The job's words, and the arrays that it names: threads read and write them, and so keep them.
        self.kept: list[Any] = [words, None]

    def dismiss(self) -> None:
        """After an interruption: no further part is begun, and the threads end; wait for that."""
        self.job[NEXT] = 2**62
        for helper in self.helpers:
            helper.end()
        for helper in self.helpers:
            if helper.thread.is_alive():
                helper.thread.join()
        self.kept[1] = None

    def grow(self, count: int) -> None:
        """Have at least so many helpers."""
        while len(self.helpers) < count:
            self.helpers.append(Helper(self.kept))
        self.addresses = np.array([helper.address for helper in self.helpers], np.int64)

    def work(self, entry: Entry, pieces: int, parts: int, helpers: int, args: tuple[Any, ...]) -> int:
        """Call the kernel on all parts of range(pieces), with so many helpers; wait; its exit status."""
        self.kept[1] = args
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
        self.kept[1] = rows, words, table
        return self._run(entry, 0, len(cuts), helpers, table.ctypes.data)

    def _run(self, entry: Entry, pieces: int, parts: int, helpers: int, table: int) -> int:
        if helpers > len(self.helpers):
            self.grow(helpers)
        addresses = self.addresses[:helpers]
        _header.pack_into(self.job.data, 8 * PIECES, pieces, parts, entry.kernel, entry.call, 0, table)
        self.job[NEXT] = 0
        left = run(self.address, addresses, spins())
        if left == SOME_SLEEP:
            core = current_core()
            for helper in self.helpers[:helpers]:
                helper.wake(core)
            left = finish(self.address, addresses, 0, spins())
        while left != ALL_DONE:
            self.helpers[left].done.acquire()
            left = finish(self.address, addresses, left + 1, spins())
        return int(self.job[STATUS])


#: The team, while nobody has it; and where it is, whoever has it. One that was lost (Ctrl-C may come between
#: any two steps) is gone, and another one is made.
_spare: list[Team] = []
_known: weakref.ref[Team] | None = None
_choosing = forks.guarded(threading.Lock())
_header = struct.Struct("6q")


def deal(kernel: Any, pieces: int, parts: int, threads: int, args: tuple[Any, ...]) -> bool:
    """Call ``kernel(begin, end, worker, *args)`` on parts of range(pieces), on ``threads`` threads.

    Returns:
        False, and nothing was done, where the team is at work for another thread or cannot call the kernel.

    Raises:
        RuntimeError: the kernel raised an exception (compiled code can hardly: out of memory).
    """
    entry = entry_of(kernel, args)
    if entry is None:
        return False
    return _with_team(kernel, lambda team: team.work(entry, pieces, parts, threads - 1, args))


def deal_rows(kernel: Any, rows: list[tuple[Any, ...]], cuts: list[Cut], threads: int) -> bool:
    """Call ``kernel(begin, end, worker, *rows[row])`` for all the cuts; else as :func:`deal`."""
    entry = entry_of(kernel, rows[0])
    if entry is None or any(entry_of(kernel, args) is not entry for args in rows[1:]):
        return False
    helpers = min(threads, len(cuts)) - 1
    return _with_team(kernel, lambda team: team.work_on_rows(entry, rows, cuts, helpers))


def _take() -> Team | None:
    """The team, or None while another thread has it."""
    global _known
    with _choosing:
        if _spare:
            return _spare.pop()
        if _known is not None and _known() is not None:
            return None
        team = Team()
        _known = weakref.ref(team)
        return team


def _forget() -> None:
    global _known
    _spare.clear()
    _known = None


def _with_team(kernel: Any, work: Callable[[Team], int]) -> bool:
    team = _take()
    if team is None:
        return False
    try:
        status = work(team)
        team.kept[1] = None
    except BaseException:  # Ctrl-C, while helpers are at work or are yet to be woken
        _forget()  # nobody gets this team again
        team.dismiss()
        raise
    _spare.append(team)
    if status:
        raise RuntimeError(f"{kernel.__name__}: the compiled kernel failed with status {status}")
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads do not survive a fork
