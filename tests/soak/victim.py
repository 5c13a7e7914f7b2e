"""The command line in a process that kills itself in the middle of a write.

``victim.py MOMENT COUNT ARGUMENTS``: MOMENT is "half written" (half of the bytes are in the temporary file),
"written" (all, not yet in place) or "in place" (the new file has its name); COUNT says at which of the
process's writes. SIGKILL cannot be caught: no handler, no ``finally``, no flush, as in a power cut.
"""

from __future__ import annotations

import os
import signal
import sys

from minidl.cli import main

MOMENTS = ("half written", "written", "in place")


def die_at(moment: str, count: int) -> None:
    """Every atomic write calls os.fsync on its file, then os.replace: those are where to strike."""
    fsync, replace = os.fsync, os.replace
    writes = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dying_fsync(descriptor: int) -> None:
        if moment == "half written" and writes + 1 == count:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            fsync(descriptor)
            die()
        fsync(descriptor)

    def dying_replace(source: os.PathLike[str], target: os.PathLike[str]) -> None:
        nonlocal writes
        writes += 1
        if moment == "written" and writes == count:
            die()
        replace(source, target)
        if moment == "in place" and writes == count:
            die()

    os.fsync, os.replace = dying_fsync, dying_replace  # type: ignore[assignment]


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
