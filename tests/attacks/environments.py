"""Environment variables, closed streams, limits of the system, a working directory that is gone"""

from __future__ import annotations

import random
import shutil

from attacks.bench import Bench
from oracles.commands import SMALL

MEANS = "the work is done, or refused in a line"
COUNT = 60

_LONG = "x" * 10_000
#: Variables that are read by something below minidl, and values that somebody may have set.
_VARIABLES: dict[str, tuple[str | None, ...]] = {
    "NUMBA_DISABLE_JIT": ("1", "0", "", "yes", "-1", "\u00b2"),
    "NUMBA_NUM_THREADS": ("1", "64"),
    "MINIDL_BACKEND": ("numpy", "numba", "cuda", "", "\x1b[31m", _LONG),
    "MINIDL_CHECK_KERNELS": ("1", "x"),
    "MINIDL_VECTOR_BYTES": ("16", "32", "0", "7", "x", "-64", "9" * 50),
    "OMP_NUM_THREADS": ("1", "0", "-1", "x", "100000"),
    "OPENBLAS_NUM_THREADS": ("1", "0", "-1", "x", "100000"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-16", "utf-8:surrogateescape"),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONWARNINGS": ("error", "always", "x"),
    "PYTHONHASHSEED": ("0", "1"),
    "PYTHONOPTIMIZE": ("1", "2"),
    "LC_ALL": ("C", "POSIX", "tr_TR.UTF-8", "nowhere", ""),
    "LANG": ("C", "\x1b"),
    "HOME": (None, "", "/nonexistent", "/dev/null", "relative"),
    "TMPDIR": ("/nonexistent", "", "relative", "/dev/null"),
    "XDG_CACHE_HOME": ("", "relative", "/nonexistent", "/dev/null"),
    "MPLBACKEND": ("agg", "x", "", "TkAgg", "Qt5Agg"),
    "MPLCONFIGDIR": ("/nonexistent", "", "/dev/null", "relative"),
    "COLUMNS": ("0", "-1", "x", "1", "999999"),
    "LINES": ("0", "-1", "x"),
    "TERM": ("dumb", "", None, "\x1b"),
    "NO_COLOR": ("1", ""),
    "FORCE_COLOR": ("1",),
    "TQDM_DISABLE": ("1",),
    "TZ": ("nowhere", ""),
    "PATH": ("", None),
    "SOURCE_DATE_EPOCH": ("x", "-1"),
}
#: What a shell does before the command, or with its streams; True: the results may not be writable.
_SHELL: tuple[tuple[str, str, bool], ...] = (
    *(("", "2>&-", False), ("", ">&-", False), ("", "<&-", False), ("", "<&- >&- 2>&-", False)),
    *(
        ("", ">/dev/full", True),
        ("", "2>/dev/full", False),
        ("", "</dev/zero", False),
        ("", "</dev/full", False),
    ),
    *(
        ("umask 777;", "", True),
        ("umask 0;", "", False),
        ("ulimit -n 40;", "", True),
        ("ulimit -n 12;", "", True),
    ),
    *(
        ("ulimit -f 0;", "", True),
        ("ulimit -f 1;", "", True),
        ("ulimit -c 0;", "", False),
        ("ulimit -s 1024;", "", False),
    ),
    *(
        ("ulimit -v 3000000;", "", True),
        ("mkdir gone; cd gone; rmdir ../gone;", "", False),
        ("cd /;", "", False),
    ),
    *(("trap '' INT TERM HUP PIPE;", "", False), ("exec 3</dev/zero 4>/dev/full;", "", False)),
)


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """A short training, or a prediction, in each."""
    cases = [(name, value) for name, values in _VARIABLES.items() for value in values]
    out = bench.folder / "out"
    commands = (
        ("train", bench.data, "--out", out, *SMALL),
        ("predict", bench.run, bench.data / "test/images", "--out", out),
        ("evaluate", bench.run, bench.data, "--out", out),
    )
    for number in range(count):
        arguments = rng.choice(commands)
        writes = [out, bench.folder / "relative"]
        if number % 3 == 0:
            before, after, may_fail = (
                rng.choice(_SHELL) if count < 3 * len(_SHELL) else _SHELL[number // 3 % len(_SHELL)]
            )
            bench.process(f"{before} {arguments[0]} {after}", *arguments, codes=[0, 2] if may_fail else [0],
                          before=before, after=after, writes=writes)  # fmt: skip
        else:
            name, value = rng.choice(cases)
            bench.process(
                f"{name}={value!r:.40} {arguments[0]}", *arguments, env={name: value}, writes=writes
            )
        for path in writes:
            shutil.rmtree(path, ignore_errors=True)
