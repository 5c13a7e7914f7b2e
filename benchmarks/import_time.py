"""How long ``import minidl`` takes, as a multiple of ``import numpy``.

Fresh interpreters import one or the other, in turn, so that a change in the machine's speed meets both. What
is compared are the medians of the time that the import statement takes, without the interpreter's own start.

    python benchmarks/import_time.py [--runs 15] [--limit 1.25]

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
    parser.add_argument("--runs", type=int, default=15, help="fresh interpreters for each of the two")
    parser.add_argument("--limit", type=float, default=1.25, help="highest ratio accepted")
    arguments = parser.parse_args()

    times: dict[str, list[float]] = {"numpy": [], "minidl": []}
    for module in times:
        seconds(module)  # writes the bytecode and fills the disk cache
    for _ in range(arguments.runs):
        for module, row in times.items():
            row.append(seconds(module))

    medians = {module: statistics.median(row) for module, row in times.items()}
    for module, row in times.items():
        print(
            f"import {module}: median {medians[module] * 1e3:.1f} ms"
            f" (lowest {min(row) * 1e3:.1f}, highest {max(row) * 1e3:.1f}, {len(row)} runs)"
        )
    ratio = medians["minidl"] / medians["numpy"]
    print(f"ratio: {ratio:.3f} (limit {arguments.limit})")
    return int(ratio > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
