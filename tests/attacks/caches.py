"""Caches of compiled code: another user's, open to all, empty, truncated, mutated, full, no folder at all"""

from __future__ import annotations

import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from attacks.bench import Bench, Ended
from attacks.mutation import mutated

MEANS = (
    "the work is done all the same, with a note or two, and nothing that lies there is run but the user's own"
)
COUNT = 30

#: What nobody but the user and root may own; any number that is no user's here.
STRANGER = 54_321


class _Trap:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (os.fspath(self.marker),)


def _each(change: Callable[[random.Random, Path], object]) -> Callable[[random.Random, Path], None]:
    def all_files(rng: random.Random, cache: Path) -> None:
        for path in sorted(cache.rglob("*.nb[ic]")):
            change(rng, path)

    return all_files


def _trapped(rng: random.Random, path: Path) -> None:
    path.write_bytes(pickle.dumps(_Trap(path.parents[2] / "was-run")))


def _replaced(make: Callable[[Path], object]) -> Callable[[random.Random, Path], None]:
    def change(rng: random.Random, path: Path) -> None:
        path.unlink()
        make(path)

    return change


def _as_strangers(rng: random.Random, cache: Path) -> None:
    _each(_trapped)(rng, cache)
    for path in (cache, *cache.rglob("*")):
        os.chmod(path, 0o777)
        if os.geteuid() == 0:
            os.chown(path, STRANGER, STRANGER)


def _open_to_all(rng: random.Random, cache: Path) -> None:
    _each(_trapped)(rng, cache)
    for path in (cache, *cache.rglob("*")):
        os.chmod(path, 0o777)


STATES: dict[str, Callable[[random.Random, Path], object]] = {
    "files of 0 bytes": _each(lambda rng, path: path.write_bytes(b"")),
    "index files of 0 bytes": _each(lambda rng, path: path.suffix == ".nbi" and path.write_bytes(b"")),
    "truncated files": _each(lambda rng, path: os.truncate(path, rng.randrange(path.stat().st_size))),
    "mutated files": _each(lambda rng, path: path.write_bytes(mutated(rng, path.read_bytes())[1])),
    "some files gone": _each(lambda rng, path: rng.random() < 0.5 and path.unlink()),
    "pickles that run something": _each(_trapped),
    "another user's": _as_strangers,
    "open to all": _open_to_all,
    "pipes": _each(_replaced(os.mkfifo)),
    "folders": _each(_replaced(os.mkdir)),
    "links to /dev/zero": _each(_replaced(lambda path: path.symlink_to("/dev/zero"))),
    "links to nowhere": _each(_replaced(lambda path: path.symlink_to("nowhere"))),
}

#: Where the cache shall be: (variables, what a shell does first).
PLACES: dict[str, tuple[dict[str, str | None], str]] = {
    "no HOME": ({"HOME": None, "NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None}, ""),
    "HOME that is not there": ({"HOME": "/nonexistent", "NUMBA_CACHE_DIR": None}, ""),
    "HOME that is /dev/null": ({"HOME": "/dev/null", "NUMBA_CACHE_DIR": None}, ""),
    "an empty HOME": ({"HOME": "", "NUMBA_CACHE_DIR": None}, ""),
    "a relative path": ({"NUMBA_CACHE_DIR": "../cache"}, ""),
    "a file": ({"NUMBA_CACHE_DIR": "data/val/images/00.png"}, ""),
    "a path of 5000 characters": ({"NUMBA_CACHE_DIR": "x" * 5000}, ""),
    "an escape sequence": ({"NUMBA_CACHE_DIR": "/nonexistent/\x1b[31m\n"}, ""),
    "/proc": ({"NUMBA_CACHE_DIR": "/proc"}, ""),
    "~": ({"NUMBA_CACHE_DIR": "/dev/null/~"}, ""),
}


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Predict with each state of the cache, and each place for it."""
    whole, cache = bench.folder.parent / "whole", bench.folder.parent / "cache"
    arguments = ("predict", bench.run, bench.data / "test/images", "--out", bench.folder / "out")
    bench.process(
        "a new cache",
        *arguments,
        codes=[0],
        env={"NUMBA_CACHE_DIR": str(whole)},
        writes=[bench.folder / "out"],
    )
    cases: list[tuple[str, Callable[[random.Random, Path], object], dict[str, str | None], str]] = [
        (name, state, {"NUMBA_CACHE_DIR": str(cache)}, "") for name, state in STATES.items()
    ]
    cases += [(name, lambda rng, cache: None, *place) for name, place in PLACES.items()]
    # No room for a file: the results cannot be written either.
    cases += [
        (
            "a full disk",
            lambda rng, cache: shutil.rmtree(cache),
            {"NUMBA_CACHE_DIR": str(cache)},
            "ulimit -f 0;",
        )
    ]
    for number in range(count - 1):
        name, change, variables, before = cases[number] if number < len(cases) <= count else rng.choice(cases)
        shutil.copytree(whole, cache)
        change(rng, cache)

        def expect(ended: Ended) -> str:
            if (bench.folder.parent / "was-run").exists():
                return "ran what lay in the cache"
            notes = [line for line in ended.err.split("\n") if line]
            return f"{len(notes)} notes: {ended.err[:300]!r}" if ended.code == 0 and len(notes) > 2 else ""

        bench.process(f"a cache: {name}", *arguments, codes=[2] if before else [0],
                      env=variables, before=before, writes=[bench.folder / "out"], expect=expect)  # fmt: skip
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(bench.folder / "out", ignore_errors=True)
        if (bench.folder.parent / "was-run").exists():
            (bench.folder.parent / "was-run").rmdir()
