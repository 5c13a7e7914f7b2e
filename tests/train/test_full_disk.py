"""A disk that is full loses nothing that was there: tried at every single call that needs room.

`oracles.disk` counts the calls (a new file, two halves of its bytes, fsync, the new name); a run is repeated
with room for 0, 1, 2, ... of them. Whatever comes first, afterwards each file is the old one or the new one,
no temporary file is left, the error is one line, and with room again the run ends as if nothing had been.
"""

import csv
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minidl._atomic import atomic_write, remove_leftovers
from minidl.errors import InputError
from minidl.train import Trainer
from minidl.train import checkpoint as checkpoints
from oracles.disk import NO_SPACE, Disk, filling
from oracles.runs import FILES, refusal, stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")

CALLS = 5  # of one atomic write
EACH = 4  # after every so many calls the run is also finished: over several files, every kind of call


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def calls_of(action: Callable[[], object]) -> int:
    with filling(Disk()) as disk:
        action()
    return disk.calls


# ---------------------------------------------------------------------------------------------
# One file
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("old", [b"old", None], ids=["over an old file", "a new file"])
@pytest.mark.parametrize("room", range(CALLS))
def test_one_write(tmp_path, room, old):
    path = tmp_path / "history.csv"
    if old is not None:
        path.write_bytes(old)
    with filling(Disk(room)), pytest.raises(InputError) as error:
        atomic_write(path, "a new, longer text")
    assert str(error.value) == f"{path}: cannot be written ({NO_SPACE}); give another path"
    assert files(tmp_path) == ({} if old is None else {path.name: old})
    assert calls_of(lambda: atomic_write(path, "a new, longer text")) == CALLS
    assert path.read_text() == "a new, longer text"


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    ours = ["last.safetensors", "folder", "link", "a" * 255]
    (tmp_path / ".last.safetensors.0123abcd.minidl-tmp").write_bytes(b"half")
    (tmp_path / f".{'a' * 60}.0123abcd.minidl-tmp").write_bytes(b"half")  # long names are cut
    (tmp_path / ".folder.0123abcd.minidl-tmp").mkdir()
    (tmp_path / ".link.0123abcd.minidl-tmp").symlink_to(tmp_path / "last.safetensors")
    others = ["last.safetensors", ".last.safetensors.tmp", ".hidden", ".last.safetensors.0123ABCD.minidl-tmp"]
    others += [".x.deadbeef.tmp", ".last.safetensors.deadbeef.tmp", ".x.deadbeef.minidl-tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    remove_leftovers(tmp_path, ours)
    kept = {*others, ".folder.0123abcd.minidl-tmp", ".link.0123abcd.minidl-tmp"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "none", ours)  # nothing to do


# ---------------------------------------------------------------------------------------------
# A training
# ---------------------------------------------------------------------------------------------
class Versions:
    """Every contents that a run without trouble gives to each of its files."""

    def __init__(self) -> None:
        self.of: dict[str, set[bytes]] = {}

    def note(self, folder: Path) -> None:
        for name, contents in files(folder).items():
            self.of.setdefault(name, set()).add(contents)


@pytest.fixture
def whole(squares, tmp_path, config, monkeypatch):
    """An uninterrupted run and all versions of its files."""
    trainer = Trainer(squares, config(steps=2, eval_every=1), tmp_path / "whole")
    versions = Versions()
    replace = os.replace

    def noting(source, target):
        replace(source, target)
        versions.note(trainer.out)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", noting)
        assert trainer.run()
    assert len(versions.of["last.safetensors"]) == len(versions.of["history.csv"]) == 2
    return trainer, versions


def assert_whole(folder: Path, versions: Versions) -> None:
    for name, contents in files(folder).items():
        assert contents in versions.of[name], f"{name} is neither the old file nor the new one"


def test_a_new_training_at_every_call(whole, squares, tmp_path, config):
    reference, versions = whole
    calls = calls_of(lambda: Trainer(squares, reference.config, tmp_path / "counted").run())
    assert calls >= CALLS * (2 + 4 + 3)  # mark, config.json, the files of two validations
    expected = files(reference.out)
    for room in range(calls):
        out = tmp_path / f"run{room}"
        with filling(Disk(room)):
            refusal(Trainer(squares, reference.config, out).run, str(out), NO_SPACE)
        there = (out / "last.safetensors").exists()
        if there:
            assert_whole(out, versions)
        else:
            assert not out.exists(), room  # nothing to go on from: nothing is left
        if room % EACH == 0:
            Trainer(squares, reference.config, out, resume=there).run()
            assert files(out) == expected, room


def test_a_resumed_training_at_every_call(whole, squares, tmp_path, config):
    """What was there at the beginning is there at the end, or something newer."""
    reference, versions = whole

    def begun(name: str) -> Path:
        Trainer(squares, reference.config, tmp_path / name).run(stop_after(3))
        versions.note(tmp_path / name)  # the stop saves its own version of ``last``
        return tmp_path / name

    def resume(out: Path) -> bool:
        return Trainer(squares, reference.config, out, resume=True).run()

    before = files(begun("counted"))
    assert before.keys() == FILES
    calls = calls_of(lambda: resume(tmp_path / "counted"))
    for room in range(calls):
        out = begun(f"run{room}")
        with filling(Disk(room)):
            refusal(lambda out=out: resume(out), str(out), NO_SPACE)
        assert files(out).keys() == FILES
        assert_whole(out, versions)
        if room % EACH == 0:
            assert resume(out)
            assert files(out) == files(reference.out), room


def test_stopping_on_a_full_disk(squares, tmp_path, config):
    """Ctrl-C before the first checkpoint, which cannot be written: one line, and no folder without a run."""
    out = tmp_path / "run"
    with filling(Disk(2 * CALLS)):  # the folder's mark and config.json alone
        refusal(lambda: Trainer(squares, config(), out).run(stop_after(1)), NO_SPACE)
    assert not out.exists()


def test_what_others_left_in_the_folder_stays(squares, tmp_path, config):
    """A ``best`` whose ``last`` someone removed is not this run's to take away."""
    out = tmp_path / "run"
    out.mkdir()
    (out / "best.safetensors").write_bytes(b"mine")
    for room in range(2 * CALLS + 2):
        with filling(Disk(room)):
            refusal(Trainer(squares, config(), out, overwrite=True).run, NO_SPACE)
        assert files(out) == {"best.safetensors": b"mine"}, room


def test_the_best_of_another_run_does_not_pass_for_this_ones(squares, tmp_path, config):
    """Killed between its first ``best`` and ``last``, begun anew: the first row writes ``best`` anyway."""
    out = tmp_path / "run"
    out.mkdir()
    (out / "best.safetensors").write_bytes(b"left by a run that was killed")
    trainer = Trainer(squares, config(steps=2), out, overwrite=True)
    trainer.best = 1.0  # no score is better
    assert trainer.run()
    assert checkpoints.load(out / "best.safetensors").step == 2


# ---------------------------------------------------------------------------------------------
# The system's own refusals
# ---------------------------------------------------------------------------------------------
@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_real_limit_on_the_size_of_files(whole, tmp_path, squares):
    """RLIMIT_FSIZE: the kernel itself writes a part of the checkpoint and then refuses (EFBIG)."""
    import resource

    reference, _ = whole
    saved = checkpoints.load(reference.out / "last.safetensors")
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, saved)
    before = path.read_bytes()
    saved.step += 1
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 1, 4096, len(before) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            refusal(lambda: checkpoints.save(path, saved), str(path), os.strerror(errno.EFBIG))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        assert list(tmp_path.glob(".*tmp")) == []
    checkpoints.save(path, saved)
    assert checkpoints.load(path).step == saved.step


def test_history_keeps_its_old_rows(whole, tmp_path):
    from minidl.train import history

    reference, _ = whole
    path = tmp_path / "history.csv"
    history.write_csv(path, reference.rows[:1])
    for room in range(CALLS):
        with filling(Disk(room)):
            refusal(lambda: history.write_csv(path, reference.rows), NO_SPACE)
        with open(path, newline="") as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["1"]
