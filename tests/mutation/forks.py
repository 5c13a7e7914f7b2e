"""Children: forks of this process, a few at a time, each with a folder of its own and a time limit.

A child may loop for ever, use up the memory, crash, or leave processes behind; the parent goes on.
Processor time is what is limited, so that other work on the machine kills no mutant; the wall clock only
ends children that wait for something that never comes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A child may take so much more memory than its parent has.
MEMORY = 4 * 2**30


@dataclass(frozen=True)
class Job:
    """What a child does: ``work(report)``, in an empty folder; ``report(value)`` sends its result."""

    key: Any
    work: Callable[[Callable[[Any], None]], None]
    wall_seconds: float
    speaks: bool = False  # its stderr is this process's


@dataclass(frozen=True)
class Ended:
    """How a child ended: what it sent last (None if nothing), and why it ended early, if it did."""

    key: Any
    sent: Any
    died: str | None
    seconds: float


@dataclass
class Child:
    """A running child."""

    job: Job
    pid: int
    started: float
    folder: Path
    received: bytes = b""


def run_all(jobs: Iterable[Job], workers: int) -> Iterator[Ended]:
    """The jobs' ends, as they come. Jobs are taken from the iterable only when a child is free."""
    waiting, running = iter(jobs), dict[int, Child]()
    exhausted = False
    gc.collect()
    gc.freeze()  # the children's garbage collections must not touch, and so copy, the parent's objects
    try:
        while running or not exhausted:
            while len(running) < workers and not exhausted:
                job = next(waiting, None)
                if job is None:
                    exhausted = True
                else:
                    pipe, child = _start(job)
                    running[pipe] = child
            yield from _ended(running)
    finally:
        for pipe, child in running.items():
            _finish(pipe, child)
        gc.unfreeze()


def limit_time(seconds: float) -> None:
    """End this process (SIGPROF) when it has used so much more processor time; 0 takes the limit away."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _start(job: Job) -> tuple[int, Child]:
    folder = Path(tempfile.mkdtemp(prefix="mutant-"))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _become_child(job, folder, writing)
    os.close(writing)
    return reading, Child(job, pid, time.monotonic(), folder)


def _become_child(job: Job, folder: Path, writing: int) -> None:
    """Never returns."""
    code = 70
    try:
        faulthandler.disable()  # a crash is a result like any other
        os.setsid()  # so that what it starts can be ended with it
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1) if job.speaks else (0, 1, 2):
            os.dup2(null, stream)
        if not job.speaks:
            _limit_memory()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        tempfile.tempdir = str(folder)
        os.environ["TMPDIR"] = str(folder)

        def report(value: Any) -> None:
            data = memoryview(pickle.dumps(value))
            while data:
                data = data[os.write(writing, data) :]

        job.work(report)
        code = 0
    except BaseException:
        traceback.print_exc()  # seen if the job speaks
    finally:
        os._exit(code)


def _limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, hard))


def _ended(running: dict[int, Child]) -> Iterator[Ended]:
    """Wait until a child ends or its time is up."""
    now = time.monotonic()
    until = min(child.started + child.job.wall_seconds for child in running.values()) if running else now
    ready, _, _ = select.select(list(running), [], [], max(0.0, until - now))
    for pipe in ready:
        data = os.read(pipe, 1 << 20)
        running[pipe].received += data
        if not data:
            yield _finish(pipe, running.pop(pipe))
    now = time.monotonic()
    for pipe, child in list(running.items()):
        if now > child.started + child.job.wall_seconds:
            yield _finish(pipe, running.pop(pipe), late=True)


def _finish(pipe: int, child: Child, late: bool = False) -> Ended:
    os.close(pipe)
    if late:
        os.kill(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # what it left behind
    shutil.rmtree(child.folder, ignore_errors=True)
    died = None
    if late:
        died = "time"
    elif os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        died = "time" if number == signal.SIGPROF else signal.Signals(number).name
    elif os.WEXITSTATUS(status):
        died = f"exit {os.WEXITSTATUS(status)}"
    sent, received = None, io.BytesIO(child.received)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            sent = pickle.load(received)
    return Ended(child.job.key, sent, died, time.monotonic() - child.started)


def say(*words: Any) -> None:
    """Progress, on stderr."""
    print(*words, file=sys.stderr, flush=True)
