"""The course of a training: one row for each validation, as CSV for programs and as a plot for people.

Rows hold no wall-clock times: a repeated or resumed run writes the same file, byte for byte.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write

#: step, passes over the training images, rate of that step; training loss and IoU: of the (augmented) batches
#: since the row before; the rest: of the validation images.
COLUMNS = ("step", "epoch", "lr", "train_loss", "train_iou", "val_loss", "val_iou", "val_accuracy")


def write_csv(path: str | os.PathLike[str], rows: list[dict[str, Any]]) -> None:
    """All rows, atomically; an absent value is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def line(row: dict[str, Any], total: int) -> str:
    """A row for people to read while it trains.

    >>> line({"step": 25, "train_loss": 0.51234, "val_loss": None, "val_iou": 0.75, "val_accuracy": 0.9}, 300)
    'step    25/300  loss 0.5123  val loss -  val IoU 0.7500  accuracy 0.9000'
    """
    shown = {name: "-" if value is None else f"{value:.4f}" for name, value in row.items()}
    return (
        f"step {row['step']:>5}/{total}  loss {shown['train_loss']}  val loss {shown['val_loss']}"
        f"  val IoU {shown['val_iou']}  accuracy {shown['val_accuracy']}"
    )


def write_plot(path: str | os.PathLike[str], rows: list[dict[str, Any]]) -> None:
    """Loss and IoU over the steps, side by side, as a PNG file."""
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
    right.set(xlabel="step", ylabel="mean IoU", title="Intersection over union", ylim=(0, 1))
    right.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    atomic_write(Path(path), buffer.getvalue())


def _lines(axes: Any, rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for column, label in columns.items():
        points = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
        axes.plot([p[0] for p in points], [p[1] for p in points], marker=".", label=label)
    axes.grid(alpha=0.3)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # steps are whole numbers
