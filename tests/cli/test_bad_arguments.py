"""Bad options, folders and runs of `minidl train`: one line, exit code 2, and nothing written."""

import os

import pytest

from oracles.commands import SMALL, assert_names, tree

IMAGES, MASKS = "train/images", "train/masks"


# ---------------------------------------------------------------------------------------------
# train: options
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--stepz", "3"], ["--stepz", "--steps"]),
        (["--batch-size", "none"], ["--batch-size", "none"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--lr", "-1"], ["--lr"]),
        (["--lr", "0"], ["--lr"]),
        (["--lr", "nan"], ["--lr", "nan"]),
        (["--optimizer", "adams"], ["--optimizer", "adams"]),
        (["--depth", "40"], ["--depth"]),
        (["--seed", "-1"], ["--seed"]),
        (["--seed", str(2**70)], ["--seed"]),
        (["--crop", "9", "--depth", "1"], ["crop: 9 x 9", "10 x 10"]),
        (["--epochs", "3", "--steps", "3"], ["--epochs", "--steps"]),
        (["--val", "zebra*"], ["val: 'zebra*' matches no image"]),
        (["--num-classes", "1"], ["--num-classes"]),
        (["--dataset-toml", "nowhere.toml"], ["nowhere.toml", "no such file"]),
        (["more"], ["more"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_options(call, data, tmp_path, options, parts):
    before = tree(tmp_path)
    message = call("train", data, "--out", tmp_path / "run", *options).error
    assert_names(message, parts)
    assert tree(tmp_path) == before


def test_out_is_missing(call, data):
    assert_names(call("train", data).error, ["--out", "minidl train --help"])


def test_an_unknown_command(call):
    assert_names(call("trian", "x").error, ["trian", "minidl --help"])


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "demo"])
def test_out_is_or_lies_in_a_file(call, trained, tmp_path, command):
    (tmp_path / "file").write_text("mine")
    first = {
        "train": [trained / "data"],
        "evaluate": [trained / "run", trained / "data"],
        "predict": [trained / "run", trained / "data/test/images"],
        "demo": [],
    }[command]
    for out in (tmp_path / "file", tmp_path / "file" / "sub"):
        assert_names(call(command, *first, "--out", out).error, [str(out), "--out"])
    assert tree(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(os.name != "posix", reason="a folder of the system's, /proc")
def test_out_cannot_be_written(call, data):
    assert_names(call("train", data, "--out", "/proc/minidl-run", *SMALL).error, ["/proc/minidl-run"])


def test_a_run_is_not_overwritten(call, data, trained):
    before = tree(trained)
    assert_names(
        call("train", data, "--out", trained / "run", *SMALL).error, [str(trained / "run"), "--resume"]
    )
    assert tree(trained) == before


# ---------------------------------------------------------------------------------------------
# resume
# ---------------------------------------------------------------------------------------------
def test_resume_without_a_run(call, data, tmp_path):
    before = tree(tmp_path)
    assert_names(
        call("train", data, "--out", tmp_path / "run", "--resume").error, [str(tmp_path / "run"), "--resume"]
    )
    assert tree(tmp_path) == before


def test_resume_of_a_finished_run(call, trained):
    before = tree(trained)
    said = call("train", trained / "data", "--out", trained / "run", "--resume")
    assert_names(said.error, ["finished (4 steps)", "--out"])
    assert tree(trained) == before


def test_resume_with_other_options(call, trained):
    said = call("train", trained / "data", "--out", trained / "run", "--resume", "--batch-size", "4")
    assert_names(said.error, ["--batch-size", "leave it out"])


def test_resume_with_other_data(call, trained, data, tmp_path):
    (data / MASKS / "05.png").unlink()
    (data / IMAGES / "05.png").unlink()
    said = call("train", data, "--out", trained / "run", "--resume")
    assert_names(said.error, [str(data), "other training images"])


def test_a_backend_in_the_environment_that_is_none(shell, data, tmp_path):
    said = shell("train", data, "--out", tmp_path / "run", MINIDL_BACKEND="abacus")
    assert said.code == 2 and not (tmp_path / "run").exists()
    assert said.err == (
        "minidl: error: MINIDL_BACKEND: there is no backend 'abacus'; choose from numpy, numba\n"
    )
