"""A source that is compiled and loaded, and its kernels ready to be launched."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels import forks
from minidl.kernels.sim import compiler, counts, launching
from minidl.kernels.sim.arguments import check_launch
from minidl.kernels.sim.findings import Index, KernelFault
from minidl.kernels.sim.launching import Buffer, Launch, RawFinding, Reader
from minidl.kernels.sim.modes import Mode
from minidl.kernels.sim.source import Kernel

#: Bytes of static shared memory that a kernel may have.
MAX_STATIC_SHARED = 48 * 1024

_running = forks.guarded(threading.Lock())  # the runtime has one simulated device


class _SharedVariable(ctypes.Structure):
    """As in runtime/interface.h."""

    _fields_ = (
        ("function", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("bytes", ctypes.c_size_t),
        ("element_bytes", ctypes.c_size_t),
        ("line", ctypes.c_int),
    )


class Library:
    """A compiled source, loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runtime = compiler.load_runtime(compiler.runtime_library())
        self.runtime.cuda_on_cpu_findings.restype = ctypes.POINTER(RawFinding)
        self.runtime.cuda_on_cpu_printed.restype = ctypes.c_char_p
        self.code = ctypes.CDLL(str(path))
        self.lines: dict[int, tuple[str, int]] = {}  # of code, as far as they were looked up

    def signature(self, kernel: str) -> list[tuple[str, str, str]]:
        """Of each parameter: its type, what it points to, and r or w for that."""
        function = getattr(self.code, f"cuda_signature_{kernel}")
        function.restype = ctypes.c_char_p
        words = function().decode().split(" ")
        return list(zip(*words, strict=True))

    def max_threads(self, kernel: str) -> int:
        """Of a block, as ``__launch_bounds__`` says."""
        return int(getattr(self.code, f"cuda_bounds_{kernel}")())

    def shared_bytes(self, kernel: str) -> int:
        """Of the kernel's static shared variables."""
        size = 64  # bytes from one to the next
        begin, end = self.code.cuda_shared_begin, self.code.cuda_shared_end
        begin.restype = end.restype = ctypes.c_void_p
        first = begin() or 0
        variables = (_SharedVariable.from_address(a) for a in range(first, (end() or 0), size))
        return sum(v.bytes for v in variables if v.function.decode() == kernel)


class Ready:
    """A kernel compiled for one mode, ready to be launched."""

    def __init__(self, library: Library, kernel: Kernel) -> None:
        self.library, self.name, self.names = library, kernel.name, kernel.parameters
        self.signature = library.signature(kernel.name)
        self.max_threads = library.max_threads(kernel.name)
        self.shared_bytes = library.shared_bytes(kernel.name)
        self.function = getattr(library.code, f"cuda_launch_{kernel.name}")
        self.function.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        if self.shared_bytes > MAX_STATIC_SHARED:
            raise ValueError(
                f"{self.name}: {self.shared_bytes} bytes of static shared memory; a kernel may have"
                f" {MAX_STATIC_SHARED}"
            )

    def launch(
        self,
        grid: Index,
        block: Index,
        args: Sequence[Any],
        shared_mem: int,
        how: Mode,
        host_arrays: bool,
        through: Sequence[Any],
        unset: Sequence[str],
    ) -> None:
        """Check everything, run, raise what was found."""
        check_launch(self.name, self.names, self.signature, self.max_threads, (grid, block), args, unset)
        values, arrays = self._values(args, host_arrays)
        # Each argument in 8 bytes of its own, and a table of where each of them is.
        packed = ctypes.create_string_buffer(b"".join(v.ljust(8, b"\0") for v in values), 8 * len(values) + 8)
        base = ctypes.addressof(packed)
        table = (ctypes.c_void_p * (len(values) + 1))(*range(base, base + 8 * len(values), 8))
        for number, value in enumerate(through):
            name = f"through[{number}]"
            arrays.append((name, "v", launching.host_memory(f"{self.name}: {name}", value, host_arrays)))
        described = _describe(arrays, unset) if how.check else []
        buffers = (Buffer * (len(described) + 1))(*(entry for _, _, entry in described))
        raw = Launch(
            grid,
            block,
            shared_mem,
            how.order,
            how.check,
            how.records is not None and how.check,
            how.time_limit,
        )
        raw.buffers, raw.n_buffers = ctypes.addressof(buffers), len(described)
        with _running:
            count = self.function(ctypes.addressof(table), ctypes.addressof(raw))
            runtime = self.library.runtime
            printed = runtime.cuda_on_cpu_printed()
            found = runtime.cuda_on_cpu_findings()[:count] if count else []
            names = [name for name, _, _ in described]
            reader = Reader(self.library.path, self.library.lines, grid, block, names)
            findings = reader.read(found)
            if how.records is not None and how.check:
                how.records.append(counts.read(runtime, self.name, self.library.path, self.library.lines))
        if printed:
            sys.stdout.write(printed.decode(errors="replace"))
        if findings:
            raise KernelFault(self.name, findings)

    def _values(
        self, args: Sequence[Any], host_arrays: bool
    ) -> tuple[list[bytes], list[tuple[str, str, np.ndarray[Any, Any]]]]:
        """The bytes of each argument, and (name, type pointed to, memory) of each array."""
        values: list[bytes] = []
        arrays: list[tuple[str, str, np.ndarray[Any, Any]]] = []
        for name, value, (letter, pointee, _) in zip(self.names, args, self.signature, strict=True):
            place = f"{self.name}: argument '{name}'"
            if letter != "P":
                values.append(launching.scalar(place, value, letter))
            elif value is None:
                values.append(bytes(8))
            else:
                memory = launching.host_memory(place, value, host_arrays)
                values.append(launching.pointer(place, memory, pointee).to_bytes(8, sys.byteorder))
                arrays.append((name, pointee, memory))
        return values, arrays


def _describe(
    arrays: Sequence[tuple[str, str, np.ndarray[Any, Any]]], unset: Sequence[str]
) -> list[tuple[str, np.ndarray[Any, Any], Buffer]]:
    """The memory that the kernel may touch: (name, array, what the runtime is told)."""
    described = []
    for name, _, memory in arrays:
        low, high = np.lib.array_utils.byte_bounds(memory) if memory.size else (memory.ctypes.data,) * 2
        entry = Buffer(low, high - low, memory.itemsize, memory.flags.writeable, name in unset)
        described.append((name, memory, entry))
    return described
