"""What the commands write: nothing of anybody's is lost, whatever folder or file is given as their output."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minidl._lock import NAME
from minidl._marks import MARK
from minidl.segmentation.files import write_png
from oracles.commands import SMALL, assert_names, environment, tree

posix = pytest.mark.skipif(os.name != "posix", reason="links and signals of POSIX")


@pytest.fixture
def run(trained, tmp_path):
    """A finished run that a test may change, and the data beside it."""
    shutil.copytree(trained / "data", tmp_path / "data", dirs_exist_ok=True)
    return shutil.copytree(trained / "run", tmp_path / "run")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8))
    return path


# ---------------------------------------------------------------------------------------------
# train
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["best.safetensors", "last.safetensors", "config.json", "history.csv", "history.png", "val.png"]
)
@pytest.mark.parametrize("contents", [b"mine", b'{"mine": 1}', b""])
def test_train_replaces_nobodys_file(call, data, tmp_path, name, contents):
    out = tmp_path / "run"
    out.mkdir()
    (out / name).write_bytes(contents)
    before = tree(tmp_path)
    assert_names(call("train", data, "--out", out, *SMALL).error, [str(out / name), "--overwrite"])
    assert tree(tmp_path) == before


def test_train_with_overwrite_replaces_what_is_in_the_way_and_no_more(call, data, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for name in ("best.safetensors", "last.safetensors", "val.png", "notes.txt"):
        (out / name).write_text("mine")
    assert call("train", data, "--out", out, *SMALL, "--overwrite").code == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "val.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / NAME).exists()
    again = call("train", data, "--out", out, *SMALL, "--overwrite")  # a run is never replaced
    assert_names(again.error, [str(out), "--resume"])


@pytest.mark.parametrize("name", ["", "run", "val", "images", "train/images", "train/masks/run", "link/run"])
def test_train_writes_nothing_into_its_data(call, data, tmp_path, monkeypatch, name):
    if name.startswith("link"):
        (tmp_path / "link").symlink_to(data / "train")
        name = f"../{name}"
    before = tree(tmp_path)
    monkeypatch.chdir(data)
    for out in (data / name, os.path.join(".", name)):
        for given in ("train", "train --overwrite"):
            assert_names(call(*given.split(), data, "--out", out, *SMALL).error, ["--out"])
    assert tree(tmp_path) == before


def test_a_run_of_an_earlier_version_goes_on_without_a_mark(call, run, tmp_path):
    for name in (MARK, "val.png"):
        (run / name).unlink()
    data = tmp_path / "data"
    assert "finished" in call("train", data, "--out", run, "--resume").error
    assert call("evaluate", run, data).code == 0
    (run / "evaluation-val" / MARK).unlink()
    assert call("evaluate", run, data).code == 0
    assert call("evaluate", run, data, "--out", run).code == 0
    assert call("predict", run, data / "test/images", "--out", tmp_path / "new").code == 0


@posix
def test_a_stopped_run_of_an_earlier_version_goes_on_without_a_mark(call, data, tmp_path, monkeypatch):
    from minidl.train import Trainer
    from oracles.runs import stop_after

    real = Trainer.run
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self, _: real(self, stop_after(5)))
        assert call("train", data, "--out", tmp_path / "run", *SMALL).code == 130
    (tmp_path / "run" / MARK).unlink()
    assert call("train", data, "--out", tmp_path / "run", "--resume").code == 0


# ---------------------------------------------------------------------------------------------
# predict, evaluate
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "out", ["test/masks", "test/images", "test/masks/new", "link", "test/images/../masks"]
)
@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_predict_never_replaces_the_truth(call, run, tmp_path, out, extra):
    (tmp_path / "data/link").symlink_to("test/masks")
    before = tree(tmp_path)
    given = tmp_path / "data/test/images"
    for pictures in ([given], [given / "00.png"]):
        said = call("predict", run, *pictures, "--out", tmp_path / "data" / out, *extra)
        assert_names(said.error, ["--out"])
    assert tree(tmp_path) == before


def test_predict_replaces_its_own_results_and_nobody_elses(call, run, tmp_path):
    given, out = picture(tmp_path / "in/a.png"), tmp_path / "out"
    for _ in range(2):
        assert call("predict", run, given, "--out", out).code == 0
    whole = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(b"corrected by hand")
    assert_names(call("predict", run, given, "--out", out).error, [str(out / "a.png"), "changed since"])
    assert (out / "a.png").read_bytes() == b"corrected by hand"
    (out / "a.png").write_bytes(whole)
    picture(tmp_path / "in/b.png")
    (out / "b_overlay.png").write_text("mine")
    before = tree(tmp_path)
    said = call("predict", run, tmp_path / "in", "--out", out)
    assert_names(said.error, [str(out / "b_overlay.png"), "--overwrite"])
    assert tree(tmp_path) == before
    assert call("predict", run, tmp_path / "in", "--out", out, "--no-overlays").code == 0
    assert (out / "b_overlay.png").read_text() == "mine"
    assert call("predict", run, tmp_path / "in", "--out", out, "--overwrite").code == 0
    assert (out / "b_overlay.png").read_bytes().startswith(b"\x89PNG")


@posix
@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
@pytest.mark.parametrize("kind", ["folder", "fifo", "too long"])
def test_all_targets_are_looked_at_before_the_first_mask(call, run, tmp_path, kind, extra):
    picture(tmp_path / "in/a.png")
    name = "z" * 245 if kind == "too long" else "z"
    picture(tmp_path / f"in/{name}.png")  # its overlay's name is longer than names can be
    out = tmp_path / "out"
    if kind != "too long":
        out.mkdir()
        (os.mkfifo if kind == "fifo" else os.mkdir)(out / "z_overlay.png")
    before = tree(tmp_path)
    said = call("predict", run, tmp_path / "in", "--out", out, *extra)
    assert_names(said.error, ["z", "give another"])
    assert tree(tmp_path) == before


@posix
def test_predict_does_not_write_over_a_picture_through_a_link(call, run, tmp_path):
    source = picture(tmp_path / "in/a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").symlink_to(source)
    before = tree(tmp_path)
    assert "written over" in call("predict", run, source, "--out", out, "--overwrite").error
    assert tree(tmp_path) == before


def test_evaluate_replaces_nobodys_file(call, run, tmp_path):
    out = tmp_path / "scores"
    out.mkdir()
    (out / "pictures.png").write_text("mine")
    before = tree(tmp_path)
    said = call("evaluate", run, tmp_path / "data", "--out", out)
    assert_names(said.error, [str(out / "pictures.png")])
    for inside in ("", "scores", "val/masks"):
        assert_names(call("evaluate", run, tmp_path / "data", "--out", tmp_path / "data" / inside).error, [])
    assert tree(tmp_path) == before
    assert call("evaluate", run, tmp_path / "data", "--out", out, "--overwrite").code == 0


# ---------------------------------------------------------------------------------------------
# plan, bench
# ---------------------------------------------------------------------------------------------
PLAN = ("plan", "--size", "16", "--batch-size", "1", "--json")


@posix
def test_plan_writes_files_only(call, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, part in (("fifo", "pipe"), ("device", "device")):
        for extra in ([], ["--overwrite"]):
            assert_names(call(*PLAN, tmp_path / name, *extra).error, ["--json", part])
    (tmp_path / "link").symlink_to("plan.json")
    assert call(*PLAN, tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink() and '"rows"' in (tmp_path / "plan.json").read_text()


def test_plan_of_a_run_goes_into_its_folder_but_not_over_its_files(call, run):
    assert call("plan", run, "--size", "16", "--json", run / "plan.json").code == 0
    before = tree(run)
    for name in ("best.safetensors", "last.safetensors", "config.json"):
        assert_names(call("plan", run, "--size", "16", "--json", run / name).error, [name])
    said = call("plan", run, "--size", "16", "--json", run / "best.safetensors", "--overwrite")
    assert "written over" in said.error and tree(run) == before


def test_plan_replaces_its_own_file_and_nobody_elses(call, tmp_path):
    path = tmp_path / "plan.json"
    for _ in range(2):
        assert call(*PLAN, path).code == 0
    path.write_text('{"mine": 1}')
    assert_names(call(*PLAN, path).error, [str(path), "--overwrite"])
    assert path.read_text() == '{"mine": 1}'
    assert call(*PLAN, path, "--overwrite").code == 0


@pytest.mark.parametrize("command", [["bench"], ["bench", "--profile"], ["bench", "kernels"]])
def test_bench_replaces_nobodys_file(call, tmp_path, command):
    name = "profile.md" if "--profile" in command else "results.json"
    (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    assert_names(call(*command, "--quick", "--out", tmp_path).error, [name, "--overwrite"])
    assert tree(tmp_path) == before


# ---------------------------------------------------------------------------------------------
# One run, one process
# ---------------------------------------------------------------------------------------------
LONG = ("--steps", "100000", "--eval-every", "5", "--batch-size", "2", "--base", "2", "--depth", "1")


@posix
def test_one_process_at_a_time_trains_in_a_folder(call, data, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "minidl", "train", str(data), "--out", str(out), *LONG]
    first = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (out / "last.safetensors").exists():
            assert first.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        asked = [
            ("train", data, "--out", out, *SMALL),
            ("train", data, "--out", out, *SMALL, "--overwrite"),
            ("train", data, "--out", out, "--resume"),
            ("demo", "--out", out, "--resume"),
            ("evaluate", out, data, "--out", out),
            ("predict", out, data / "test/images", "--out", out),
        ]
        for arguments in asked:
            assert_names(call(*arguments).error, [str(out), f"process {first.pid}"])
        assert call("evaluate", out, data, "--out", tmp_path / "scores").code == 0  # reading is free
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    said = call("train", data, "--out", out, "--resume", "--num-classes", "3")
    assert f"process {first.pid}" not in said.err  # the lock has died with its process


def test_a_trainer_notices_that_another_has_trained_meanwhile(data, tmp_path):
    from minidl.segmentation.folder import scan
    from minidl.train import Trainer
    from minidl.train.config import TrainConfig
    from oracles.runs import NETWORK, refusal, stop_after

    config = TrainConfig(model=NETWORK, steps=4, batch_size=2, eval_every=2)
    first, second = (Trainer(scan(data), config, tmp_path / "run") for _ in range(2))
    assert first.run(stop_after(1)) is False
    before = tree(tmp_path / "run")
    refusal(second.run, str(tmp_path / "run"), "another process has trained here")
    third, fourth = (Trainer(scan(data), config, tmp_path / "run", resume=True) for _ in range(2))
    assert tree(tmp_path / "run") == before
    assert third.run(stop_after(1)) is False
    refusal(fourth.run, "another process has trained here")
    assert third.run()  # its own are not another's
