"""A kernel in a process of its own: the file's code can neither end this one, nor outlive it.

``runtime/process`` is that process: small, with limits on time and memory, and without the system calls by
which it could start another program, write a file or use a network, where the system lets it give them up. It
loads the compiled file, which runs the constructors of its global objects, and describes or runs a kernel.
This side compiles, lays out the arrays in memory that both see, and reads the reply. No reply, or a wrong
one, is a finding.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import secrets
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minidl.kernels import caching
from minidl.kernels.sim import arguments, compiler, counts, launching, processes
from minidl.kernels.sim.arguments import Memory
from minidl.kernels.sim.compiled import MAX_STATIC_SHARED
from minidl.kernels.sim.counts import Counts
from minidl.kernels.sim.findings import KINDS, Finding, Index
from minidl.kernels.sim.launching import RawFinding, Reader
from minidl.kernels.sim.module import RawModule
from minidl.kernels.sim.processes import Ended, Limits

#: As in runtime/process/runner.cpp.
DESCRIBED, RAN, CANNOT_LOAD, NO_MEMORY = range(4)
#: Seconds after its time that a process has to end by itself, with a finding that names the line.
GRACE = 5.0
#: Bytes of a reply.
_MOST = 2**26


class LoadError(RuntimeError):
    """The compiled code cannot be loaded, or ends its process while it is. The message is one line."""


class MemoryLimit(ValueError):
    """The arrays need more memory to be checked than is allowed. The message is one line."""


class _NoReply(Exception):
    """The process has ended without a whole reply; the text says how.

    ``kind`` is that of the finding which this is.
    """

    def __init__(self, how: str, kind: str = "crash") -> None:
        super().__init__(how)
        self.kind = kind


@dataclass(frozen=True)
class Description:
    """What the compiled code says of a kernel.

    Attributes:
        signature: of each parameter its type ("P" for an array), what it points to, and r or w for that.
        max_threads: of a block.
        shared_bytes: static shared memory.
    """

    signature: list[tuple[str, str, str]]
    max_threads: int
    shared_bytes: int


class ConfinedKernel:
    """A kernel of a source, which is compiled for check mode at once, and loaded only in other processes.

    Args:
        module: the source.
        name: of the kernel.
        limits: of compiling and of each run.

    Raises:
        CompileError, NoCompiler, SourceError: it cannot be compiled.
        ValueError: there is no such kernel.
    """

    def __init__(self, module: RawModule, name: str, limits: Limits) -> None:
        self._kernel = module.get_function(name)  # which says what there is, if not this
        self.file, self.name, self.limits = module.file, name, limits
        self.path = module.built("check", limits)
        self._lines: dict[int, tuple[str, int]] = {}  # of code, as far as they were looked up

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self._kernel.parameters

    @functools.cached_property
    def description(self) -> Description:
        """What the compiled code says of it, for which the code is loaded.

        Raises:
            LoadError: it cannot be.
        """
        try:
            reply = self._ask(struct.pack("=i", 0), DESCRIBED)
            confined = reply.number("I")
            words = reply.text().decode("ascii").split(" ")
            found = Description(list(zip(*words, strict=True)), reply.number("i"), reply.number("Q"))
        except (_NoReply, ValueError) as error:
            raise LoadError(
                f"{self.file}: its code ended the process that loaded it: {error}; a constructor of a global"
                " object runs then: see what those do"
            ) from None
        if len(found.signature) != len(self.parameters):
            raise LoadError(
                f"{self.file}: the parameters of {self.name} are not understood; name each of them"
            )
        if not 1 <= found.max_threads:
            raise ValueError(
                f"{self.name}: __launch_bounds__({found.max_threads}): a block has at least one thread"
            )
        if found.shared_bytes > MAX_STATIC_SHARED:
            raise ValueError(
                f"{self.name}: {found.shared_bytes} bytes of static shared memory; a kernel may have"
                f" {MAX_STATIC_SHARED}"
            )
        if confined < 2:
            network = "" if confined else ", nor the network"
            caching.note(
                f"this system does not let a process give up its rights: new processes{network} and files are"
                " not closed to the file's code"
            )
        return found

    def run(
        self,
        grid: Index,
        block: Index,
        args: Sequence[Any],
        *,
        shared_mem: int = 0,
        order: int = 0,
        count: bool = False,
        unset: Sequence[str] = (),
        keep: bool = True,
    ) -> tuple[tuple[Finding, ...], Counts | None, str]:
        """Run it once; gives the findings, the counts and what it printed.

        ``keep``: what it wrote is left in the arrays. The other arguments are those of
        :func:`minidl.kernels.sim.checking.check_kernel`.

        Raises:
            TypeError, ValueError: an argument does not fit; nothing has run.
        """
        signature = self.description.signature
        arguments.check_launch(
            self.name, self.parameters, signature, self.description.max_threads, (grid, block), args, unset
        )
        values, arrays = arguments.values_of(self.name, self.parameters, signature, args)
        needed = arguments.memory_for((a.nbytes, a.itemsize) for a in arrays.values())
        if needed > self.limits.memory:
            raise MemoryLimit(too_large(needed, self.limits))
        names = [self.parameters[number] for number in arrays]
        with Memory(list(arrays.values())) as memory:
            memory.fill()
            request = [struct.pack("=i3I3IQQi", 1, *grid, *block, shared_mem, order, count)]
            request.append(struct.pack("=QiI", memory.bytes, memory.file, len(values)))
            for number, value in enumerate(values):
                laid = memory.arrays[id(arrays[number])] if value is None else None
                request.append(
                    struct.pack("=I8s", 0, value) if laid is None else struct.pack("=IQ", 1, laid.first)
                )
            request.append(struct.pack("=I", len(arrays)))
            for name, array in zip(names, arrays.values(), strict=True):
                laid = memory.arrays[id(array)]
                flags = (array.itemsize, array.flags.writeable, name in unset)
                request.append(struct.pack("=QQ3i", laid.start, laid.bytes, *flags))
            try:
                reply = self._ask(b"".join(request), RAN, memory.file)
                result = self._read(reply, grid, block, names, count)
            except _NoReply as error:
                result = ((_ended(error),), Counts(self.name, (), 0) if count else None, "")
            if keep:
                memory.give_back()
        return result

    def _read(
        self, reply: _Reply, grid: Index, block: Index, names: Sequence[str], count: bool
    ) -> tuple[tuple[Finding, ...], Counts | None, str]:
        printed = reply.text().decode(errors="replace")
        found = [reply.finding(len(names)) for _ in range(reply.number("I"))]
        barriers, rows = reply.number("Q"), reply.rows()
        findings = Reader(self.path, self._lines, grid, block, names).read(found)
        if not count:
            return findings, None, printed
        launching.resolve(self.path, self._lines, [row.pc for row in rows])
        return findings, Counts(self.name, counts.line_counts(rows, self._lines), barriers), printed

    def _ask(self, what: bytes, wanted: int, *keep: int) -> _Reply:
        """Start the process, and give its reply."""
        program, runtime = compiler.runner_program(), compiler.runtime_library()
        token = secrets.token_bytes(16)
        seconds, memory = self.limits.seconds, self.limits.memory
        head = struct.pack("=iQQd", os.getpid(), memory, math.ceil(seconds) + 2 if seconds else 0, seconds)
        texts = b"".join(_text(os.fsencode(text)) for text in (runtime, self.path, self.name))
        with os.fdopen(os.memfd_create("minidl-request"), "w+b") as given:
            given.write(_text(token) + head + texts + what)
            given.seek(0)
            ended = processes.run(
                [str(program)],
                seconds=seconds + GRACE if seconds else None,
                most=_MOST,
                given=given,
                environment={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                keep=keep,
            )
        reply = _Reply(_checked(ended, token, self.limits))
        status = reply.number("I")
        if status == CANNOT_LOAD:
            raise LoadError(
                f"{self.file}: cannot be loaded: {reply.text().decode(errors='replace')}; correct it"
            )
        if status == NO_MEMORY:
            raise _NoReply(_no_memory(self.limits))
        if status != wanted:
            raise _NoReply("it wrote something else than its result")
        return reply


def too_large(needed: int, limits: Limits) -> str:
    """That arrays need so much."""
    return (
        f"to check arrays of this size may take {-(-needed // 2**20)} MiB of memory, and"
        f" {limits.memory // 2**20} MiB are allowed; give smaller arrays, or raise the memory limit"
    )


def _text(data: bytes) -> bytes:
    return struct.pack("=Q", len(data)) + data


def _no_memory(limits: Limits) -> str:
    return f"it asked for more than the {limits.memory // 2**20} MiB of memory that are allowed"


def _ended(error: _NoReply) -> Finding:
    message = f"the process ended before the kernel did: {error}"
    return Finding(error.kind, None, None, "", False, 0, 0, 0, 1, message)


def _checked(ended: Ended, token: bytes, limits: Limits) -> bytes:
    """What stands between the two tokens, if that is all there is and the process has ended well."""
    reply = ended.output
    whole = len(reply) > 2 * len(token) and reply.startswith(token) and reply.endswith(token)
    if whole and ended.status == 0:
        return reply[len(token) : -len(token)]
    if len(reply) == _MOST:
        raise _NoReply("it wrote into the file of its results")
    if ended.overran or ended.status in (-signal.SIGALRM, -signal.SIGXCPU):
        raise _NoReply(f"it took longer than {limits.seconds:g} s", "stuck")
    if ended.status == -signal.SIGSYS:
        raise _NoReply(
            "it asked the system for something that a kernel may not have, as a new thread or process"
        )
    if ended.status < 0:
        number = -ended.status
        known = {s.value: s.name for s in signal.Signals}
        raise _NoReply(f"signal {number} ({known.get(number, 'unknown')})")
    if reply:
        raise _NoReply("it wrote into the file of its results")
    raise _NoReply(f"it ended itself, with exit status {ended.status}")


class _Reply:
    """Numbers and texts, one after another.

    Every method raises _NoReply if there is something else.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise _NoReply("its result is cut off")
        self._at += size
        return piece

    def number(self, letter: str) -> int:
        """A number of that type."""
        return int(struct.unpack(f"={letter}", self._take(struct.calcsize(f"={letter}")))[0])

    def text(self) -> bytes:
        """Bytes with their length before them."""
        return self._take(self.number("Q"))

    def finding(self, arrays: int) -> RawFinding:
        """A finding, with its texts where it has pointers of the other process."""
        data = self.text()
        if len(data) != ctypes.sizeof(RawFinding):
            raise _NoReply("its findings are damaged")
        raw = RawFinding.from_buffer_copy(data)
        raw.shared_name, raw.first.file, raw.other.file = self.text(), self.text(), self.text()
        if not (0 <= raw.kind < len(KINDS) and launching.NO_ARRAY <= raw.array < arrays):
            raise _NoReply("its findings are damaged")
        return raw

    def rows(self) -> list[counts.RawRow]:
        """Counts of accesses."""
        data, size = self.text(), ctypes.sizeof(counts.RawRow)
        if len(data) % size:
            raise _NoReply("its counts are damaged")
        return list((counts.RawRow * (len(data) // size)).from_buffer_copy(data))
