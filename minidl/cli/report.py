"""Pictures and figures that the commands write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from minidl._atomic import atomic_write
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet
from minidl.segmentation.pairing import Sample
from minidl.segmentation.pictures import contact_sheet, side_by_side
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
            shown = (np.repeat(np.repeat(a, times, axis=-2), times, axis=-1) for a in (image, truth, prediction))
            row = side_by_side(*shown, self.data.colours, titles, ignore_index=self.data.ignore_index)
            self.rows.append(row)

    def write(self, path: Path) -> None:
        """One PNG with all rows."""
        if self.rows:
            write_png(path, contact_sheet(self.rows))


def write_overlays(out: Path, data: DataSet, split: str) -> Path:
    """``out/SPLIT.png``: predictions of the best checkpoint beside the truth."""
    run = load_run(out)
    sheet = Sheet(data, split)
    evaluate_samples(run.model, run.normalisation, data, sheet.samples, keep=sheet.keep)
    path = out / f"{split}.png"
    sheet.write(path)
    return path


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Atomically, for people and programs."""
    atomic_write(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
