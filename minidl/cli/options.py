"""Options that several commands share: one name and one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from minidl.cli.progress import Progress
from minidl.segmentation.folder import DataSet, scan

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """What scanning a data set takes."""
    for option in reversed(
        (
            click.option("--dataset-toml", type=click.Path(path_type=Path), help="A dataset.toml that lies elsewhere than in DATA."),
            click.option("--val", metavar="GLOB", help="Use the images whose stem matches for validation, e.g. '2[4-9]'."),
            click.option("--num-classes", type=click.IntRange(min=2), help="Number of classes, if masks and dataset.toml do not tell."),
            click.option("--ignore-index", type=int, help="Mask value of pixels without a label (default 255)."),
        )
    ):
        command = option(command)
    return command


def read_data(
    root: Path,
    progress: Progress,
    dataset_toml: Path | None = None,
    val: str | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
) -> DataSet:
    """Scan a data set with a progress bar, and say what was found."""
    data = scan(
        root,
        config=dataset_toml,
        val=val,
        num_classes=num_classes,
        ignore_index=ignore_index,
        progress=progress.counter("checking"),
    )
    progress.close()
    splits = ", ".join(f"{len(samples)} {name}" for name, samples in data.splits.items())
    click.echo(f"{root}: {splits} images; {data.num_classes} classes: {', '.join(data.classes)}")
    for note in data.notes:
        click.echo(f"note: {note}")
    return data
