"""The budget: registers, spills, shared memory and occupancy of every kernel on every architecture.

    python -m minidl.kernels.cuda.budget           print the table for one architecture
    python -m minidl.kernels.cuda.budget --write   compile everything, write budget.json
    python -m minidl.kernels.cuda.budget --check   compile everything, compare with budget.json

A kernel that needs more registers than it did lets fewer warps run at a time; one that spills keeps variables
in memory; both are slower without any test failing. So the figures are committed, and ``--check`` fails if a
kernel spills (but for :data:`SPILLS_THAT_PAY`), or takes more than the budget says by :data:`SLACK`
registers, by any shared memory, or so much that a multiprocessor holds fewer warps. Whoever means to spend
more writes the budget anew, and the commit shows it. Compiling everything takes some minutes;
``--files conv2d gemm`` and ``--architectures 80`` narrow it down.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from minidl.kernels.cuda import nvrtc
from minidl.kernels.cuda.occupancy import occupancy

BUDGET = nvrtc.FOLDER / "budget.json"

#: Threads of a block where the kernel's ``__launch_bounds__`` does not say it.
THREADS = 256

#: Registers that a kernel may take more than its budget, as long as the occupancy stays.
SLACK = 4

#: Architectures for which 64-bit indices, the exception, are compiled: one of each kind.
WIDE_INDEX = (70, 80, 90, 100, 120)


#: Spills that pay, all of them in builds for arrays of 2^31 elements and more: (kernel, types, architecture):
#: (bytes stored and loaded, occupancy with more registers instead). Given as many registers as it likes
#: (``__launch_bounds__(256, 2)``), the compiler spills nothing there, and fewer warps run at a time to hide
#: the latency of memory; a few bytes, which stay in the first-level cache, should cost less (not measured).
SPILLS_THAT_PAY = {
    ("activations.cu: activations_hardswish_v1", "double, long long", 90): (32, 0.625),
    ("gemm.cu: gemm_v1", "double, long long", 90): (8, 0.25),
    ("gemm.cu: gemm_v2", "double, long long", 90): (8, 0.25),
    ("normalize.cu: normalize_input_v2", "float, long long", 100): (8, 0.625),
}


class Use(NamedTuple):
    """What one kernel needs, compiled for one architecture and one pair of types."""

    registers: int
    spills: int  #: bytes stored and loaded
    stack: int  #: bytes of local arrays that did not fit into registers
    shared: int  #: bytes, static
    occupancy: float


class Job(NamedTuple):
    """One run of the compiler."""

    path: Path
    architecture: int
    real: str
    integer: str  #: the index type

    @property
    def types(self) -> str:
        """The name of the pair of types."""
        return f"{self.real}, {self.integer}"


#: By file and kernel, by types, by architecture.
Table = dict[str, dict[str, dict[int, Use]]]

_KERNEL = re.compile(r"Compiling entry function '(\w+)' for 'sm_\d+'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")
_BOUNDS = re.compile(r"__launch_bounds__\s*\(\s*([\w *]+?)\s*(?:,[^)]*)?\)\s*(\w+)\s*\(")


def sources() -> list[Path]:
    """Every .cu file of the backend."""
    return sorted(nvrtc.FOLDER.glob("*.cu"))


def jobs(files: Iterable[Path], architectures: Sequence[int] = nvrtc.ARCHITECTURES) -> Iterator[Job]:
    """All runs of the compiler: both element types everywhere, 64-bit indices on some architectures."""
    for path, architecture, real in itertools.product(files, architectures, ("float", "double")):
        yield Job(path, architecture, real, "int")
        if architecture in WIDE_INDEX:
            yield Job(path, architecture, real, "long long")


def threads(ptx: str, kernel: str) -> int:
    """Threads of a block: what ``__launch_bounds__`` became in the PTX, else :data:`THREADS`."""
    found = re.search(rf"\.entry\s+{kernel}\s*\([^)]*\)\s*\.maxntid\s+(\d+)", ptx)
    return int(found.group(1)) if found else THREADS


def parse(log: str, ptx: str, architecture: int) -> dict[str, Use]:
    """The figures of each kernel, from NVRTC's log."""
    found = {}
    pieces = _KERNEL.split(log)[1:]
    for kernel, text in zip(pieces[::2], pieces[1::2], strict=True):
        spills, used = _SPILLS.search(text), _USED.search(text)
        if spills is None or used is None:
            raise nvrtc.CompileError(f"{kernel}: NVRTC's log is not as expected:\n{text}")
        registers, shared = int(used.group(1)), int(used.group(2) or 0)
        share = occupancy(architecture, threads(ptx, kernel), registers, shared)
        stack, stores, loads = map(int, spills.groups())
        found[kernel] = Use(registers, stores + loads, stack, shared, round(share, 4))
    return found


def measure(compiler: nvrtc.Compiler, work: Iterable[Job], workers: int = 1) -> Table:
    """Compile everything and collect what each kernel needs.

    Raises:
        CompileError: a file does not compile.
    """

    def run(job: Job) -> tuple[Job, dict[str, Use]]:
        made = compiler.compile(job.path, job.architecture, job.real, job.integer)
        return job, parse(made.log, made.ptx, job.architecture)

    table: Table = {}
    with ThreadPoolExecutor(workers) as pool:  # NVRTC runs outside of Python's lock
        for job, uses in pool.map(run, work):
            for kernel, use in uses.items():
                by_types = table.setdefault(f"{job.path.name}: {kernel}", {})
                by_types.setdefault(job.types, {})[job.architecture] = use
    return table


def to_json(table: Table) -> str:
    """One line for each kernel and pair of types, so that a change shows as the lines it changed.

    Lists hold one number for each architecture; one number alone means that all are equal.
    """
    lines = []
    for kernel, by_types in sorted(table.items()):
        rows = []
        for types, uses in by_types.items():
            row: dict[str, object] = {"architectures": list(uses)}
            for field in Use._fields:
                values = [getattr(use, field) for use in uses.values()]
                row[field] = values if len(set(values)) > 1 else values[0]
            rows.append(f"  {json.dumps(types)}: {json.dumps(row)}")
        lines.append(f"{json.dumps(kernel)}: {{\n" + ",\n".join(rows) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str) -> Table:
    """The inverse of :func:`to_json`."""
    table: Table = {}
    for kernel, by_types in json.loads(text).items():
        for types, row in by_types.items():
            architectures = row.pop("architectures")
            columns = [
                v if isinstance(v, list) else [v] * len(architectures) for v in map(row.get, Use._fields)
            ]
            uses = itertools.starmap(Use, zip(*columns, strict=True))
            table.setdefault(kernel, {})[types] = dict(zip(architectures, uses, strict=True))
    return table


def faults(measured: Table, budget: Table) -> list[str]:
    """Where the kernels as they are exceed what was committed; one line each."""
    found = [
        f"{kernel}: in the budget, but not in the sources" for kernel in budget if kernel not in measured
    ]
    for kernel, by_types in measured.items():
        if kernel not in budget:
            found.append(f"{kernel}: not in the budget")
            continue
        for types, uses in by_types.items():
            for architecture, use in uses.items():
                known = budget[kernel].get(types, {}).get(architecture)
                where = f"{kernel} ({types}, sm_{architecture})"
                allowed, _ = SPILLS_THAT_PAY.get((kernel, types, architecture), (0, 0.0))
                found += [f"{where}: {fault}" for fault in _faults_of(use, known, allowed)]
    return found


def _faults_of(use: Use, known: Use | None, spills: int) -> Iterator[str]:
    if use.spills > spills:
        yield f"spills {use.spills} bytes of registers to memory"
    if known is None:
        yield "not in the budget"
        return
    if use.registers > known.registers + SLACK:
        yield f"{use.registers} registers, budget {known.registers}"
    if use.occupancy < known.occupancy:
        yield f"occupancy {use.occupancy:.0%}, budget {known.occupancy:.0%}"
    if use.shared > known.shared:
        yield f"{use.shared} bytes of shared memory, budget {known.shared}"
    if use.stack > known.stack:
        yield f"{use.stack} bytes of local arrays in memory, budget {known.stack}"


def lines_of(table: Table, architecture: int) -> Iterator[str]:
    """A table for people: float and 32-bit indices, one architecture."""
    yield f"{'sm_' + str(architecture):52} registers  shared  occupancy"
    for kernel, by_types in sorted(table.items()):
        use = by_types.get("float, int", {}).get(architecture)
        if use:
            yield f"{kernel:52} {use.registers:9} {use.shared:7} {use.occupancy:9.0%}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m minidl.kernels.cuda.budget", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="compile and write budget.json")
    what.add_argument("--check", action="store_true", help="compile and compare with budget.json")
    parser.add_argument("--files", nargs="+", metavar="NAME", help="only these, e.g. gemm conv2d")
    parser.add_argument("--architectures", nargs="+", type=int, default=list(nvrtc.ARCHITECTURES))
    parser.add_argument("--workers", type=int, default=1, help="threads that compile")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """The command line; returns the exit status."""
    given = _arguments(argv)
    files = [p for p in sources() if not given.files or p.stem in given.files]
    budget = from_json(BUDGET.read_text(encoding="utf-8")) if BUDGET.exists() else {}
    if not (given.write or given.check):
        for line in lines_of(budget, given.architectures[0] if len(given.architectures) == 1 else 80):
            say(line)
        return 0
    compiler = nvrtc.compiler()
    if compiler is None:
        say("no NVRTC 12 is installed: pip install nvidia-cuda-nvrtc-cu12==12.9.86")
        return 2
    measured = measure(compiler, jobs(files, given.architectures), given.workers)
    names = {path.name for path in files}
    kept = {kernel: uses for kernel, uses in budget.items() if kernel.partition(":")[0] not in names}
    if given.write:
        known = {path.name for path in sources()}
        rest = {kernel: uses for kernel, uses in kept.items() if kernel.partition(":")[0] in known}
        BUDGET.write_text(to_json(rest | measured), encoding="utf-8")
        budget = measured
    found = faults(measured, {kernel: uses for kernel, uses in budget.items() if kernel not in kept})
    for fault in found:
        say(fault)
    say(f"{len(measured)} kernels of {len(files)} files, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
