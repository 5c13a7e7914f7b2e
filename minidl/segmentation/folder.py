"""Data sets as folders of images and masks.

::

    DATA/                        DATA/
        images/  a.png b.jpg         train/images/  train/labels/
        labels/  a.png b.png         val/images/    val/labels/
        dataset.toml (optional)      test/images/   (no labels: for prediction only)

The masks' folder is called ``labels`` or ``masks``. A mask belongs to the image of the same stem; the stem
may end in ``_mask`` and the like (`minidl.segmentation.pairing.MASK_ENDINGS`). What the values in masks mean:
`minidl.segmentation.labels`; what ``dataset.toml`` can say: `minidl.segmentation.dataset_config`.

A flat folder is one split, ``train``. Where there is no ``val``, images are moved there from ``train``: those
whose stem matches a glob, or else the last fifth by name, in one block, because neighbouring frames or
sections are alike and would make the validation flatter than the truth.

Gray images in a set that also has RGB ones are read as RGB, the channel repeated, and a note says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from minidl import _inputs
from minidl._inputs import is_folder, is_there
from minidl._text import shown
from minidl.errors import InputError
from minidl.segmentation.dataset_config import FILE_NAME, DatasetConfig, read_config
from minidl.segmentation.files import read_stored, read_turned
from minidl.segmentation.folder_names import SPLITS
from minidl.segmentation.foreign_files import file_given
from minidl.segmentation.foreign_folders import explained
from minidl.segmentation.labels import LabelMap, MaskValues, distinct, resolve
from minidl.segmentation.memory import MEMORY
from minidl.segmentation.pairing import NotArrangedError, Sample, composed, layout, pair
from minidl.segmentation.pictures import palette
from minidl.segmentation.turning import agreed, laid, placing

__all__ = ["DataSet", "Sample", "match_channels", "scan"]

Progress = Callable[[int, int], None]
#: Of `DataSet.samples`: no split, but all of them.
ALL = "all"


@dataclass
class DataSet:
    """A scanned data set: what there is, and how to read it."""

    root: Path
    classes: tuple[str, ...]
    colours: np.ndarray  # uint8 (num_classes, 3)
    ignore_index: int
    in_channels: int  # 1 or 3
    splits: dict[str, list[Sample]]
    label_map: LabelMap
    memory: int = MEMORY  # bytes that reading one picture may take
    mask_orientation: str | None = None  # of masks whose size does not tell: `minidl.segmentation.turning`
    notes: list[str] = field(default_factory=list)  # one line each, for the person who reads the output

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def samples(self, split: str, labelled: bool = True) -> list[Sample]:
        """The samples of one split.

        ``all``: every split whose images have masks, one after the other.

        Raises:
            InputError: there is no such split, or it has no masks although ``labelled`` asks for them.
        """
        found = self.splits.get(split)
        if split == ALL:
            found = [s for samples in self.splits.values() for s in samples if s.mask_path or not labelled]
        if not found:
            raise InputError(
                f"{self.root}: no split {shown(repr(split))}; there is {', '.join(self.splits)}, or {ALL}"
            )
        bare = [sample for sample in found if sample.mask_path is None]
        if labelled and bare:
            raise InputError(
                f"{bare[0].image_path.parent}: images without masks; add a folder labels/ beside it"
            )
        return found

    def files(self) -> list[Path]:
        """Every image and every mask: what is never written over."""
        samples = [sample for split in self.splits.values() for sample in split]
        masks = [sample.mask_path for sample in samples if sample.mask_path is not None]
        return [*(sample.image_path for sample in samples), *masks]

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """Read a sample: image float32 (C, H, W) in 0..1, C = in_channels; mask int32 (H, W) of ids or None.

        Raises:
            InputError: a file is gone, damaged, or has changed since the scan so that it no longer fits.
        """
        image, orientation = read_turned(sample.image_path, self.memory)
        image = match_channels(image, self.in_channels, sample.image_path)
        if sample.mask_path is None:
            return image, None
        stored = read_stored(sample.mask_path, self.memory)
        raw = stored.painted() if self.label_map.by_colour else stored.values
        raw = laid(stored, raw, image.shape[1:], orientation, self.mask_orientation)
        _check_size(sample, image, raw)
        return image, self.label_map.ids(raw, sample.mask_path)


def match_channels(image: np.ndarray, channels: int, path: str | os.PathLike[str]) -> np.ndarray:
    """An image (C, H, W) with as many channels as a network takes: gray is repeated to RGB, no other way.

    Raises:
        InputError: an RGB image where gray is needed.

    >>> match_channels(np.zeros((1, 2, 2), np.float32), 3, "cell.png").shape
    (3, 2, 2)
    """
    if image.shape[0] == channels:
        return image
    if image.shape[0] == 1:
        return np.repeat(image, channels, axis=0)
    raise InputError(f"{path}: an RGB image where gray ones are expected; convert it to gray")


def scan(
    root: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    val: str | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    progress: Progress | None = None,
    memory: int = MEMORY,
) -> DataSet:
    """Find, pair and check all files of a data set; every image and every mask is read once.

    Args:
        root: the data set's folder.
        config: a ``dataset.toml``; by default the one in ``root``, if any.
        val: a glob on stems, such as ``"2[4-9]"``: matching samples move from train to val.
        num_classes: the number of classes, where neither names nor masks tell.
        ignore_index: the id of pixels without a label (default 255).
        progress: called as ``progress(done, total)`` after each sample.
        memory: bytes that reading a picture may take, now and whenever the data set reads one.

    ``val``, ``num_classes`` and ``ignore_index`` go before what the file says.

    Raises:
        InputError: anything wrong with the data; the message names the file and the remedy.
    """
    root = Path(root)
    if not is_folder(root):
        what = "a file, not a folder" if is_there(root) else "no such folder"
        said = file_given(root) if is_there(root) else None
        raise InputError(f"{root}: {said or f'{what}; give the folder that holds images/ and labels/'}")
    settings = _settings(root, config, val, num_classes, ignore_index)
    notes: list[str] = []
    try:
        splits = _find(root, notes)
    except NotArrangedError as error:
        raise explained(error, root) from None
    everything = [sample for samples in splits.values() for sample in samples]
    _split_off_val(root, splits, settings.val, notes)

    channels, seen, placings = _read_all(everything, settings.mask_orientation, progress, memory)
    mask_orientation = agreed(placings, settings, notes)
    gray = sum(count == 1 for count in channels)
    if 0 < gray < len(channels):
        notes.append(f"{gray} gray images among {len(channels)} are read as RGB")
    label_map, label_notes = resolve(seen, settings, lambda mask: _read_again(mask, memory))
    count = label_map.num_classes
    colours = settings.colours if settings.colours is not None else palette(count)
    return DataSet(
        root=root,
        classes=settings.classes or tuple(f"class {index}" for index in range(count)),
        colours=np.array(colours, dtype=np.uint8),
        ignore_index=label_map.ignore_index,
        in_channels=max(channels),
        splits={name: splits[name] for name in SPLITS if name in splits},
        label_map=label_map,
        memory=memory,
        mask_orientation=mask_orientation,
        notes=notes + label_notes,
    )


def _find(root: Path, notes: list[str]) -> dict[str, list[Sample]]:
    """Every split's samples, of which some have masks."""
    splits = {name: pair(images, masks, notes) for name, images, masks in layout(root)}
    if all(sample.mask_path is None for samples in splits.values() for sample in samples):
        raise NotArrangedError(
            f"{root}: images, but no masks; add a folder labels/ beside images/, one mask for each image"
        )
    return splits


def read_settings(root: Path, config: str | os.PathLike[str] | None = None) -> DatasetConfig:
    """What ``config`` says, or else the ``dataset.toml`` of a data set, or else nothing.

    Raises:
        InputError: as `minidl.segmentation.dataset_config.read_config`.
    """
    inside = root / FILE_NAME
    if config is not None:
        return read_config(config)
    return read_config(inside) if is_there(inside) else DatasetConfig(inside)


def _settings(
    root: Path,
    config: str | os.PathLike[str] | None,
    val: str | None,
    num_classes: int | None,
    ignore_index: int | None,
) -> DatasetConfig:
    """The file's declarations, overridden by the arguments."""
    settings = read_settings(root, config)
    if num_classes is not None:
        named = settings.classes or settings.colours
        if named and len(named) != num_classes:
            raise InputError(
                f"num_classes: {num_classes}, but {settings.path} describes {len(named)}; give the same"
            )
        settings = replace(settings, num_classes=num_classes)
    if val is not None:
        settings = replace(settings, val=val)
    if ignore_index is not None:
        settings = replace(settings, ignore_index=ignore_index)
    return settings


def _split_off_val(root: Path, splits: dict[str, list[Sample]], glob: str | None, notes: list[str]) -> None:
    """Move samples from train to val in place, as the module's docstring says."""
    train = splits.get("train", [])
    if glob is not None:
        moved = [sample for sample in train if _inputs.matches(composed(glob), sample.stem, "val")]
        if not moved or len(moved) == len(train):
            how_many = "no" if not moved else "every"
            raise InputError(
                f"val: {shown(repr(glob))} matches {how_many} image of train in {root};"
                " give a glob for some of their stems"
            )
    elif "val" in splits or len(train) < 2 or train[0].mask_path is None:
        return
    else:
        moved = train[-max(1, len(train) // 5) :]
        notes.append(
            f"no val/: the last {len(moved)} of {len(train)} images by name are kept for validation"
            f" ({shown(moved[0].stem)} to {shown(moved[-1].stem)})"
        )
    stems = {sample.stem for sample in moved}
    splits["train"] = [sample for sample in train if sample.stem not in stems]
    splits["val"] = splits.get("val", []) + moved


def _read_all(
    samples: list[Sample], rule: str | None, progress: Progress | None, memory: int
) -> tuple[list[int], list[MaskValues], list[tuple[Sample, int, str | None]]]:
    """Decode every file once: channels of each image, distinct values of each mask, and how it lies."""
    channels, seen, placings = [], [], []
    for done, sample in enumerate(samples, start=1):
        image, orientation = read_turned(sample.image_path, memory)
        channels.append(image.shape[0])
        if sample.mask_path is not None:
            stored = read_stored(sample.mask_path, memory)
            placings.append((sample, orientation, placing(stored, image.shape[1:], orientation)))
            _check_size(sample, image, laid(stored, stored.values, image.shape[1:], orientation, rule))
            seen.append(distinct(stored.values, sample.mask_path, stored.palette))
        if progress is not None:
            progress(done, len(samples))
    return channels, seen, placings


def _read_again(mask: MaskValues, memory: int) -> np.ndarray:
    stored = read_stored(mask.path, memory)
    return stored.painted() if mask.is_rgb else stored.values


def _check_size(sample: Sample, image: np.ndarray, raw: np.ndarray) -> None:
    if image.shape[1:] != raw.shape[:2]:
        raise InputError(
            f"{sample.mask_path}: {raw.shape[1]}x{raw.shape[0]} pixels, but its image"
            f" {shown(sample.image_path.name)} has {image.shape[2]}x{image.shape[1]}; make both the same size"
        )
