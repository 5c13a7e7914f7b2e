"""The process of one contestant: ``python -m minidl.bench.worker CONTESTANT THREADS``.

It reads requests, one JSON object a line, from standard input, and answers each with one line:

* ``{"do": "prepare", "workload": NAME, "quick": bool}``: make it ready and warm; says what that took, and the
  digest of what was computed;
* ``{"do": "go"}``: run it, and say the seconds of its parts;
* ``{"do": "memory", "workload": NAME, "quick": bool}``: peak resident memory before and after three runs.

Whatever the libraries print goes to standard error, so that the answers stay clean.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import re
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from minidl.bench.contestants import contestant
from minidl.bench.tasks import Workload
from minidl.bench.workloads import find

#: Runs before anything counts: the first one compiles, the others fill caches and allocators.
WARM_UP = 3
#: A turn lasts at least about so many seconds: a quick operation runs several times, and its median counts.
TURN, MOST_REPEATS = 0.05, 30


class Contender:
    """Answers requests.

    Args:
        name: of the contestant.
        threads: that it may use.
    """

    def __init__(self, name: str, threads: int) -> None:
        chosen = contestant(name)
        began = time.perf_counter()
        module = importlib.import_module(f"minidl.bench.sides.{chosen.side}")
        self.side = module.Side(chosen.setting, threads)
        self.imported = time.perf_counter() - began
        self.job: Any = None
        self.repeats = 1
        self.rested = time.process_time()

    def prepare(self, workload: Workload) -> dict[str, Any]:
        """Build, run until warm, and choose how often a turn repeats."""
        self.job = None
        gc.collect()
        began = time.perf_counter()
        self.job = self.side.prepare(workload)
        built = time.perf_counter() - began
        runs = []
        for _ in range(WARM_UP):
            began = time.perf_counter()
            self.job.run()
            runs.append(time.perf_counter() - began)
        self.repeats = max(1, min(MOST_REPEATS, math.ceil(TURN / runs[-1])))
        answer = {"import": self.imported, "build": built, "warm_up": runs, "digest": self.job.digest()}
        self.rested = time.process_time()
        return answer

    def go(self) -> dict[str, Any]:
        """One turn: medians of the parts, and the processor seconds that passed while others had theirs."""
        idle = time.process_time() - self.rested
        began = time.perf_counter()
        runs = [self.job.run() for _ in range(self.repeats)]
        turn = time.perf_counter() - began
        parts = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        self.rested = time.process_time()
        return {"parts": parts, "idle": idle, "turn": turn}

    def memory(self, workload: Workload) -> dict[str, Any]:
        """Resident bytes: with the library alone, with the network, and the peaks of building and running."""
        imported = resident()["VmRSS"]
        job = self.side.prepare(workload)
        gc.collect()
        built = resident()
        forget_peak()
        for _ in range(WARM_UP):
            job.run()
        return {
            "imported": imported,
            "built": built["VmRSS"],
            "peak": resident()["VmHWM"],
            "digest": job.digest(),
        }


def resident() -> dict[str, int]:
    """Resident memory of this process in bytes: now (VmRSS) and at its peak (VmHWM)."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status.read_text(), re.MULTILINE)
        return {name: int(kilobytes) * 1024 for name, kilobytes in found}
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = largest if sys.platform == "darwin" else largest * 1024  # bytes there, KiB elsewhere
    return {"VmRSS": largest, "VmHWM": largest}


def forget_peak() -> None:
    """Let the peak begin anew, where Linux allows it: what building needed does not count as a step's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def answer(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request; what goes wrong is one of the replies."""
    try:
        action = request["do"]
        if action == "go":
            return contender.go()
        workload = find(request["workload"], request["quick"])
        return contender.prepare(workload) if action == "prepare" else contender.memory(workload)
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()
        text = " ".join(str(error).split()) or "no message"
        return {"error": f"{type(error).__name__}: {text}"[:300]}


def main() -> int:
    """Serve until standard input ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        contender = Contender(sys.argv[1], int(sys.argv[2]))
        first = {"ready": contender.imported}
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), file=replies, flush=True)
        return 1
    print(json.dumps(first), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(contender, json.loads(line))), file=replies, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
