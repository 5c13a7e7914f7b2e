"""history.csv and history.png."""

import csv

import numpy as np
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
