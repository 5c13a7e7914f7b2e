"""``minidl predict``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from minidl import _outputs
from minidl._device import Device
from minidl._inputs import is_folder, is_there
from minidl._text import LINE, listed, shown
from minidl.cli.options import device_option, note, overwrite_option, picture_memory_option
from minidl.cli.progress import Progress
from minidl.cli.screen import echo
from minidl.cli.threads import common_options
from minidl.errors import InputError
from minidl.segmentation.files import read_image, write_png
from minidl.segmentation.folder import match_channels
from minidl.segmentation.pairing import list_images
from minidl.segmentation.pictures import overlay
from minidl.train.continued import in_tiles
from minidl.train.inference import Run, load_run, predict_image, tiles


@click.command(
    "predict",
    epilog="""\b
Examples:
  minidl predict run1 photo.png --out results
  minidl predict run1 new-pictures --out results --no-overlays
  minidl predict run1 new-pictures --out results --strict
""",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for the masks and overlays."
)
@click.option(
    "--overlays/--no-overlays",
    default=True,
    show_default=True,
    help="Also write each picture with its mask drawn over it.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Read all images before the first mask is written; if one is bad, write nothing.",
)
@picture_memory_option
@device_option
@common_options
@overwrite_option
def command(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    overlays: bool,
    strict: bool,
    picture_memory: int,
    device: Device,
    overwrite: bool,
) -> int:
    """Write the mask of each image (files, or folders of them): NAME.png with the class id of every pixel,
    shown in the classes' colours, and NAME_overlay.png to look at. Images of any size.

    RUN is the folder that 'minidl train --out' wrote (its best checkpoint is used), or a checkpoint file.

    An image that cannot be used (damaged, too large, in colour for a gray network) is named on standard
    error, the others get their masks, and the exit code is 1.
    """
    trained = load_run(run, device)
    paths = _all_images(images)
    names = _names(paths, out, overlays)
    _outputs.check(out, names, overwrite, [*images, *paths])
    bad, sizes = list[Path](), list[tuple[int, int]]()
    with Progress() as progress:
        if strict:
            progress.phase("checking", len(paths))
            for path in paths:
                _read(trained, path, picture_memory)
                progress.advance()
        with _outputs.writing(out, names, overwrite, note):
            progress.phase("predicting", len(paths))
            for path in paths:
                try:
                    image = _read(trained, path, picture_memory)
                except InputError as error:
                    if strict or len(paths) == 1:
                        raise
                    bad.append(path)
                    progress.advance()
                    _tell(progress, f"{error}{_earlier(out, path)}")
                else:
                    sizes.append((image.shape[1], image.shape[2]))
                    _predict(trained, image, path, out, overlays, progress)
            if len(bad) == len(paths):
                raise InputError(f"{out}: no mask was made; none of the {len(bad)} images can be used")
    if said := in_tiles(sizes, tiles(trained.model)):
        echo(f"note: {said}")
    done = len(paths) - len(bad)
    echo(f"{done} mask{'s' if done != 1 else ''} in {out}")
    if bad:
        which = listed((path.name for path in bad), 10)
        _fail(f"{len(bad)} of {len(paths)} images have no mask: {which}")
    return 1 if bad else 0


def _read(trained: Run, path: Path, memory: int) -> np.ndarray:
    return match_channels(read_image(path, memory), trained.model.in_channels, path)


def _tell(progress: Progress, line: str) -> None:
    """On standard error, above the bar if there is one."""
    if progress.bar is not None and not progress.bar.disable:
        progress.bar.clear()
    _fail(line)


def _fail(line: str) -> None:
    echo(shown(line, LINE), err=True, label="minidl: error: ")


def _earlier(out: Path, path: Path) -> str:
    """A mask that an earlier call left must not pass for one of this."""
    mask = _mask_path(out, path)
    return f" ({mask} is from an earlier call)" if mask.exists() else ""


def _predict(
    trained: Run, image: np.ndarray, path: Path, out: Path, overlays: bool, progress: Progress
) -> None:
    mask = predict_image(trained, image, lambda done, total: progress.advance(1 / total))
    colours = trained.colours
    # A PNG palette holds 256 colours; with more classes the file holds 16-bit ids without colours.
    write_png(_mask_path(out, path), mask, colours if len(colours) <= 256 else None)
    if overlays:
        write_png(_overlay_path(out, path), overlay(image, mask, colours, ignore_index=None))


def _mask_path(out: Path, image: Path) -> Path:
    return out / f"{image.stem}.png"


def _overlay_path(out: Path, image: Path) -> Path:
    return out / f"{image.stem}_overlay.png"


def _all_images(given: tuple[Path, ...]) -> list[Path]:
    """Files as named; of folders all images in them."""
    paths: list[Path] = []
    for path in given:
        if is_folder(path):
            inside = list_images(path)
            if not inside:
                raise InputError(f"{path}: no images in this folder; give image files, or a folder of them")
            paths += inside
        elif is_there(path):
            paths.append(path)
        else:
            raise InputError(f"{path}: no such file; give image files, or a folder of them")
    return paths


def _names(paths: list[Path], out: Path, overlays: bool) -> list[str]:
    """What will be written; no two images may write one file."""
    written: dict[Path, Path] = {}
    for path in paths:
        for target in (_mask_path(out, path), *([_overlay_path(out, path)] if overlays else [])):
            if target in written:
                raise InputError(
                    f"{path}: would write {target.name}, as {written[target]} does; rename one of them, or"
                    " predict them apart"
                )
            written[target] = path
    return [target.name for target in written]
