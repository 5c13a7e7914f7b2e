"""Ctrl-C at a thousand random moments of operations: no memory, no thread and no hold on BLAS stays behind.

``PYTHONPATH=.:tests python -m soak.interrupts``: forwards and backwards of
relu (arrays of 67 MB), conv2d, matmul and cross_entropy are interrupted 250 times each, by a signal from a
clock. An interruption may come between any two steps of Python's, also those of taking a lock, starting a
thread or handing work to one. What is resident afterwards may exceed what was before by one working set at
the most: a step that is interrupted may leave its memory in other stretches than one that is not.
`tests/soak/test_interrupts.py` does the same with fewer.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl.bench.worker import resident
from minidl.kernels import blas
from minidl.nn import functional as F
from oracles.commands import ROOT
from oracles.interruptions import interrupted

THREADS = 2
#: Operations, and the shapes of what they get; all float32.
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "relu": ((16, 64, 128, 128),),
    "conv2d": ((8, 16, 128, 128), (32, 16, 3, 3)),
    "matmul": ((1000, 1200), (1200, 900)),
    "cross_entropy": ((8, 21, 200, 200),),
}


def step(name: str) -> Callable[[], None]:
    """Forward and backward of the operation, with arrays of their own each time."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in SHAPES[name]]
    labels = rng.integers(0, 21, (8, 200, 200))

    def once() -> None:
        inputs = [minidl.tensor(array, requires_grad=True) for array in arrays]
        if name == "relu":
            F.relu(*inputs).sum().backward()
        elif name == "conv2d":
            F.conv2d(*inputs, padding=1).sum().backward()
        elif name == "matmul":
            (inputs[0] @ inputs[1]).sum().backward()
        else:
            F.cross_entropy(*inputs, labels).backward()

    return once


def state() -> dict[str, int]:
    """What an interruption might leave behind."""
    gc.collect()
    return {
        "resident MB": round(resident()["VmRSS"] / 1e6),
        "threads": sum(thread.name.startswith("minidl") for thread in threading.enumerate()),
        "open regions of BLAS": len(blas._regions),
        "threads of BLAS": max(library.get_num_threads() for library in blas._libraries),
    }


def soak(times: int, names: tuple[str, ...] = tuple(SHAPES), seed: int = 0) -> dict[str, Any]:
    """Interrupt each operation so often; what was there before and afterwards."""
    minidl.set_num_threads(THREADS)
    steps = {name: step(name) for name in names}
    quiet = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None  # Ctrl-C in a destructor: Python prints it and goes on
    found: dict[str, Any] = {"before": {}, "interrupts": {}, "after": {}}
    try:
        for once in [*steps.values()] * 2:
            once()
        found["before"] = state()
        for name, once in steps.items():
            found["interrupts"][name] = interrupted(once, times, seed)
            found["after"][name] = state()
    finally:
        sys.unraisablehook = quiet
    return found


def faults(found: dict[str, Any]) -> list[str]:
    """What is not as it was."""
    sets = {name: sum(4 * int(np.prod(shape)) for shape in SHAPES[name]) for name in found["interrupts"]}
    working_set = 4 * max(sets.values()) / 1e6  # inputs, results and the gradients of both
    before, wrong = found["before"], []
    for name, after in found["after"].items():
        if after["resident MB"] > before["resident MB"] + working_set:
            wrong.append(f"{name}: {after['resident MB']} MB after {before['resident MB']} MB")
        if after["threads"] > 2 * THREADS or after["open regions of BLAS"]:
            wrong.append(f"{name}: {after}")
        if after["threads of BLAS"] != before["threads of BLAS"]:
            wrong.append(f"{name}: BLAS has {after['threads of BLAS']} threads")
    return wrong


def main() -> None:
    """Run it; write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=250, help="interrupts of each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    began = time.monotonic()
    found = soak(given.times, seed=given.seed)
    report = {
        "command": "python -m soak.interrupts",
        "what": f"forward and backward of {', '.join(SHAPES)} on {THREADS} threads, Ctrl-C at random moments",
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        **found,
        "not as before": faults(found),
    }
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if given.report:
        (ROOT / given.report).write_text(text, encoding="utf-8")
    sys.exit(bool(report["not as before"]))


if __name__ == "__main__":
    main()
