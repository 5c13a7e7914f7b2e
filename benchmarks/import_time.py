"""How long ``import minidl`` takes, as a multiple of ``import numpy``.

Fresh interpreters import one or the other, in turn, so that a change in the machine's speed meets both. What
is compared are the lowest times that the import statement takes, without the interpreter's own start: an
import does the same work each time, and whatever else runs on the machine can only add to it. The medians are
shown beside them; on a busy machine they say more about its other work. What minidl imports later, its
operations with the first of them and Numba with the first kernel, is no part of this.

    python benchmarks/import_time.py [--runs 25] [--limit 1.25]

Exit code 1 if the ratio is above the limit.
"""

import argparse
import os
import statistics
import subprocess
import sys

PROBE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str) -> float:
    """Time of ``import module`` in a fresh interpreter, in seconds."""
    # With bytecode caches, as users have them: without, minidl would be compiled again in each run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", PROBE.format(module)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="time of `import minidl` relative to `import numpy`")
    parser.add_argument("--runs", type=int, default=25, help="fresh interpreters for each of the two")
    parser.add_argument("--limit", type=float, default=1.25, help="highest ratio accepted")
    arguments = parser.parse_args()

    times: dict[str, list[float]] = {"numpy": [], "minidl": []}
    for module in times:
        seconds(module)  # writes the bytecode and fills the disk cache
    for _ in range(arguments.runs):
        for module, row in times.items():
            row.append(seconds(module))

    for module, row in times.items():
        print(
            f"import {module}: lowest {min(row) * 1e3:.1f} ms"
            f" (median {statistics.median(row) * 1e3:.1f}, highest {max(row) * 1e3:.1f}, {len(row)} runs)"
        )
    ratio = min(times["minidl"]) / min(times["numpy"])
    medians = statistics.median(times["minidl"]) / statistics.median(times["numpy"])
    print(f"ratio: {ratio:.3f} (limit {arguments.limit}; of the medians {medians:.3f})")
    return int(ratio > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
