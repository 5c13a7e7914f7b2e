"""The course of a training: one row for each validation, as CSV for programs and as a plot for people.

Rows hold no wall-clock times: a repeated or resumed run writes the same file, byte for byte.

A mean can hide a class that is never found: with 1.6 % of the pixels, "everything is background" has a mean
IoU of 0.49 and an accuracy of 0.98. So file, line and plot have the IoU of each class.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write
from minidl._text import shown

#: step, passes over the training images, rate of that step; training loss and IoU: of the (augmented) batches
#: since the row before; the rest: of the validation images. After these, "val_iou NAME" of each class.
COLUMNS = ("step", "epoch", "lr", "train_loss", "train_iou", "val_loss", "val_iou", "val_accuracy")
#: Keys of rows with a figure for each class; rows of older versions lack them.
CLASS_IOU, CLASS_RECALL = "val_class_iou", "val_class_recall"
#: A line and a plot show so many classes: of more, those found worst.
SHOWN = 6
#: A name is not shortened in the file: no two columns are called the same.
LONGEST = 10_000


def write_csv(path: str | os.PathLike[str], rows: list[dict[str, Any]], classes: Sequence[str] = ()) -> None:
    """All rows, atomically; an absent value is an empty cell.

    Args:
        path: the file.
        rows: with the keys COLUMNS and, where the version that wrote them had it, CLASS_IOU.
        classes: their names; each gets a column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"val_iou {shown(name, LONGEST)}" for name in classes)])
    for row in rows:
        each = row.get(CLASS_IOU) or [None] * len(classes)
        writer.writerow([*(row.get(name) for name in COLUMNS), *each[: len(classes)]])
    atomic_write(path, text.getvalue())


def line(row: dict[str, Any], total: int, classes: Sequence[str] = ()) -> str:
    """A row for people to read while it trains; of many classes the worst ones.

    >>> row = {"step": 25, "train_loss": 0.51234, "val_loss": None, "val_iou": 0.75, "val_accuracy": 0.9}
    >>> line(row, 300)
    'step    25/300  loss 0.5123  val loss -  val IoU 0.7500  accuracy 0.9000'
    >>> line({**row, "val_class_iou": [0.98, 0.52]}, 300, ["background", "vessel"])[-30:]
    '(background 0.98  vessel 0.52)'
    """
    figures = {name: _figure(row.get(name)) for name in COLUMNS}
    text = (
        f"step {row['step']:>5}/{total}  loss {figures['train_loss']}  val loss {figures['val_loss']}"
        f"  val IoU {figures['val_iou']}  accuracy {figures['val_accuracy']}"
    )
    each = row.get(CLASS_IOU) or []
    chosen = _worst([row], len(each))
    named = [f"{shown(classes[i], 24)} {_figure(each[i], 2)}" for i in chosen if i < len(classes)]
    if not named:
        return text
    of_all = "" if len(chosen) == len(each) else f"worst of {len(each)}: "
    return f"{text}  ({of_all}{'  '.join(named)})"


def _figure(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _worst(rows: list[dict[str, Any]], count: int) -> list[int]:
    """Ids of at most SHOWN classes, ascending: those of the least IoU in the last row that has any."""
    if count <= SHOWN:
        return list(range(count))
    last: list[float | None] = next((row[CLASS_IOU] for row in reversed(rows) if row.get(CLASS_IOU)), [])
    found = sorted((value, index) for index, value in enumerate(last) if value is not None)
    return sorted(index for _, index in found[:SHOWN])


def write_plot(path: str | os.PathLike[str], rows: list[dict[str, Any]], classes: Sequence[str] = ()) -> None:
    """Loss and IoU over the steps, side by side, as a PNG file; the IoU of each class as a thin line."""
    from matplotlib.figure import Figure  # not pyplot: no windows, no global state

    figure = Figure(figsize=(9, 3.5))
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(
        0.07, 0.15, 0.98, 0.9
    )  # by hand: matplotlib's own layout takes longer than the drawing
    _lines(left, rows, {"train_loss": "training batches", "val_loss": "validation"})
    left.set(xlabel="step", ylabel="cross-entropy", title="Loss", ylim=(0, None))
    left.legend(loc="upper right")
    _lines(right, rows, {"train_iou": "training batches", "val_iou": "validation"})
    for index in _worst(rows, len(classes)):
        points = [(row["step"], row[CLASS_IOU][index]) for row in rows if row.get(CLASS_IOU)]
        points = [point for point in points if point[1] is not None]
        label = f"IoU of {_drawable(classes[index], index)}"
        right.plot([p[0] for p in points], [p[1] for p in points], "--", linewidth=0.9, label=label)
    right.set(xlabel="step", ylabel="IoU", title="Intersection over union: mean, classes", ylim=(0, 1))
    for label in right.legend(loc="lower right", fontsize=8).get_texts():
        label.set_parse_math(False)  # a name may hold dollars
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    atomic_write(Path(path), buffer.getvalue())


def _drawable(name: str, index: int) -> str:
    """A class's name, or its id where the plot's font lacks a character: better than a row of boxes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    text, font = shown(name, 24), get_font(findfont(FontProperties()))
    return text if all(font.get_char_index(ord(c)) for c in text) else f"class {index}"


def _lines(axes: Any, rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for column, label in columns.items():
        points = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
        axes.plot([p[0] for p in points], [p[1] for p in points], marker=".", label=label)
    axes.grid(alpha=0.3)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # steps are whole numbers
