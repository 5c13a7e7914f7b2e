"""Other programs (the compiler, a kernel's process): bounded in time and output; nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Longest wait between two looks at a program, in seconds.
STEP = 0.05


@dataclass(frozen=True)
class Limits:
    """What a file of somebody's may take, before it is ended.

    Attributes:
        seconds: of each run of its code, loading included; 0: any number.
        compile_seconds: of the compiler; 0: any number.
        memory: bytes of address space, of the compiler and of a run.
    """

    seconds: float = 60.0
    compile_seconds: float = 300.0
    memory: int = 8 * 2**30


@dataclass(frozen=True)
class Ended:
    """What became of a program.

    Attributes:
        status: its exit status; -n if signal n ended it.
        output: what it wrote, at most as much as was allowed.
        overran: it was ended because its time was over.
    """

    status: int
    output: bytes
    overran: bool


def run(
    command: Sequence[str],
    *,
    seconds: float | None,
    most: int,
    errors: int = subprocess.DEVNULL,
    given: IO[bytes] | int = subprocess.DEVNULL,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> Ended:
    """Run a program to its end, or to that of its time; then it and all that it started are gone.

    So they are if this is interrupted, by Ctrl-C above all, which the program itself does not see.

    Args:
        command: the program and its arguments.
        seconds: that it may take; None: any number.
        most: bytes of output that are read. A program that writes more is ended.
        errors: where its error output goes: ``subprocess.DEVNULL`` or ``subprocess.STDOUT``.
        given: its input.
        folder: where it runs.
        environment: its environment; None: this one's.
        keep: files that stay open in it.

    Raises:
        OSError: there is no such program, or no room for a process.

    >>> run(["/bin/echo", "hello"], seconds=60, most=1000).output
    b'hello\\n'
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    process = subprocess.Popen(
        command,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
        env=environment,
        pass_fds=keep,
        start_new_session=True,
    )
    try:
        output, overran = _read(process, deadline, most)
        overran = _await(process, deadline) or overran
    finally:
        _end(process)
    return Ended(process.returncode, output, overran)


def _read(process: subprocess.Popen[bytes], deadline: float | None, most: int) -> tuple[bytes, bool]:
    """Its output, until that or the process ends, and whether its time was over first."""
    assert process.stdout is not None
    pipe, output, alive = process.stdout.fileno(), bytearray(), True
    while True:
        if select.select([pipe], [], [], STEP if alive else 0)[0]:
            piece = os.read(pipe, 65536)
            output += piece
            if not piece or len(output) > most:
                break
        elif not alive:  # another process, which it has left behind, still has the pipe
            break
        else:
            alive = not _has_ended(process)
        if deadline is not None and time.monotonic() > deadline:
            return bytes(output[:most]), True
    if len(output) > most:
        _kill(process)
    return bytes(output[:most]), False


def _await(process: subprocess.Popen[bytes], deadline: float | None) -> bool:
    """Wait for a process that has closed its output; True: its time was over first."""
    pause = 0.0005
    while not _has_ended(process):
        if deadline is not None and time.monotonic() > deadline:
            return True
        time.sleep(pause)
        pause = min(2 * pause, STEP)
    return False


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without taking note of it: until then nobody else has its number, by which its group is known."""
    if process.returncode is not None:
        return True
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, flags) is not None
    except ChildProcessError:  # somebody else has waited for it
        return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
