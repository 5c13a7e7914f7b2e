"""The table that opens each .cu file: what its kernels need and move.

    python -m minidl.kernels.cuda.tables           print them
    python -m minidl.kernels.cuda.tables --write   write them into the files
    python -m minidl.kernels.cuda.tables --check   say which files are out of date
    python -m minidl.kernels.cuda.tables --count   run the workloads again, then --write

Registers, shared memory and occupancy are those of ``budget.json``. Bytes are counted: the simulator runs a
workload (``workloads``) and adds up what goes to and from global memory, before any cache; they lie in
``counts.json``. FLOPs are those that the result is defined by. What the next version improves stands above a
kernel, after ``// next:``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from minidl.kernels.cuda import budget, nvrtc

COUNTS = nvrtc.FOLDER / "counts.json"
BEGIN = "// ---- versions (written by tables.py) "
END = "// ---- end of versions "
RULE = 100

#: The architecture whose occupancy is shown.
SHOWN = 80

_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")


def kernels(source: str) -> Iterator[tuple[str, str]]:
    """Each kernel of a file, with what the comment above it says of the next version."""
    lines = source.splitlines()
    for number, line in enumerate(lines):
        found = _KERNEL.search(line)
        if not found:
            continue
        first = number
        while first and lines[first - 1].startswith("//"):
            first -= 1
        comment = " ".join(text.removeprefix("//").strip() for text in lines[first:number])
        yield found.group(1), comment.partition("next: ")[2]


def table(path: Path, known: budget.Table, counts: dict[str, dict[str, float]]) -> str:
    """The lines of the table, as comments.

    Raises:
        KeyError: a kernel is not in the budget, or not among the counts.
    """
    lines = [
        BEGIN + "-" * (RULE - len(BEGIN)),
        f"// In float and int, on sm_{SHOWN}; in brackets registers on all architectures. For each output",
        "// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of",
        "// the sectors that their warps touch for them, FLOPs of the definition.",
        f"// {'kernel':36} {'registers':>13} {'shared':>7} {'occupancy':>9} "
        f"{'bytes':>7} {'sectors':>8} {'FLOPs':>6}",
    ]
    for name, improvement in kernels(path.read_text(encoding="utf-8")):
        uses = known[f"{path.name}: {name}"]["float, int"]
        use, registers = uses[SHOWN], [u.registers for u in uses.values()]
        numbers = [f"{counts[name][key]:.4g}" for key in ("bytes", "moved", "flops")]
        spread = f"{use.registers} ({min(registers)}-{max(registers)})"
        row = f"// {name:36} {spread:>13} {use.shared:7} {use.occupancy:9.0%}"
        lines.append(f"{row} {numbers[0]:>7} {numbers[1]:>8} {numbers[2]:>6}")
        if improvement:
            lines.append(f"//     next: {improvement}")
    return "\n".join([*lines, END + "-" * (RULE - len(END))]) + "\n"


def with_table(source: str, text: str) -> str:
    """The source with the table as its first lines, instead of the one it has."""
    if source.startswith(BEGIN):
        source = source[source.index("\n", source.index(END)) + 1 :]
    return text + source


def main(argv: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m minidl.kernels.cuda.tables")
    what = parser.add_mutually_exclusive_group()
    for name in ("write", "check", "count"):
        what.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args(argv)
    if given.count:
        from minidl.kernels.cuda import workloads

        COUNTS.write_text(json.dumps(workloads.count(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    known = budget.from_json(budget.BUDGET.read_text(encoding="utf-8"))
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    stale = 0
    for path in budget.sources():
        source, text = path.read_text(encoding="utf-8"), table(path, known, counts)
        if given.write or given.count:
            path.write_text(with_table(source, text), encoding="utf-8")
        elif not given.check:
            say(f"{path.name}\n{text}")
        elif with_table(source, text) != source:
            stale += 1
            say(f"{path.name}: its table is out of date; write it with --write")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
