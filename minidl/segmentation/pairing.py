"""Which files of a data set's folder belong together: splits, and images with their masks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minidl._inputs import is_folder, is_there
from minidl._text import shown
from minidl.errors import InputError
from minidl.segmentation.files import IMAGE_SUFFIXES
from minidl.segmentation.folder_names import SPLITS, quoted, role

MASK_FOLDERS = ("labels", "masks")
MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annotation")


class NotArrangedError(InputError):
    """Folders are not where they are looked for: the data set may be arranged for another program."""


@dataclass(frozen=True)
class Sample:
    """One image and its mask, by path; ``mask_path`` is None in a split without labels."""

    stem: str
    image_path: Path
    mask_path: Path | None


def layout(root: Path) -> list[tuple[str, Path, Path | None]]:
    """Split, folder of images, folder of masks (or None), for each split there is.

    Raises:
        InputError: no layout that is known, two at once, or one of the names is a file, or a link that leads
            nowhere: without it the other files would mean something else.
    """
    nested = [name for name in SPLITS if _is_folder(root / name)]
    flat = _is_folder(root / "images")
    if flat and nested:
        raise InputError(f"{root}: has images/ and {nested[0]}/ side by side; keep the one or the other")
    for name in _other_splits(root, nested):
        split = role(name)[0]
        raise InputError(
            f"{root}: has {name}/ beside {nested[0]}/, which would be left out under this name; rename it by"
            f" mv {quoted(root / name)} {quoted(root / str(split))}"
        )
    if not flat and not nested:
        raise NotArrangedError(
            f"{root}: has neither images/ nor train/, val/, test/; put images into images/, and"
            " masks into labels/"
        )
    result = []
    for name, folder in [(name, root / name) for name in nested] or [("train", root)]:
        images = folder / "images"
        if not _is_folder(images):
            raise NotArrangedError(f"{folder}: has no folder images/; put the images of this split there")
        masks = [folder / kind for kind in MASK_FOLDERS if _is_folder(folder / kind)]
        if len(masks) > 1:
            raise InputError(f"{folder}: has labels/ and masks/; keep the one that is meant")
        result.append((name, images, masks[0] if masks else None))
    return result


def _other_splits(root: Path, nested: list[str]) -> list[str]:
    """Folders beside train/ that are splits, too, under other names."""
    if not nested:
        return []
    names = [
        path.name for path in sorted(root.iterdir()) if path.name not in SPLITS and (path / "images").is_dir()
    ]
    return [name for name in names if role(name)[1] is None and role(name)[0] not in (None, *nested)]


def _is_folder(path: Path) -> bool:
    if is_there(path) and not is_folder(path):  # as a link is, after a checkout on a system without links
        raise InputError(
            f"{path}: not a folder, but it has the name of one; put the folder there, or rename it"
        )
    return is_folder(path)


def pair(images: Path, masks: Path | None, notes: list[str]) -> list[Sample]:
    """The samples of one split, by name (numbers within names by their value: 9 before 10).

    Files that are no images are left out; a line about them is added to ``notes``.

    Raises:
        InputError: no images, two files for one stem, or images and masks that do not pair up.
    """
    pictures = _by_stem(images, notes)
    if not pictures:
        raise NotArrangedError(
            f"{images}: no image files in it; put PNG, JPEG, TIFF, BMP or WebP files there"
        )
    stems = sorted(pictures, key=_natural)
    if masks is None:
        return [Sample(stem, pictures[stem], None) for stem in stems]
    labels: dict[str, Path] = {}
    for stem, path in _by_stem(masks, notes).items():
        target = stem if stem in pictures else without_ending(stem)
        if target in labels:
            raise InputError(f"{path}: a second mask beside {labels[target].name} for one image; remove one")
        labels[target] = path
    alone = [pictures[stem] for stem in stems if stem not in labels]
    spare = [path for stem, path in labels.items() if stem not in pictures]
    if alone or spare:
        parts = []
        if alone:
            parts.append(f"{len(alone)} of {len(stems)} images have no mask in {masks.name}/ ({_few(alone)})")
        if spare:
            parts.append(f"{len(spare)} masks in {masks.name}/ have no image ({_few(spare)})")
        kind = InputError if labels else NotArrangedError
        raise kind(
            f"{images.parent}: {' and '.join(parts)}; give each pair the same name, or remove the odd ones"
        )
    return [Sample(stem, pictures[stem], labels[stem]) for stem in stems]


def list_images(folder: Path) -> list[Path]:
    """All image files directly in a folder, by name; two of one stem are refused.

    Raises:
        InputError: two files of the same stem.
    """
    found = _by_stem(folder, [])
    return [found[stem] for stem in sorted(found, key=_natural)]


def _by_stem(folder: Path, notes: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "Thumbs.db":
            continue
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
            others.append(path)
        elif (stem := composed(path.stem)) in found:
            other = found[stem]
            way = "" if other.stem == path.stem else " but for the way in which Unicode writes its letters"
            raise InputError(f"{path}: has the same stem as {other.name}{way}; rename or remove one of them")
        else:
            found[stem] = path
    if others and found:
        notes.append(f"{folder}: {len(others)} entries that are no image files are left out ({_few(others)})")
    return found


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): one system writes an umlaut as one character, another as two.

    >>> composed("a\u0308") == "\u00e4"
    True
    """
    return unicodedata.normalize("NFC", name)


def without_ending(stem: str) -> str:
    """The stem of the image that a mask of this stem belongs to.

    >>> without_ending("cell7_mask"), without_ending("cell7_MASK"), without_ending("cell7")
    ('cell7', 'cell7', 'cell7')
    """
    ends = (ending for ending in MASK_ENDINGS if stem.lower().endswith(ending))
    return next((stem[: -len(ending)] for ending in ends), stem)


def _few(paths: Iterable[Path], count: int = 3) -> str:
    names = sorted((path.name for path in paths), key=_natural)
    return ", ".join(shown(name) for name in names[:count]) + (", ..." if len(names) > count else "")


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key: digits by value, everything else as text."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if index % 2 else (-1, part) for index, part in enumerate(parts)]
