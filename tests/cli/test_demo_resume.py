"""A demo that was stopped goes on, and ends with the figures of one that was not."""

import json
import shlex
import shutil

import pytest

import minidl
from minidl.cli import main
from minidl.segmentation import synthetic
from minidl.train import Trainer
from oracles.commands import assert_names, tree
from oracles.runs import stop_after

STEPS = 3


original = synthetic.write_folder


def small(path, seed):
    original(path, 8, 2, 2, size=32, seed=seed)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(synthetic, "write_folder", small)


def figures(out):
    found = json.loads((out / "metrics.json").read_text())
    del found["seconds"]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out, threads = tmp_path_factory.mktemp("finished") / "demo", minidl.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "write_folder", small)
        assert main(["demo", "--out", str(out), "--steps", str(STEPS), "--seed", "5"]) == 0
    minidl.set_num_threads(threads)
    return out


@pytest.fixture
def whole(finished, tmp_path):
    """A finished demo that a test may change."""
    return shutil.copytree(finished, tmp_path / "whole")


def test_stopped_and_resumed(call, whole, tmp_path, monkeypatch):
    out = tmp_path / "my demo"
    run = Trainer.run
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self, _: run(self, stop_after(2)))
        said = call("demo", "--out", out, "--steps", STEPS, "--seed", 5)
    assert said.code == 130 and "stopped after step 2" in said.err
    command = shlex.split(said.err.splitlines()[-1])
    assert command == ["minidl", "demo", "--out", str(out), "--resume"]
    assert not (out / "metrics.json").exists()
    assert call(*command[1:]).code == 0
    assert figures(out) == figures(whole)
    for name in ("history.csv", "history.png", "test.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_only_the_figures_are_missing(call, whole):
    """Stopped, or out of space, between the training's end and the figures."""
    before, expected = tree(whole), figures(whole)
    for name in ("metrics.json", "test.png"):
        (whole / name).unlink()
    said = call("demo", "--out", whole, "--resume")
    assert said.code == 0 and "held-out pictures" in said.out
    assert figures(whole) == expected
    after = tree(whole)
    assert {n for n in after if after[n] != before.get(n)} <= {
        ".minidl",
        "metrics.json",
    } and after.keys() == before.keys()


@pytest.mark.parametrize("option", ["--steps", "--seed"])
def test_a_resumed_demo_keeps_its_own_options(call, whole, option):
    before = tree(whole)
    assert_names(call("demo", "--out", whole, "--resume", option, 9).error, [option, "leave it out"])
    assert tree(whole) == before


def test_there_must_be_a_demo_to_resume(call, tmp_path):
    assert_names(call("demo", "--out", tmp_path / "none", "--resume").error, ["none", "--resume"])
    assert tree(tmp_path) == {}
