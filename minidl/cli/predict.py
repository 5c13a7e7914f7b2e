"""``minidl predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from minidl.cli.progress import Progress
from minidl.errors import InputError
from minidl.segmentation.files import read_image, write_png
from minidl.segmentation.folder import match_channels
from minidl.segmentation.pairing import list_images
from minidl.segmentation.pictures import overlay
from minidl.train.inference import load_run, predict_images


@click.command(
    "predict",
    epilog="""\b
Examples:
  minidl predict run1 photo.png --out results
  minidl predict run1 new-pictures --out results --no-overlays
""",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the masks and overlays.")
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Also write each picture with its mask drawn over it.")
def command(run: Path, images: tuple[Path, ...], out: Path, overlays: bool) -> int:
    """Write the mask of each image (files, or folders of them): NAME.png with the class id of every pixel, shown in the
    classes' colours, and NAME_overlay.png to look at. Images of any size.

    RUN is the folder that 'minidl train --out' wrote (its best checkpoint is used), or a checkpoint file.
    """
    trained = load_run(run)
    paths = _all_images(images)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot create this folder ({error.strerror}); give another --out") from None
    with Progress() as progress:
        progress.phase("predicting", len(paths))
        for path in paths:
            image = match_channels(read_image(path), trained.model.in_channels, path)
            for _, _, mask in predict_images(trained, [(path, image)]):
                write_png(out / f"{path.stem}.png", mask, trained.colours)
                if overlays:
                    write_png(out / f"{path.stem}_overlay.png", _picture(image, mask, trained.colours))
            progress.advance()
    click.echo(f"{len(paths)} mask{'s' if len(paths) != 1 else ''} in {out}")
    return 0


def _picture(image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], colours: np.ndarray[Any, Any]) -> Any:
    return overlay(image, mask, colours, ignore_index=None)


def _all_images(given: tuple[Path, ...]) -> list[Path]:
    """Files as named; of folders all images in them. No two may write the same file."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = list_images(path)
            if not inside:
                raise InputError(f"{path}: no images in this folder; give image files, or a folder of them")
            paths += inside
        elif path.exists():
            paths.append(path)
        else:
            raise InputError(f"{path}: no such file; give image files, or a folder of them")
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise InputError(f"{path}: would write the same mask as {stems[path.stem]}; rename one, or predict them apart")
        stems[path.stem] = path
    return paths
