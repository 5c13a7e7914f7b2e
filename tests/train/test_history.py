"""history.csv and history.png."""

import csv

import numpy as np
import pytest
from PIL import Image

from minidl.train import history

ROWS = [
    dict(zip(history.COLUMNS, (2, 1.0, 0.1, 1 / 3, 0.5, 0.7, 0.25, 0.5), strict=True)),
    dict(zip(history.COLUMNS, (4, 2.0, 0.05, None, None, None, None, None), strict=True)),
]


def test_csv_keeps_every_digit_and_leaves_absent_values_empty(tmp_path):
    path = tmp_path / "history.csv"
    history.write_csv(path, ROWS)
    assert b"\r" not in path.read_bytes()
    with open(path, newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == history.COLUMNS
    assert float(first["train_loss"]) == 1 / 3 and first["step"] == "2"
    assert second["train_loss"] == second["val_iou"] == "" and second["lr"] == "0.05"


def test_plot_is_a_picture_that_shows_the_rows(tmp_path):
    path = tmp_path / "history.png"

    def pixels(rows):
        history.write_plot(path, rows)
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"), np.int64)

    drawn, empty = pixels(ROWS), pixels([])
    assert drawn.shape == empty.shape and drawn.shape[1] > 800
    blue = (np.abs(drawn - [31, 119, 180]).sum(axis=2) < 30).sum() - (
        np.abs(empty - [31, 119, 180]).sum(axis=2) < 30
    ).sum()
    assert blue > 10  # the point of the first row


def test_line_for_people():
    assert "val IoU 0.2500" in history.line(ROWS[0], 4)
    assert "loss -  val loss -" in history.line(ROWS[1], 4)


CLASSES = ["ground", "cell"]
WITH_CLASSES = [ROWS[0], {**ROWS[1], history.CLASS_IOU: [0.9, None]}]


def test_rows_of_older_versions_have_empty_cells_for_the_classes(tmp_path):
    path = tmp_path / "history.csv"
    history.write_csv(path, WITH_CLASSES, CLASSES)
    with open(path, newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == (*history.COLUMNS, "val_iou ground", "val_iou cell")
    assert first["val_iou ground"] == "" and first["val_iou"] == "0.25"
    assert second["val_iou ground"] == "0.9" and second["val_iou cell"] == ""


def test_two_long_names_that_begin_and_end_alike_are_two_columns(tmp_path):
    names = ["x" * 99 + middle + "x" * 99 for middle in "ab"]
    history.write_csv(tmp_path / "history.csv", [], names)
    header = (tmp_path / "history.csv").read_text().strip().split(",")
    assert len(set(header)) == len(history.COLUMNS) + 2


def test_of_many_classes_a_line_shows_the_worst():
    ious = [0.5 + i / 100 for i in range(20)]
    ious[7], ious[11] = 0.01, None
    line = history.line({"step": 1, history.CLASS_IOU: ious}, 9, [f"k{i}" for i in range(20)])
    assert line.endswith("(worst of 20: k0 0.50  k1 0.51  k2 0.52  k3 0.53  k4 0.54  k7 0.01)")


@pytest.mark.parametrize(
    "classes",
    [["ground", "cell"], ["$x_", "_hidden"], ["\u80cc\u666f", "\u7ec6\u80de"], ["a" * 200, "\x1b[2J"]],
    ids=["plain", "dollars", "no glyphs", "long"],
)
def test_the_plot_has_a_line_for_each_class_whatever_its_name(tmp_path, classes):
    rows = [
        {"step": step, "val_iou": 0.5, "train_iou": 0.4, history.CLASS_IOU: [0.9, 0.1]} for step in (1, 2)
    ]

    def green(names):
        path = tmp_path / "history.png"
        history.write_plot(path, rows, names)  # a character that the font lacks would be a warning
        with Image.open(path) as picture:
            pixels = np.array(picture.convert("RGB"), np.int64)
        return int((np.abs(pixels - [44, 160, 44]).sum(axis=2) < 40).sum())  # the third colour of lines

    assert green(classes) > green([]) == 0
