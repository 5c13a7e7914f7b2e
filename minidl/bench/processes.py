"""The parent's end of a contestant's process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

#: Seconds that a contestant may take for one answer; compiling a network takes a minute or two.
LIMIT = 900.0
#: Not passed on: they choose slower or wrong kernels in NumPy's BLAS, for the sake of old versions of it.
REMOVED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
#: The threads of OpenBLAS sleep after 2¹⁰ ticks without work, instead of 2²⁶: others have their turns.
CALM = {"OPENBLAS_THREAD_TIMEOUT": "10"}
#: What was freed stays with the process. GNU's allocator asks the system for each array of 32 MiB or more and
#: gives it back: to map and zero its pages takes longer than most operations on it. (TensorFlow and minidl
#: keep memory by themselves; PyTorch's users are advised to take another allocator, which does.)
KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11)}
#: What limits threads before a library is imported; each library is also told by its own function.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerError(Exception):
    """A contestant could not do what it was asked; the text says why, in one line."""


class Process:
    """A contestant in a process of its own, in a session of its own: Ctrl-C reaches the parent alone.

    Args:
        name: of the contestant.
        threads: that it may use.
        extra: further environment variables.

    Raises:
        WorkerError: it did not start.
    """

    def __init__(self, name: str, threads: int, extra: dict[str, str] | None = None) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "minidl.bench.worker", name, str(threads)],
            env=environment(threads, extra),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            self.ready = self._read(LIMIT)
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict[str, Any], limit: float = LIMIT) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: it failed, ended, or took longer than ``limit`` seconds.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reading will say how it ended
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        return self._read(limit)

    def _read(self, limit: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor, end = self._process.stdout.fileno(), time.monotonic() + limit
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise WorkerError(f"no answer within {limit:.0f} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise WorkerError(self._ended())
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def _ended(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
        why = "killed (out of memory?)" if code == -signal.SIGKILL else f"ended with code {code}"
        return f"{why}: {last[:200]}"

    def close(self) -> None:
        """End the process and whatever it started (compilers)."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def environment(threads: int, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a contestant: the same threads for all, nothing that slows a BLAS down.

    Args:
        threads: for every library's own variable.
        extra: added last.
    """
    import minidl

    root = str(Path(minidl.__file__).resolve().parent.parent)  # a clone that was not installed
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    kept |= {**dict.fromkeys(THREADS, str(threads)), **CALM}
    path = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore", **(extra or {})}


@dataclass
class Team:
    """Processes that are started when first asked for, and end together."""

    threads: int
    extra: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    def get(self, name: str) -> Process:
        """The process of a contestant.

        Raises:
            WorkerError: it does not start.
        """
        if name not in self.processes:
            self.processes[name] = Process(name, self.threads, self.extra)
        return self.processes[name]

    def drop(self, name: str) -> None:
        """End one that failed: the next workload gets a fresh one."""
        if name in self.processes:
            self.processes.pop(name).close()

    def close(self) -> None:
        """End all."""
        for name in list(self.processes):
            self.drop(name)
