"""Compiled code on disk: found again, never stale, and no harm where nothing can be written."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minidl.kernels import cpu

#: Runs one kernel, and tells how often Numba found it on disk and how often it did not.
PROBE = """
import numpy as np
from minidl.kernels.cpu import cache_folder
from minidl.kernels.cpu.max_pool2d import forward
forward(np.ones((1, 4, 4, 4), np.float32), (2, 2), (2, 2), (2, 2), (0, 0), (1, 1))
import numba.core.dispatcher as d, gc
found = [f.stats for f in gc.get_objects() if isinstance(f, d.Dispatcher) and f.signatures]
print(cache_folder(), sum(sum(s.cache_hits.values()) for s in found),
      sum(sum(s.cache_misses.values()) for s in found))
"""


def probe(before: str = "", note: str = "", **variables: str) -> tuple[Path, int, int]:
    """The folder, hits and misses, of a fresh process; it says one note, or nothing."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    command = [sys.executable, "-W", "error", "-c", before + PROBE]
    done = subprocess.run(
        command, env={**environment, **variables}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == bool(note) and note in done.stderr, done.stderr
    folder, hits, misses = done.stdout.split()
    return Path(folder), int(hits), int(misses)


def compiled_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


def test_a_second_process_compiles_nothing(tmp_path):
    folder, hits, misses = probe(NUMBA_CACHE_DIR=str(tmp_path))
    assert folder.parent == tmp_path and hits == 0 and misses > 0
    before = compiled_files(folder)
    assert before
    again, hits, misses = probe(NUMBA_CACHE_DIR=str(tmp_path))
    assert again == folder and hits > 0 and misses == 0  # what a found function calls is part of it
    assert compiled_files(folder) == before


def test_where_nobody_says_it_lies_in_the_users_own_cache(tmp_path):
    folder, *_ = probe(XDG_CACHE_HOME=str(tmp_path))
    assert folder.parent == tmp_path / "minidl" and compiled_files(folder)


@pytest.mark.parametrize("how", ["a file in the way", "no home"])
def test_without_a_folder_kernels_are_compiled_in_each_process(tmp_path, how):
    """Permissions would not do: the superuser, as whom containers run, may write everywhere."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    variable = "NUMBA_CACHE_DIR" if how == "a file in the way" else "HOME"
    sources = Path(cpu.__file__).parent
    before = compiled_files(sources)
    _, hits, misses = probe(note="for this process only", **{variable: str(blocked / "below")})
    assert hits == 0 and misses > 0
    assert compiled_files(sources) == before  # where Numba would keep it of itself, and find it stale later
    assert blocked.read_text() == "not a folder"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The kernels' folder as a copy that may be changed."""
    folder = tmp_path / "cpu"
    shutil.copytree(Path(cpu.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cpu, "__file__", str(folder / "__init__.py"))
    return folder


def named() -> str:
    return cpu._name()


def test_any_change_of_a_source_gives_another_folder(copy):
    """Also of a file that the kernel's own file imports, which Numba does not look at."""
    seen = {named()}
    for source in sorted(copy.glob("*.py")):
        text = source.read_bytes()
        source.write_bytes(text + b"\n")
        seen.add(named())
        source.write_bytes(text)
    assert len(seen) == 1 + len(list(copy.glob("*.py")))
    assert named() == cpu._name() in seen  # and the old one again for the old text


def test_another_compiler_or_width_gives_another_folder(monkeypatch):
    import numba

    monkeypatch.delenv("MINIDL_VECTOR_BYTES", raising=False)
    seen = {named()}
    monkeypatch.setenv("MINIDL_VECTOR_BYTES", "16")
    seen.add(named())
    monkeypatch.setattr(numba, "__version__", "0.0")
    seen.add(named())
    assert len(seen) == 3


def test_numbas_own_setting_is_as_before():
    import numba

    before = numba.config.CACHE_DIR

    @cpu.compiled
    def twice(x):
        return 2 * x

    assert twice(4) == 8 and numba.config.CACHE_DIR == before


def test_what_other_versions_left_is_forgotten_after_a_month(tmp_path):
    old, recent, foreign = (tmp_path / name for name in ("minidl-" + "0" * 16, "minidl-" + "a" * 16, "mine"))
    for folder in (old, recent, foreign):
        folder.mkdir()
        (folder / "code").write_text("x")
    for folder in (old, foreign):
        os.utime(folder, (1, 1))
    cpu._forget_old(tmp_path)
    assert not old.exists() and recent.exists() and foreign.exists()


HARMS = {
    "emptied": lambda file: file.write_bytes(b""),
    "cut off": lambda file: os.truncate(file, file.stat().st_size // 2),
    "changed": lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
    "anybody's": lambda file: file.chmod(0o666),
}


def test_damaged_files_are_compiled_anew_and_mended(tmp_path):
    """An index file of no bytes once ended every command, as if Ctrl-C had been pressed."""
    folder, *_ = probe(NUMBA_CACHE_DIR=str(tmp_path))
    for file, harm in zip(compiled_files(folder), itertools.cycle(HARMS.values()), strict=False):
        harm(file)
    _, hits, misses = probe(NUMBA_CACHE_DIR=str(tmp_path), note="damaged")
    assert hits == 0 and misses > 0
    _, hits, misses = probe(NUMBA_CACHE_DIR=str(tmp_path))
    assert hits > 0 and misses == 0
    folder.chmod(0o777)  # now anybody could have put a pickle there
    used, hits, _ = probe(NUMBA_CACHE_DIR=str(tmp_path), note="others may write there")
    assert hits == 0 and used != folder and not used.exists()


def test_a_full_disk_stops_nothing(tmp_path):
    """A limit to the size of files raises out of a write as a full disk does."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    folder, _, misses = probe(before=limit, note="not kept there", NUMBA_CACHE_DIR=str(tmp_path))
    assert misses > 0 and not list(folder.iterdir())  # nothing half written either


def test_two_processes_at_once_keep_whole_files(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: probe(NUMBA_CACHE_DIR=str(tmp_path)), range(2)))
    assert both[0][0] == both[1][0]
    _, hits, misses = probe(NUMBA_CACHE_DIR=str(tmp_path))
    assert hits > 0 and misses == 0


def test_a_function_from_elsewhere_is_not_kept():
    """The folder is named after the sources of the kernels, which say nothing of this file."""

    @cpu.compiled
    def doubled(x):
        return 2 * x

    assert doubled(3) == 6
    assert doubled.stats.cache_path is None
