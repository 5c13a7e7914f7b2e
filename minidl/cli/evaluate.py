"""``minidl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from minidl.cli.options import data_options, read_data
from minidl.cli.progress import Progress
from minidl.cli.report import Sheet, write_json
from minidl.errors import InputError
from minidl.segmentation.boundaries import BoundaryScores
from minidl.train.inference import evaluate_samples, load_run


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  minidl evaluate run1 cells
  minidl evaluate run1 cells --split test --out scores
  minidl evaluate run2 isbi2012 --val '2[4-9]' --boundary 0
""",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--split", default="val", show_default=True, help="Which images: train, val or test.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for metrics.json and pictures [default: RUN/evaluation-SPLIT].")
@click.option("--boundary", metavar="CLASS", help="Class (id or name) that separates cells: adds V_rand, V_info and pixel error.")
@data_options
def command(run: Path, data: Path, split: str, out: Path | None, boundary: str | None, **options: Any) -> int:
    """Measure a trained network: IoU, precision, recall and F1 of each class, on images that have masks.

    RUN is the folder that 'minidl train --out' wrote (its best checkpoint is used), or a checkpoint file.
    """
    trained = load_run(run)
    with Progress() as progress:
        found = read_data(data, progress, **options)
        if found.num_classes != len(trained.classes) or found.in_channels != trained.model.in_channels:
            raise InputError(
                f"{data}: {found.num_classes} classes and {found.in_channels} channels, but {trained.path} was trained with "
                f"{len(trained.classes)} and {trained.model.in_channels}; give the data it belongs to, or --num-classes"
            )
        boundary_id = _class_id(boundary, found.classes)
        samples = found.samples(split)
        sheet = Sheet(found, split)
        progress.phase("evaluating", len(samples))
        result = evaluate_samples(
            trained.model, trained.normalisation, found, samples, progress.advance, boundary_id, sheet.keep
        )
    folder = out or (run if run.is_dir() else run.parent) / f"evaluation-{split}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create this folder ({error.strerror}); give another --out") from None
    figures = {"run": str(trained.path), "data": str(data), "split": split, "step": trained.step, "images": len(samples)}
    write_json(folder / "metrics.json", {**figures, **result.to_dict(list(found.classes))})
    sheet.write(folder / "pictures.png")
    click.echo(result.scores.table(found.classes))
    if result.boundaries is not None:
        click.echo(_boundary_text(result.boundaries))
    click.echo(f"metrics and pictures in {folder}")
    return 0


def _class_id(name: str | None, classes: tuple[str, ...]) -> int | None:
    if name is None:
        return None
    if name in classes:
        return classes.index(name)
    if name.isdigit() and int(name) < len(classes):
        return int(name)
    raise InputError(f"--boundary: no class {name!r}; the classes are {', '.join(classes)} (0 to {len(classes) - 1})")


def _boundary_text(b: BoundaryScores) -> str:
    return (
        f"V_rand {b.v_rand:.4f} (threshold {b.v_rand_threshold:.1f}; split {b.v_rand_split:.4f}, merge {b.v_rand_merge:.4f})\n"
        f"V_info {b.v_info:.4f} (threshold {b.v_info_threshold:.1f}; split {b.v_info_split:.4f}, merge {b.v_info_merge:.4f})\n"
        f"pixel error {b.pixel_error:.4f} (threshold {b.pixel_threshold:.1f})"
    )
