"""Which line of the ``.cu`` file a place in the compiled code belongs to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from minidl.kernels.sim import processes
from minidl.kernels.sim.compiler import RUNTIME

#: A file name that is not absolute is given in the folder where it was compiled.
_WORK = re.compile(r"^.*/minidl-sim-[^/]+/")


def lines_of(library: Path, offsets: Sequence[int]) -> list[tuple[str, int]]:
    """File and line of code at offsets from the library's start, which stand behind the instruction meant."""
    if not offsets:
        return []
    tool = shutil.which("addr2line") or shutil.which("llvm-addr2line")
    if tool is None:
        return [("", 0)] * len(offsets)
    places: list[tuple[str, int]] = []
    # -a: a line with the address before those of its place; -i: the place, then where that was inlined, and
    # so on. Wanted is the first that is not in this simulator's own headers.
    found = False
    command = [tool, "-a", "-i", "-e", str(library), *(hex(o - 1) for o in offsets)]
    said = processes.run(command, seconds=60, most=2**26).output.decode(errors="replace")
    for line in said.splitlines():
        if line.startswith("0x"):
            places.append(("", 0))
            found = False
            continue
        file, _, number = line.split(" (discriminator")[0].rpartition(":")
        if not found and number.isdigit() and not file.startswith(str(RUNTIME)):
            places[-1] = (_WORK.sub("", file), int(number))
            found = True
    return [*places, *[("", 0)] * len(offsets)][: len(offsets)]
