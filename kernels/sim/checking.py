"""Run one kernel in check mode over NumPy arrays: what ``minidl cuda-check`` and the pytest fixture do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels.sim.counts import Counts
from minidl.kernels.sim.findings import Finding, KernelFault
from minidl.kernels.sim.modes import checked
from minidl.kernels.sim.module import RawKernel, RawModule

#: C types of scalar parameters, as the signature's letters name them.
NUMBERS = "fd?bBhHiIqQ"
#: Bytes between two arrays, and what their addresses are multiples of.
APART, ALIGNMENT = 65536, 256


@dataclass(frozen=True)
class Checked:
    """What became of a kernel.

    Attributes:
        kernel: its name.
        findings: what is wrong, over all orders; empty: nothing was found.
        counts: accesses to memory in the first order.
    """

    kernel: str
    findings: tuple[Finding, ...]
    counts: Counts

    def report(self) -> str:
        """The findings and counts as text."""
        said = (
            str(KernelFault(self.kernel, self.findings)) if self.findings else f"{self.kernel}: no findings"
        )
        return f"{said}\n{self.counts}"


def the_kernel(source: str | Path, name: str | None, options: Sequence[str] = ()) -> RawKernel:
    """A kernel of a ``.cu`` file (a Path) or of a source text; ``name`` may be left out if it has but one.

    Raises:
        ValueError: there is no such kernel, or several to choose from.
    """
    if isinstance(source, Path):
        module = RawModule(path=str(source), options=tuple(options), host_arrays=True)
    else:
        module = RawModule(source, options=tuple(options), host_arrays=True)
    names = list(module.source.kernels)
    if name is None and len(names) != 1:
        what = f"it has {', '.join(names)}: name one" if names else "it has no __global__ function"
        raise ValueError(f"{module.file}: {what}")
    return module.get_function(names[0] if name is None else name)


def fitting(kernel: RawKernel, args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with Python's numbers as NumPy scalars of the parameters' types.

    Raises:
        ValueError: a number does not fit.
    """
    fit = []
    for name, letter, value in zip(kernel.parameters, kernel.letters, args, strict=False):
        if letter in NUMBERS and type(value) in (int, float, bool):
            dtype = np.dtype(letter)
            whole = dtype.kind in "iu"
            if whole and (type(value) is float or not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
                raise ValueError(f"{kernel.name}: argument '{name}': {value} is no {dtype}")
            value = dtype.type(value)
        fit.append(value)
    return (*fit, *args[len(fit) :])


def check_kernel(
    kernel: RawKernel,
    grid: Any,
    block: Any,
    args: Sequence[Any],
    *,
    shared_mem: int = 0,
    orders: Sequence[int] = (0,),
    unset: Sequence[str] = (),
    time_limit: float = 60.0,
) -> Checked:
    """Run a kernel in check mode, in several orders of threads and blocks.

    Args:
        kernel: from :func:`the_kernel`.
        grid, block: as CuPy takes them.
        args: NumPy arrays, which the kernel changes (the first order's results stay in them), and numbers.
        shared_mem: bytes of dynamic shared memory.
        orders: 0 ascending, 1 descending, n >= 2 shuffled with seed n.
        unset: parameters whose arrays count as never written.
        time_limit: seconds for each order; 0: none.

    Raises:
        TypeError, ValueError: an argument does not fit.
    """
    with checked():
        values = fitting(kernel, args)
    before = _apart(values)
    findings: list[Finding] = []
    counts: list[Counts] = []
    for number, order in enumerate(orders):
        given = _apart(before)
        with checked(order, time_limit=time_limit, count=number == 0) as records:
            try:
                kernel(grid, block, given, shared_mem=shared_mem, unset=unset)
            except KernelFault as fault:
                findings += fault.findings
        counts += records
        if number == 0:
            _give_back(given, values)
    return Checked(kernel.name, _once(findings), counts[0])


def _apart(args: Sequence[Any]) -> list[Any]:
    """Copies that lie far from one another, so that an index that misses its array hits no other.

    They begin where a GPU's arrays may: at multiples of 256 bytes. Arrays that share memory stay what they
    are, and so do those that a launch refuses.
    """
    arrays = {id(a): a for a in args if isinstance(a, np.ndarray) and a.flags.c_contiguous}
    if any(np.may_share_memory(a, b) for a, b in combinations(arrays.values(), 2)):
        return list(args)
    copies = {}
    for key, array in arrays.items():
        room = np.empty(array.nbytes + 2 * APART + ALIGNMENT, np.uint8)
        start = APART + -(room.ctypes.data + APART) % ALIGNMENT
        copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        copy.flags.writeable = array.flags.writeable
        copies[key] = copy
    return [copies.get(id(a), a) for a in args]


def _give_back(results: Sequence[Any], args: Sequence[Any]) -> None:
    """What a kernel wrote, into the arrays of its caller."""
    for result, array in zip(results, args, strict=True):
        if result is not array and isinstance(array, np.ndarray) and array.flags.writeable:
            array[...] = result


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Each finding of several orders once: the same kind at the same lines."""
    seen: dict[object, Finding] = {}
    for f in findings:
        lines = frozenset((p.file, p.line) for p in (f.first, f.other) if p is not None)
        seen.setdefault((f.kind, f.array, lines), f)
    return tuple(seen.values())
