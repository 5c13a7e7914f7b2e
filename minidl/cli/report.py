"""Pictures and figures that the commands write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl._atomic import atomic_write
from minidl.cli.progress import Progress
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet
from minidl.segmentation.pairing import Sample
from minidl.segmentation.pictures import CAPTION_HEIGHT, caption, contact_sheet, side_by_side
from minidl.train.inference import evaluate_samples, load_run

#: Rows of the contact sheet.
SHOWN = 4
#: Pictures are enlarged up to about this many pixels a side.
READABLE = 240


class Sheet:
    """Collects rows "image, truth, prediction" of a few samples spread over a split."""

    def __init__(self, data: DataSet, split: str, shown: int = SHOWN) -> None:
        self.data = data
        samples = data.samples(split)
        wanted = np.linspace(0, len(samples) - 1, min(shown, len(samples))).round().astype(int)
        self.samples = [samples[i] for i in wanted]
        self.rows: list[np.ndarray[Any, Any]] = []

    def keep(self, sample: Sample, image: Any, truth: Any, prediction: Any) -> None:
        """To be passed to :func:`minidl.train.evaluate_samples`."""
        if sample in self.samples:
            titles = ("image", "truth", "prediction") if not self.rows else None
            # Small pictures are shown with larger pixels: a thumbnail is hard to judge.
            times = max(1, READABLE // max(truth.shape))
            image, truth, prediction = (
                np.repeat(np.repeat(a, times, axis=-2), times, axis=-1) for a in (image, truth, prediction)
            )
            row = side_by_side(
                image, truth, prediction, self.data.colours, titles, ignore_index=self.data.ignore_index
            )
            self.rows.append(row)

    def write(self, path: Path) -> None:
        """One PNG with all rows, and below them which colour is which class."""
        if self.rows:
            width = max(row.shape[1] for row in self.rows)
            write_png(path, contact_sheet([*self.rows, legend(self.data.classes, self.data.colours, width)]))


def legend(classes: Sequence[str], colours: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Squares of the classes' colours with their names, in rows of at most ``width``: uint8 (H, width, 3)."""
    entry = 130  # pixels for a square and a name; longer names end in "..."
    across = max(1, width // entry)
    cells = []
    for name, colour in zip(classes, colours, strict=True):
        text = caption(name, entry - CAPTION_HEIGHT - 4)
        square = np.full((CAPTION_HEIGHT, CAPTION_HEIGHT, 3), 255, np.uint8)
        square[2:-2, 2:-2] = colour
        cells.append(
            np.pad(np.concatenate([square, text], axis=1), ((2, 2), (2, 2), (0, 0)), constant_values=255)
        )
    lines = [np.concatenate(cells[i : i + across], axis=1) for i in range(0, len(cells), across)]
    room = max(width, *(line.shape[1] for line in lines))
    filled = [
        np.pad(line, ((0, 0), (0, room - line.shape[1]), (0, 0)), constant_values=255) for line in lines
    ]
    return np.concatenate(filled)


def write_overlays(out: Path, data: DataSet, split: str, progress: Progress | None = None) -> Path:
    """``out/SPLIT.png``: predictions of the best checkpoint beside the truth."""
    run = load_run(out)
    sheet, tick = Sheet(data, split), (lambda: None)
    if progress is not None:
        progress.phase("drawing", len(sheet.samples))
        tick = progress.advance
    evaluate_samples(run.model, run.normalisation, data, sheet.samples, tick, keep=sheet.keep)
    path = out / f"{split}.png"
    sheet.write(path)
    return path


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Atomically, for people and programs."""
    atomic_write(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
