"""Truncated checkpoints and full disks as a person meets them: one line, exit code 2, all old files whole."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from minidl.train import checkpoint as checkpoints
from oracles.commands import SMALL, assert_names, environment, tree
from oracles.disk import NO_SPACE, Disk, filling

FULL = "/dev/full"  # of Linux: every write to it says that there is no space


# ---------------------------------------------------------------------------------------------
# Truncated checkpoints
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [0, 100, 5000, -1])
def test_a_truncated_checkpoint(call, trained, tmp_path, length):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    for name in ("best", "last"):
        path = run / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[:length])
    before = tree(tmp_path)
    data = trained / "data"
    for arguments in (
        ("train", data, "--out", run, "--resume"),
        ("evaluate", run, data, "--out", tmp_path / "new"),
        ("predict", run, data / "test/images", "--out", tmp_path / "new"),
    ):
        assert_names(call(*arguments).error, [str(run), "damaged"])
        assert tree(tmp_path) == before


# ---------------------------------------------------------------------------------------------
# Full disks
# ---------------------------------------------------------------------------------------------
def each_room(arguments, call, folder):
    """Call the command with room for 0, 1, 2, ... of the calls that need some.

    Files that were there stay or are replaced as a whole.
    """
    old = tree(folder)
    with filling(Disk()) as disk:
        assert call(*arguments).code == 0
    new = tree(folder)
    assert disk.calls >= 10
    for room in range(disk.calls):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, contents in old.items():
            (folder / name).mkdir() if contents is None else (folder / name).write_bytes(contents)
        with filling(Disk(room)):
            said = call(*arguments)
        left = tree(folder)
        if said.code == 0:  # all results are there; the sums of the folder's mark, which come last, are not
            assert {**left, ".minidl": b""} == {**new, ".minidl": b""}, room
        else:
            assert_names(said.error, [str(folder), NO_SPACE])
        assert old.keys() <= left.keys() <= new.keys(), room  # nothing lost, no temporary file
        for name, contents in left.items():
            versions = [new[name], *([old[name]] if name in old else [])]
            if name == ".minidl":  # before the files come their names, after them their sums: it is whole
                assert json.loads(contents)["files"].keys() == json.loads(new[name])["files"].keys()
                continue
            assert contents in versions, f"{name}: neither the old file nor the new one"


def test_predict_on_a_full_disk(call, trained, tmp_path):
    out = tmp_path / "masks"
    out.mkdir()
    (out / "00.png").write_bytes(b"an older mask")
    (out / "notes.txt").write_bytes(b"mine")
    each_room(
        ("predict", trained / "run", trained / "data/test/images", "--out", out, "--overwrite"), call, out
    )


def test_evaluate_on_a_full_disk(call, trained, tmp_path):
    out = tmp_path / "scores"
    out.mkdir()
    (out / "metrics.json").write_bytes(b"older figures")
    each_room(("evaluate", trained / "run", trained / "data", "--out", out, "--overwrite"), call, out)


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_the_systems_own_limit_while_resuming(data, tmp_path):
    """RLIMIT_FSIZE: the kernel writes a part of the checkpoint, then refuses."""
    import resource

    command = [sys.executable, "-m", "minidl", "train", "data", "--out", "run"]
    options = {"cwd": tmp_path, "env": environment(), "capture_output": True, "text": True, "timeout": 120}
    assert subprocess.run([*command, *SMALL], **options).returncode == 0
    # as if it had been stopped after half of its steps
    path = tmp_path / "run" / "last.safetensors"
    saved = checkpoints.load(path)
    saved.config["steps"] = 8
    checkpoints.save(path, saved)
    before = tree(tmp_path)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, resource.RLIM_INFINITY))

    done = subprocess.run([*command, "--resume"], preexec_fn=limit, **options)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1 and os.strerror(errno.EFBIG) in done.stderr
    after = tree(tmp_path)
    # Written before the checkpoint, and small enough: config.json at the start, and the history, of which the
    # checkpoint has its own, so that a run that goes on writes the same rows once more.
    changed = {name for name in before if after[name] != before[name]}
    assert after.keys() == before.keys() and changed <= {"run/config.json", "run/history.csv"}
    assert checkpoints.load(path).step == 4


@pytest.mark.skipif(not os.path.exists(FULL), reason=f"no {FULL} on this system")
def test_output_that_goes_to_a_full_disk(data, tmp_path):
    """`minidl ... > log` where the log does not fit: one line on stderr; with stderr full, too, still a 2."""
    before = tree(tmp_path)
    command = [sys.executable, "-m", "minidl", "train", "data", "--out", "run", *SMALL]
    options = {"cwd": tmp_path, "env": environment(), "timeout": 120}
    with open(FULL, "w") as full:
        one = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, **options)
        both = subprocess.run(command, stdout=full, stderr=full, **options)
    assert one.returncode == both.returncode == 2
    assert one.stderr.startswith("minidl: error: ") and one.stderr.count("\n") == 1
    assert NO_SPACE in one.stderr
    assert tree(tmp_path) == before
