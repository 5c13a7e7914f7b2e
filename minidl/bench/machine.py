"""What the figures were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

#: Distributions whose version belongs to the figures, minidl's own needs first.
VERSIONS = (
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "torch",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "onnxruntime",
    "onnx",
)


def describe(threads: int) -> dict[str, Any]:
    """Processor, cores, memory, system, and the threads that every contestant may use."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory() -> int:
    """Bytes of memory that are free for programs, or 8 GiB where the system does not say."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    return 8 * 2**30


def versions() -> dict[str, str]:
    """Of minidl and of what is installed."""
    import minidl

    found = {"minidl": minidl.__version__}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the clone that minidl runs from; "+" after it: with changes; None: not a clone."""
    import minidl

    root = Path(minidl.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def now() -> str:
    """Date and time, in UTC, to the minute."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
