"""Counting instructions in compiled kernels: how much arithmetic the inner loop does for each load.

PTX is the compiler's intermediate code as text. Its loops are found by their backward branches, and the one
with the most arithmetic is the inner loop; unrolled code counts as it stands there. A kernel that multiplies
matrices is fast only if one load from shared memory feeds many multiply-adds: a multiprocessor does 128
multiply-adds in a cycle, but only 32 threads' loads.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ENTRY = re.compile(r"\.entry\s+(\w+)\s*\(")
_LABEL = re.compile(r"^(\$\w+):")
_BRANCH = re.compile(r"\bbra(?:\.uni)?\s+(\$\w+);")
_FMA = re.compile(r"\bfma\.rn(?:\.ftz)?\.f(?:32|64)\b")
_SHARED = re.compile(r"\bld\.shared(?:\.v([24]))?\.[a-z](\d+)\b")


class Counts(NamedTuple):
    """Instructions in a stretch of code."""

    fma: int
    shared_loads: int  #: of any width
    shared_loads_128: int  #: those that load 128 bits

    @property
    def fma_per_load(self) -> float:
        """Multiply-adds for each load instruction from shared memory."""
        return self.fma / self.shared_loads if self.shared_loads else float("inf")


def body(ptx: str, kernel: str) -> list[str]:
    """The lines of one kernel.

    Raises:
        KeyError: there is no kernel of that name.
    """
    lines = ptx.splitlines()
    for start, line in enumerate(lines):
        found = _ENTRY.search(line)
        if found and found.group(1) == kernel:
            end = next(i for i in range(start, len(lines)) if lines[i].startswith("}"))
            return lines[start:end]
    raise KeyError(f"no kernel {kernel} in this PTX")


def count(lines: list[str]) -> Counts:
    """The instructions of some lines.

    >>> count(["ld.shared.v4.f32 {%f1, %f2, %f3, %f4}, [%r1];", "fma.rn.f32 %f5, %f1, %f2, %f5;"])
    Counts(fma=1, shared_loads=1, shared_loads_128=1)
    """
    loads = [m for line in lines if (m := _SHARED.search(line))]
    wide = sum(int(m.group(1) or 1) * int(m.group(2)) == 128 for m in loads)
    return Counts(sum(bool(_FMA.search(line)) for line in lines), len(loads), wide)


def loops(lines: list[str]) -> list[list[str]]:
    """Every stretch of lines from a label to a branch back to it."""
    labels = {m.group(1): i for i, line in enumerate(lines) if (m := _LABEL.match(line))}
    found = []
    for i, line in enumerate(lines):
        branch = _BRANCH.search(line)
        if branch and labels.get(branch.group(1), i) < i:
            found.append(lines[labels[branch.group(1)] : i + 1])
    return found


def inner_loop(ptx: str, kernel: str) -> Counts:
    """What the loop with the most multiply-adds holds; of several with equally many, the shortest.

    Raises:
        ValueError: the kernel has no loop.
    """
    found = loops(body(ptx, kernel))
    if not found:
        raise ValueError(f"{kernel} has no loop")
    return count(max(found, key=lambda lines: (count(lines).fma, -len(lines))))
