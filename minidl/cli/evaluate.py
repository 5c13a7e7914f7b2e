"""``minidl evaluate``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from minidl import _outputs
from minidl._device import Device
from minidl._inputs import is_folder
from minidl._text import listed, shown
from minidl.cli.options import (
    as_in_training,
    data_options,
    device_option,
    note,
    overwrite_option,
    picture_memory_option,
    read_data,
)
from minidl.cli.progress import Progress
from minidl.cli.report import Sheet, write_json
from minidl.cli.screen import echo
from minidl.cli.threads import common_options
from minidl.errors import InputError
from minidl.segmentation.boundaries import BoundaryScores
from minidl.segmentation.folder import DataSet, read_settings
from minidl.segmentation.pairing import Sample
from minidl.train.continued import in_tiles
from minidl.train.inference import Run, evaluate_samples, load_run, relative_name, tiles

FILES = ("metrics.json", "pictures.png")


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  minidl evaluate run1 cells
  minidl evaluate run1 other-cells
  minidl evaluate run1 cells --split test --out scores
  minidl evaluate run2 isbi2012 --val '2[4-9]' --boundary 0
""",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--split",
    metavar="NAME",
    help="Which images: train, val, test or all [default: those for validation, if DATA has some or is what"
    " RUN was trained on; else all].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for metrics.json and pictures [default: RUN/evaluation-SPLIT].",
)
@click.option(
    "--boundary",
    metavar="CLASS",
    help="Class (id or name) that separates cells: adds V_rand, V_info and pixel error.",
)
@data_options
@picture_memory_option
@device_option
@common_options
@overwrite_option
def command(
    run: Path,
    data: Path,
    split: str | None,
    out: Path | None,
    boundary: str | None,
    picture_memory: int,
    device: Device,
    overwrite: bool,
    **options: Any,
) -> int:
    """Measure a trained network: IoU, precision, recall and F1 of each class, on images that have masks.

    RUN is the folder that 'minidl train --out' wrote (its best checkpoint is used), or a checkpoint file. If
    DATA is the folder that it was trained on, the data options of the training hold here, too, and the images
    that validated it are measured. Of another folder all images are, unless it has a val/ of its own.
    """
    trained = load_run(run, device)
    why = "" if split is not None else _why(data, options, trained)
    split = split or ("all" if why == _NOT_ASKED else "val")
    folder = out or (run if run.is_dir() else run.parent) / f"evaluation-{split}"
    _outputs.check(folder, FILES, overwrite, data=data)
    with Progress() as progress:
        found = read_data(data, progress, as_in_training(data, options, trained.data), picture_memory)
        _check_fit(found, trained)
        boundary_id = _class_id(boundary, found.classes)
        samples = found.samples(split)
        _outputs.check(folder, FILES, overwrite, found.files(), data)
        echo(_measured(found, samples, split, why))
        _note_overlap(found, samples, trained)
        sheet, sizes = Sheet(found, split), list[tuple[int, int]]()

        def keep(sample: Sample, image: Any, truth: Any, prediction: Any) -> None:
            sizes.append(truth.shape)
            sheet.keep(sample, image, truth, prediction)

        progress.phase("evaluating", len(samples))
        result = evaluate_samples(
            trained.model, trained.normalisation, found, samples, progress.advance, boundary_id, keep
        )
    if said := in_tiles(sizes, tiles(trained.model)):
        echo(f"note: {said}")
    echo(*result.scores.table(found.classes).split("\n"))
    if result.boundaries is not None:
        echo(*_boundary_text(result.boundaries).split("\n"))
    figures = {"run": str(trained.path), "data": str(data), "split": split}
    counts = {"step": trained.step, "images": len(samples)}
    with _outputs.writing(folder, FILES, overwrite, note):
        write_json(folder / "metrics.json", {**figures, **counts, **result.to_dict(list(found.classes))})
        sheet.write(folder / "pictures.png")
    echo(f"metrics.json and pictures.png are in {folder}")
    return 0


_AS_TRAINED = "they validated the training; --split all takes all"
_NOT_ASKED = "DATA has no val/; --split val takes the last fifth"
_VAL = "--split all takes all"


def _why(data: Path, options: dict[str, Any], trained: Run) -> str:
    """What --split is, if nobody says: a part of DATA only where DATA or the training made it."""
    if os.path.realpath(data) == trained.data["root"]:
        return _AS_TRAINED
    own = read_settings(data, options.get("dataset_toml"))
    parted = options.get("val") or own.val or is_folder(data / "val")
    return _VAL if parted else _NOT_ASKED


def _measured(found: DataSet, samples: list[Sample], split: str, why: str) -> str:
    """Which images the scores are of."""
    names = [relative_name(found, sample) for sample in samples]
    span = shown(names[0]) if len(names) == 1 else f"{shown(names[0])} to {shown(names[-1])}"
    return (
        f"measured: {split}, {len(names)} image{'s' * (len(names) != 1)} ({span}){f'; {why}' if why else ''}"
    )


def _check_fit(found: DataSet, trained: Run) -> None:
    """The data must have the network's classes and channels."""
    if found.num_classes != len(trained.classes) or found.in_channels != trained.model.in_channels:
        raise InputError(
            f"{found.root}: {found.num_classes} classes and {found.in_channels} channels, but {trained.path}"
            f" was trained with {len(trained.classes)} and {trained.model.in_channels}; give the data it"
            " belongs to, or --num-classes, --ignore-index or --dataset-toml as in training"
        )
    if list(found.classes) != trained.classes:
        echo(f"note: in training the classes were called {listed(trained.classes)}")


def _note_overlap(found: DataSet, samples: list[Sample], trained: Run) -> None:
    """Scores on images that a network has learned from say little."""
    if os.path.realpath(found.root) == trained.data["root"]:
        learned = set(trained.data["splits"]["train"])
        seen = sum(relative_name(found, sample) in learned for sample in samples)
        if seen:
            count = f"{seen} of these {len(samples)} images"
            echo(f"note: the network was trained on {count}; new ones will score lower")


def _class_id(name: str | None, classes: tuple[str, ...]) -> int | None:
    if name is None:
        return None
    if name in classes:
        return classes.index(name)
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) < len(classes):
        return int(name)
    raise InputError(
        f"--boundary: no class {shown(repr(name))}; the classes are {listed(classes)}"
        f" (0 to {len(classes) - 1})"
    )


def _boundary_text(b: BoundaryScores) -> str:
    lines = [
        f"{name} {value:.4f} (threshold {threshold:.1f}; split {split:.4f}, merge {merge:.4f})"
        for name, value, threshold, split, merge in (
            ("V_rand", b.v_rand, b.v_rand_threshold, b.v_rand_split, b.v_rand_merge),
            ("V_info", b.v_info, b.v_info_threshold, b.v_info_split, b.v_info_merge),
        )
    ]
    return "\n".join([*lines, f"pixel error {b.pixel_error:.4f} (threshold {b.pixel_threshold:.1f})"])
