"""Run one kernel in check mode over NumPy arrays: what ``minidl cuda-check`` and the pytest fixture do.

The source may be anybody's: its code runs in a process of its own (``confined.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels.sim import launching
from minidl.kernels.sim.confined import ConfinedKernel
from minidl.kernels.sim.counts import Counts
from minidl.kernels.sim.findings import Finding, KernelFault
from minidl.kernels.sim.module import RawModule
from minidl.kernels.sim.processes import Limits
from minidl.kernels.sim.source import read_file

#: C types of scalar parameters, as the signature's letters name them.
NUMBERS = "fd?bBhHiIqQ"


@dataclass(frozen=True)
class Checked:
    """What became of a kernel.

    Attributes:
        kernel: its name.
        findings: what is wrong, over all orders; empty: nothing was found.
        counts: accesses to memory in the first order.
        printed: by ``printf`` in the kernel, over all orders.
    """

    kernel: str
    findings: tuple[Finding, ...]
    counts: Counts
    printed: str = ""

    def report(self) -> str:
        """The findings and counts as text."""
        said = (
            str(KernelFault(self.kernel, self.findings)) if self.findings else f"{self.kernel}: no findings"
        )
        return f"{said}\n{self.counts}"


def the_kernel(
    source: str | Path,
    name: str | None,
    options: Sequence[str] = (),
    limits: Limits | None = None,
    read: Callable[[Path], str] = read_file,
) -> ConfinedKernel:
    """A kernel of a ``.cu`` file (a Path) or of a source text; ``name`` may be left out if it has but one.

    Args:
        source: the file, or its text.
        name: of the kernel.
        options: NVRTC's.
        limits: of compiling it and of each run.
        read: the text of a file: of the source, and of what it includes.

    Raises:
        ValueError: there is no such kernel, or several to choose from.
        CompileError, NoCompiler, SourceError: it cannot be compiled.
    """
    if isinstance(source, Path):
        module = RawModule(path=str(source), options=tuple(options), read=read)
    else:
        module = RawModule(source, options=tuple(options), read=read)
    names = list(module.source.kernels)
    if name is None and len(names) != 1:
        what = f"it has {', '.join(names)}: name one" if names else "it has no __global__ function"
        raise ValueError(f"{module.file}: {what}")
    return ConfinedKernel(module, names[0] if name is None else name, limits or Limits())


def fitting(kernel: ConfinedKernel, args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with Python's numbers as NumPy scalars of the parameters' types.

    Raises:
        ValueError: a number does not fit.
    """
    fit = []
    for name, (letter, _, _), value in zip(
        kernel.parameters, kernel.description.signature, args, strict=False
    ):
        if letter in NUMBERS and type(value) in (int, float, bool):
            dtype = np.dtype(letter)
            whole = dtype.kind in "iu"
            if whole and (type(value) is float or not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
                raise ValueError(f"{kernel.name}: argument '{name}': {value} is no {dtype}")
            value = dtype.type(value)
        fit.append(value)
    return (*fit, *args[len(fit) :])


def check_kernel(
    kernel: ConfinedKernel,
    grid: Any,
    block: Any,
    args: Sequence[Any],
    *,
    shared_mem: int = 0,
    orders: Sequence[int] = (0,),
    unset: Sequence[str] = (),
) -> Checked:
    """Run a kernel in check mode, in several orders of threads and blocks.

    Args:
        kernel: from :func:`the_kernel`.
        grid, block: as CuPy takes them.
        args: NumPy arrays, which the kernel changes (the first order's results stay in them), and numbers.
        shared_mem: bytes of dynamic shared memory.
        orders: 0 ascending, 1 descending, n >= 2 shuffled with seed n.
        unset: parameters whose arrays count as never written.

    Raises:
        TypeError, ValueError: an argument does not fit.
        LoadError: the compiled code cannot be loaded.
    """
    values = fitting(kernel, args)
    blocks = launching.extents(f"{kernel.name}: grid", grid, launching.MAX_GRID)
    threads = launching.extents(f"{kernel.name}: block", block, launching.MAX_BLOCK)
    findings: list[Finding] = []
    printed: list[str] = []
    counts = Counts(kernel.name, (), 0)
    for number, order in reversed(list(enumerate(orders))):  # the first order last: it changes the arrays
        found, counted, said = kernel.run(
            blocks,
            threads,
            values,
            shared_mem=int(shared_mem),
            order=order,
            count=number == 0,
            unset=unset,
            keep=number == 0,
        )
        findings = [*found, *findings]
        printed = [said, *printed]
        counts = counted or counts
    return Checked(kernel.name, _once(findings), counts, "".join(printed))


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Each finding of several orders once: the same kind at the same lines."""
    seen: dict[object, Finding] = {}
    for f in findings:
        lines = frozenset((p.file, p.line) for p in (f.first, f.other) if p is not None)
        seen.setdefault((f.kind, f.array, lines), f)
    return tuple(seen.values())
