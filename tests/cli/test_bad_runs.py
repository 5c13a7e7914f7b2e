"""Bad checkpoints and images for `evaluate` and `predict`: one line, exit code 2, nothing written."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minidl.segmentation.files import write_png
from oracles.commands import assert_names, tree


# ---------------------------------------------------------------------------------------------
# Checkpoints
# ---------------------------------------------------------------------------------------------
def cut(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-100])
    return "damaged"


def flip(path: Path) -> str:
    whole = bytearray(path.read_bytes())
    whole[-20] ^= 4  # in the weights: the file is still a good safetensors file
    path.write_bytes(whole)
    return "damaged"


def nothing(path: Path) -> str:
    path.write_bytes(b"")
    return "damaged, or not a checkpoint"


def pickled(path: Path) -> str:
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    return "damaged, or not a checkpoint"


def foreign(path: Path) -> str:
    save_file({"w": np.ones(3, np.float32)}, path, {"format": "pt"})
    return "not a checkpoint of minidl"


def gone(path: Path) -> str:
    path.unlink()
    return "no best.safetensors"


@pytest.mark.parametrize("harm", [cut, flip, nothing, pickled, foreign, gone], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_bad_checkpoints(call, trained, tmp_path, harm, command):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    part = harm(run / "best.safetensors")
    before = tree(tmp_path)
    given = trained / ("data" if command == "evaluate" else "data/test/images")
    assert_names(call(command, run, given, "--out", tmp_path / "new").error, [str(run), part])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_no_run(call, trained, tmp_path, command):
    given = trained / ("data" if command == "evaluate" else "data/test/images")
    out = tmp_path / "new"
    assert_names(call(command, tmp_path / "none", given, "--out", out).error, ["none", "no such checkpoint"])
    assert_names(call(command, tmp_path, given, "--out", out).error, [str(tmp_path), "minidl train --out"])
    assert tree(tmp_path) == {}


# ---------------------------------------------------------------------------------------------
# evaluate
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--split", "holdout"], ["no split 'holdout'", "train, val, test"]),
        (["--boundary", "membrane"], ["--boundary", "class 0, class 1"]),
        (["--boundary", "2"], ["--boundary"]),
        (["--num-classes", "5"], ["5 classes", "trained with 2"]),
    ],
)
def test_evaluate_options(call, trained, tmp_path, options, parts):
    said = call("evaluate", trained / "run", trained / "data", "--out", tmp_path / "s", *options)
    assert_names(said.error, parts)
    assert tree(tmp_path) == {}


def test_evaluate_a_split_without_masks(call, data, trained, tmp_path):
    shutil.rmtree(data / "test/masks")
    before = tree(tmp_path)
    said = call("evaluate", trained / "run", data, "--split", "test", "--out", tmp_path / "s")
    assert_names(said.error, [str(data / "test"), "images without masks"])
    assert tree(tmp_path) == before


def test_evaluate_data_in_colour_with_a_gray_network(call, data, trained, tmp_path):
    for split in ("train", "val", "test"):
        for path in (data / split / "images").iterdir():
            write_png(path, np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    said = call("evaluate", trained / "run", data, "--out", tmp_path / "s")
    assert_names(said.error, [str(data), "3 channels", "2 and 1"])


# ---------------------------------------------------------------------------------------------
# predict
# ---------------------------------------------------------------------------------------------
def images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_png(folder / name, np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8))
    return [folder / name for name in names]


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "truncated"])
def test_one_bad_image_among_good_ones_writes_nothing_if_strict(call, trained, tmp_path, content):
    good, bad = images(tmp_path / "in", "a.png", "b.png")
    bad.write_bytes(bad.read_bytes()[:-60] if content is None else content)
    before = tree(tmp_path)
    for given in ([tmp_path / "in"], [good, bad]):
        said = call("predict", trained / "run", *given, "--out", tmp_path / "new", "--strict")
        assert_names(said.error, [str(bad)])
        assert tree(tmp_path) == before


def test_predict_what_is_not_there(call, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)
    for given, part in (("none.png", "no such file"), ("empty", "no images in this folder")):
        said = call("predict", trained / "run", tmp_path / given, "--out", tmp_path / "new")
        assert_names(said.error, [str(tmp_path / given), part])
    assert tree(tmp_path) == before


def test_predict_a_colour_image_with_a_gray_network(call, trained, tmp_path):
    write_png(tmp_path / "c.png", np.zeros((8, 8, 3), np.uint8))
    said = call("predict", trained / "run", tmp_path / "c.png", "--out", tmp_path / "new")
    assert_names(said.error, [str(tmp_path / "c.png"), "convert it to gray"])


def test_predict_never_writes_over_an_image(call, trained, tmp_path):
    images(tmp_path / "in", "a.png")
    before = tree(tmp_path)
    for out in (tmp_path / "in", tmp_path / "in" / ".." / "in"):
        assert_names(
            call("predict", trained / "run", tmp_path / "in", "--out", out).error, [str(out), "--out"]
        )
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "names", [("one/a.png", "two/a.png"), ("one/a.png", "two/a_overlay.png")], ids=["stems", "overlay"]
)
def test_predict_two_images_to_one_file(call, trained, tmp_path, names):
    given = [images(tmp_path / Path(name).parent, Path(name).name)[0] for name in names]
    before = tree(tmp_path)
    said = call("predict", trained / "run", *given, "--out", tmp_path / "new")
    assert_names(said.error, [str(given[1]), str(given[0]), "rename"])
    assert tree(tmp_path) == before


def test_predict_needs_images(call, trained):
    assert_names(call("predict", trained / "run", "--out", "x").error, ["IMAGES"])


# ---------------------------------------------------------------------------------------------
# The system says no
# ---------------------------------------------------------------------------------------------
def test_a_full_disk_in_predict_leaves_whole_files(call, trained, tmp_path, monkeypatch):
    images(tmp_path / "in", "a.png", "b.png")
    real, done = os.replace, []

    def replace(source, target):
        if len(done) == 3:  # the folder's mark, and two files
            raise OSError(28, "No space left on device")
        done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    said = call("predict", trained / "run", tmp_path / "in", "--out", tmp_path / "out")
    assert_names(said.error, ["b.png", "No space left on device"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".minidl",
        "a.png",
        "a_overlay.png",
    ]


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (MemoryError("12 GiB"), "out of memory (12 GiB); use a smaller --crop"),
        (PermissionError(13, "Permission denied", "/data/x"), "/data/x: Permission denied; check"),
    ],
)
def test_errors_of_the_system_are_one_line(call, data, tmp_path, monkeypatch, error, part):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("minidl.cli.options.scan", fail)
    assert part in call("train", data, "--out", tmp_path / "run").error
