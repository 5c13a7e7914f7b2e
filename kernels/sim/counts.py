"""What a checked launch moved, and how well: for each line of the kernel, requests of whole warps.

A request is what the lanes of a warp do at one place for the n-th time since the last block barrier. That is
what hardware serves at once, as long as the lanes do not diverge.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class RawRow(ctypes.Structure):
    """As in runtime/counts.cpp."""

    _fields_ = (
        ("pc", ctypes.c_uint64),
        ("shared", ctypes.c_int),
        ("writes", ctypes.c_int),
        ("atomic", ctypes.c_int),
        ("bytes", ctypes.c_int),
        ("accesses", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("pieces", ctypes.c_uint64),
        ("least_pieces", ctypes.c_uint64),
        ("worst", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class LineCounts:
    """Accesses of one kind at one line.

    Attributes:
        file, line: in the ``.cu`` file.
        memory: ``"global"`` or ``"shared"``.
        action: ``"load"``, ``"store"`` or ``"atomic"``.
        size: bytes of one lane's access.
        accesses: of single lanes.
        requests: of warps.
        pieces: of global memory 32-byte sectors; of shared memory passes through its 32 banks.
        least: what ``pieces`` would be with neighbouring addresses, or with no bank conflicts.
        worst: the most pieces that one request needed.
    """

    file: str
    line: int
    memory: str
    action: str
    size: int
    accesses: int
    requests: int
    pieces: int
    least: int
    worst: int

    @property
    def bytes(self) -> int:
        """Bytes that lanes asked for."""
        return self.accesses * self.size

    @property
    def efficiency(self) -> float:
        """``least / pieces``: 1 is coalesced, or free of bank conflicts."""
        return self.least / self.pieces if self.pieces else 1.0


@dataclass(frozen=True)
class Counts:
    """What one launch did.

    Attributes:
        kernel: its name.
        lines: in the order of the source.
        barriers: block barriers passed, over all blocks.
    """

    kernel: str
    lines: tuple[LineCounts, ...]
    barriers: int

    def total(self, memory: str, *actions: str) -> int:
        """Bytes of these actions (all, if none is named) on ``"global"`` or ``"shared"`` memory."""
        return sum(c.bytes for c in self.lines if c.memory == memory and (not actions or c.action in actions))

    @property
    def bank_conflicts(self) -> int:
        """Passes through the banks of shared memory that would not be needed."""
        return sum(c.pieces - c.least for c in self.lines if c.memory == "shared")

    def __str__(self) -> str:
        return "\n".join(self._text())

    def _text(self) -> Iterable[str]:
        for memory, piece in (("global", "sectors"), ("shared", "passes")):
            rows = [c for c in self.lines if c.memory == memory]
            if not rows:
                continue
            pieces, least = sum(c.pieces for c in rows), sum(c.least for c in rows)
            yield f"{memory} memory: {sum(c.bytes for c in rows)} bytes, {pieces} {piece}, {least} would do"
            yield (
                f"  {'line':>6}  {'access':<12}{'bytes':>9}{'requests':>10}{piece:>9}{'least':>9}{'worst':>7}"
                f"{'eff.':>7}"
            )
            for c in rows:
                access = f"{c.action} {8 * c.size}b"
                yield (
                    f"  {c.line:>6}  {access:<12}{c.bytes:>9}{c.requests:>10}{c.pieces:>9}{c.least:>9}"
                    f"{c.worst:>7}{100 * c.efficiency:>6.0f}%"
                )
        yield f"block barriers passed: {self.barriers}"


def line_counts(rows: Iterable[RawRow], lines: dict[int, tuple[str, int]]) -> tuple[LineCounts, ...]:
    """Rows put together by line: the compiler may have made several copies of its code."""
    merged: dict[tuple[str, int, str, str, int], list[int]] = {}
    for row in rows:
        file, line = lines.get(row.pc, ("", 0))
        action = "atomic" if row.atomic else "store" if row.writes else "load"
        key = (file, line, "shared" if row.shared else "global", action, row.bytes)
        counts = merged.setdefault(key, [0] * 5)
        for i, value in enumerate((row.accesses, row.requests, row.pieces, row.least_pieces)):
            counts[i] += value
        counts[4] = max(counts[4], row.worst)
    return tuple(LineCounts(*key, *merged[key]) for key in sorted(merged))


def read(runtime: ctypes.CDLL, kernel: str, library: Path, lines: dict[int, tuple[str, int]]) -> Counts:
    """The counts of the launch that just ran."""
    from minidl.kernels.sim.launching import resolve

    n, barriers = ctypes.c_uint64(), ctypes.c_uint64()
    runtime.cuda_on_cpu_counts.restype = ctypes.POINTER(RawRow)
    rows = runtime.cuda_on_cpu_counts(ctypes.byref(n), ctypes.byref(barriers))[: n.value]
    resolve(library, lines, [row.pc for row in rows])
    return Counts(kernel, line_counts(rows, lines), barriers.value)
