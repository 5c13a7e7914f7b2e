"""Which images `minidl evaluate` measures when nobody says: never a part that nobody made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.files import write_png
from oracles.commands import SMALL, assert_names
from oracles.runs import bright_square, write_squares


def plain(root: Path, count: int = 10, *, below: str = "") -> Path:
    """images/ and masks/, nothing else."""
    write_squares(root, {below or "train": count})
    if not below:
        for kind in ("images", "masks"):
            (root / "train" / kind).rename(root / kind)
        (root / "train").rmdir()
    return root


def measured(call, run: Path, data: Path, out: Path, *options: object) -> tuple[dict, str]:
    """The figures, and the line that says of which images they are."""
    said = call("evaluate", run, data, "--out", out, *options)
    assert said.code == 0, said.err
    (line,) = [line for line in said.out.splitlines() if line.startswith("measured: ")]
    return json.loads((out / "metrics.json").read_text()), line


def test_a_plain_folder_is_measured_as_a_whole(call, trained, tmp_path):
    data = plain(tmp_path / "new")
    figures, line = measured(call, trained / "run", data, tmp_path / "out")
    assert figures["images"] == 10 and figures["split"] == "all" and sum(figures["support"]) == 10 * 256
    assert line.startswith("measured: all, 10 images (images/00.png to images/09.png); DATA has no val/")


def test_a_split_that_is_asked_for_is_what_is_measured(call, trained, tmp_path):
    data = plain(tmp_path / "new")
    for number, (options, count) in enumerate(
        [
            (("--split", "val"), 2),
            (("--split", "train"), 8),
            (("--val", "0[0-2]"), 3),
            (("--split", "all"), 10),
        ]
    ):
        figures, line = measured(call, trained / "run", data, tmp_path / f"{number}", *options)
        assert figures["images"] == count and f" {count} images" in line
    (data / "dataset.toml").write_text('val = "0[45]"\n')
    figures, line = measured(call, trained / "run", data, tmp_path / "toml")
    assert figures["images"] == 2 and "images/04.png to images/05.png" in line and "--split all" in line


def test_train_alone_is_measured_as_a_whole_and_a_val_folder_by_itself(call, trained, tmp_path):
    data = plain(tmp_path / "new", 5, below="train")
    assert measured(call, trained / "run", data, tmp_path / "a")[0]["images"] == 5
    shutil.move(plain(tmp_path / "more", 3), data / "val")
    figures, line = measured(call, trained / "run", data, tmp_path / "b")
    assert figures["images"] == 3 and figures["split"] == "val" and "(val/images/00.png to " in line
    assert measured(call, trained / "run", data, tmp_path / "c", "--split", "all")[0]["images"] == 8


def test_test_alone_is_measured_and_images_without_masks_are_left_out(call, trained, tmp_path):
    data = plain(tmp_path / "new", 4, below="test")
    assert measured(call, trained / "run", data, tmp_path / "a")[0]["images"] == 4
    write_png(_folder(data / "train/images") / "x.png", bright())
    figures, _ = measured(call, trained / "run", data, tmp_path / "b")
    assert figures["images"] == 4


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def bright() -> np.ndarray:
    return bright_square(np.random.default_rng(1))[0]


def test_of_the_folder_of_the_training_what_validated_it(call, tmp_path):
    data, run = plain(tmp_path / "new"), tmp_path / "run"
    assert call("train", data, "--out", run, *SMALL).code == 0
    figures, line = measured(call, run, data, tmp_path / "a")
    assert figures["split"] == "val" and figures["images"] == 2
    assert "images/08.png to images/09.png" in line and "validated the training; --split all" in line
    said = call("evaluate", run, data, "--out", tmp_path / "b", "--split", "all")
    assert "measured: all, 10 images" in said.out and "trained on 8 of these 10 images" in said.out


def test_where_the_results_go_without_out(call, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    assert call("evaluate", run, plain(tmp_path / "new")).code == 0
    assert (run / "evaluation-all/metrics.json").is_file() and (run / "evaluation-all/pictures.png").is_file()


@pytest.mark.parametrize("name", ["every", "All", "validation"])
def test_a_split_that_is_not_there_names_those_that_are(call, trained, tmp_path, name):
    data = plain(tmp_path / "new")
    said = call("evaluate", trained / "run", data, "--out", tmp_path / "out", "--split", name)
    assert_names(said.error, [str(data), repr(name), "there is train, val, or all"])
