"""One launch: arguments made ready for the compiled kernel, and what it says made ready for people."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels.sim.findings import KINDS, Finding, Index, Party
from minidl.kernels.sim.lines import lines_of

#: Limits of a launch, as of every GPU since 2012.
MAX_BLOCK, MAX_GRID, MAX_THREADS = (1024, 1024, 64), (2**31 - 1, 65535, 65535), 1024


class Buffer(ctypes.Structure):
    """As in runtime/interface.h."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("element_bytes", ctypes.c_int),
        ("writable", ctypes.c_int),
        ("unset", ctypes.c_int),
    )


class Launch(ctypes.Structure):
    """As in runtime/interface.h."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_shared", ctypes.c_size_t),
        ("order", ctypes.c_uint64),
        ("check", ctypes.c_int),
        ("count", ctypes.c_int),
        ("time_limit", ctypes.c_double),
        ("buffers", ctypes.c_void_p),
        ("n_buffers", ctypes.c_int),
    )


class RawParty(ctypes.Structure):
    """As in runtime/report.h."""

    _fields_ = (
        ("block", ctypes.c_uint32),
        ("thread", ctypes.c_uint32),
        ("pc", ctypes.c_uint64),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_int),
        ("writes", ctypes.c_int),
        ("is_atomic", ctypes.c_int),
    )


class RawFinding(ctypes.Structure):
    """As in runtime/report.h."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("array", ctypes.c_int),
        ("shared_name", ctypes.c_char_p),
        ("first", RawParty),
        ("other", RawParty),
        ("offset", ctypes.c_int64),
        ("bytes", ctypes.c_int),
        ("element_bytes", ctypes.c_int),
        ("count", ctypes.c_uint64),
        ("text", ctypes.c_char * 200),
    )


SHARED_ARRAY, NO_ARRAY, NOBODY = -1, -2, 0xFFFFFFFF


# ---------------------------------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------------------------------
def extents(what: str, given: Any, limits: Index) -> Index:
    """Grid or block as three ints within the limits."""
    three = tuple(given) if isinstance(given, Iterable) else (given,)
    three = (*three, 1, 1)[: max(3, len(three))]
    if len(three) != 3 or not all(isinstance(e, int | np.integer) and not isinstance(e, bool) for e in three):
        raise TypeError(f"{what} must be one to three integers, not {given!r}")
    if any(not 1 <= e <= limit for e, limit in zip(three, limits, strict=True)):
        raise ValueError(f"{what} {three}: each extent must be from 1 to {limits}")
    return int(three[0]), int(three[1]), int(three[2])


def scalar(place: str, value: Any, letter: str) -> bytes:
    """A number as the kernel's parameter of that type. CuPy would pass whatever it is given."""
    if letter == "S":
        raise TypeError(f"{place}: a struct by value is not simulated; pass an array")
    wanted = np.dtype(letter)
    # What CuPy makes of Python's numbers: 64 bits.
    given = next((np.dtype(d) for t, d in ((bool, "?"), (int, "q"), (float, "d")) if type(value) is t), None)
    if isinstance(value, np.generic):
        given = value.dtype
    if given != wanted:
        name = type(value).__name__ + ("" if given is None else f" ({given})")
        raise TypeError(f"{place}: {name} for a parameter of type {wanted}; write np.{wanted}(...)")
    return struct.pack(letter, value)


def host_memory(place: str, value: Any, host_arrays: bool) -> np.ndarray[Any, Any]:
    """The memory of an array of a simulated device."""
    memory = getattr(value, "_host", None)
    if memory is None and host_arrays and isinstance(value, np.ndarray):
        memory = value
    if not isinstance(memory, np.ndarray):
        raise TypeError(
            f"{place}: Unsupported type {type(value)}; a pointer parameter wants an array of the device"
        )
    return memory


def pointer(place: str, memory: np.ndarray[Any, Any], pointee: str) -> int:
    """The array's address, if its elements are what the parameter points to."""
    if pointee not in "vPS" and memory.dtype != np.dtype(pointee):
        raise TypeError(f"{place}: an array of {memory.dtype} for a pointer to {np.dtype(pointee)}")
    return int(memory.__array_interface__["data"][0])


# ---------------------------------------------------------------------------------------------
# Findings
# ---------------------------------------------------------------------------------------------
class Reader:
    """Turns the runtime's findings into data classes."""

    def __init__(
        self,
        library: Path,
        lines: dict[int, tuple[str, int]],
        grid: Index,
        block: Index,
        arrays: Sequence[str],
    ) -> None:
        self.library, self.lines, self.grid, self.block, self.arrays = library, lines, grid, block, arrays

    def read(self, raw: Sequence[RawFinding]) -> tuple[Finding, ...]:
        """All of them; the lines are looked up in one go."""
        resolve(self.library, self.lines, [p.pc for f in raw for p in (f.first, f.other) if p.pc])
        merged: dict[object, Finding] = {}
        for finding in map(self._finding, raw):
            # The compiler may have made several copies of a line's code.
            parties = [p and (p.file, p.line, p.action) for p in (finding.first, finding.other)]
            key = (finding.kind, finding.array, *parties, None if finding.array else finding.message)
            if (before := merged.get(key)) is not None:
                finding = dataclasses.replace(before, count=before.count + finding.count)
            merged[key] = finding
        return tuple(merged.values())

    def _finding(self, raw: RawFinding) -> Finding:
        name, itemsize = "", max(1, raw.element_bytes)
        if raw.array >= 0:
            name = self.arrays[raw.array]
        elif raw.array == SHARED_ARRAY:
            name = raw.shared_name.decode(errors="replace")
        return Finding(
            KINDS[raw.kind],
            self._party(raw.first),
            None if raw.other.thread == NOBODY else self._party(raw.other),
            name,
            raw.array == SHARED_ARRAY,
            raw.offset,
            raw.offset // itemsize,
            raw.bytes,
            raw.count,
            raw.text.decode(errors="replace").replace("\1", name),
        )

    def _party(self, raw: RawParty) -> Party:
        file, line = (
            self.lines.get(raw.pc, ("", 0))
            if raw.pc
            else ((raw.file or b"").decode(errors="replace"), raw.line)
        )
        action = "atomic" if raw.is_atomic else ("", "read", "write")[raw.writes]
        return Party(file, line, _index(raw.block, self.grid), _index(raw.thread, self.block), action)


def resolve(library: Path, lines: dict[int, tuple[str, int]], offsets: Iterable[int]) -> None:
    """Add the file and line of each offset to ``lines``."""
    new = sorted(set(offsets) - lines.keys())
    lines.update(zip(new, lines_of(library, new), strict=True))


def _index(number: int, shape: Index) -> Index:
    return number % shape[0], number // shape[0] % shape[1], number // shape[0] // shape[1]
