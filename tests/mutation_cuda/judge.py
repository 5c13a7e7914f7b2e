"""Is a mutant noticed? It runs in a process of its own: what it does to memory hurts nobody."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import time
import traceback
from typing import Any

import numpy as np

from minidl.kernels.cuda.launch import Module
from minidl.kernels.sim import CompileError, KernelFault, checked
from mutation_cuda.mutants import Mutant
from oracles.cuda_cases import CASES, far, host_module

SURVIVED = "survived"


def run_cases(file: str, source: str) -> str:
    """What noticed that a file has another source: a value, the checker, or nothing."""
    operation = host_module(file)
    device = importlib.import_module(f"minidl.kernels.cuda.{operation}")
    module: Module = device.MODULE
    fresh = vars(Module(module.file, **module.defines))
    vars(module).clear()  # what this process compiled before is the original
    vars(module).update(fresh, source=source)
    import minidl.kernels.sim.cupy as xp

    # Check mode first: it compares values as well, and reports instead of crashing.
    runs: tuple[tuple[Any, dict[str, Any], Any], ...] = (
        (np.float32, {"order": 0}, contextlib.nullcontext),
        (np.float32, {"order": 1}, contextlib.nullcontext),
        (np.float32, {"order": 5}, contextlib.nullcontext),
        (np.float64, {"order": 0, "check": False}, contextlib.nullcontext),
        (np.float32, {"order": 0}, far),
    )
    for dtype, options, how in runs:
        for case in CASES[file]:
            try:
                with checked(time_limit=20, **options), how(operation):
                    case.check(xp, dtype)
            except CompileError:
                return "no program"
            except KernelFault as fault:
                return f"finding: {fault.findings[0].kind}"
            except AssertionError:
                return f"value: {case.id}"
            except Exception as error:
                return f"error: {type(error).__name__}"
    return SURVIVED


def judge(mutant: Mutant, limit: float = 90) -> str:
    """The verdict: ``survived``, or what killed the mutant."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.close(reading)
            os.write(writing, run_cases(mutant.file, mutant.source).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], limit)
    verdict = os.read(reading, 200).decode() if ready else "time"
    os.close(reading)
    if not ready:
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return verdict or "crash"


def timed(mutant: Mutant) -> tuple[str, float]:
    """The verdict and the seconds that it took."""
    start = time.perf_counter()
    return judge(mutant), time.perf_counter() - start
