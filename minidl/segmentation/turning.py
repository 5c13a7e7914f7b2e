"""Pictures that are stored turned, and masks that are not.

A camera stores rows as its sensor gives them, and beside them how the picture is to be turned (EXIF
orientation); every picture is read upright. The mask beside it was drawn either on the picture as it is
shown or, by a tool that does not know of EXIF, on its pixels as they lie in the file. A mask with an
orientation of its own needs no question. Of the others the size tells which it is, unless both have one
size: pictures that are turned half around, mirrored, or square. Then the other masks of the data set tell,
or ``mask_orientation`` in its dataset.toml; without either nobody knows, and a guess would train on masks
that lie beside what they show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl._text import shown
from minidl.errors import InputError
from minidl.segmentation.dataset_config import DatasetConfig
from minidl.segmentation.pairing import Sample
from minidl.segmentation.stored import Stored

UPRIGHT, STORED, EITHER = "upright", "stored", "either"


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, ...) as they lie in a file, turned as its EXIF orientation (1 to 8) says.

    >>> upright(np.array([[1, 2, 3]]), 6).tolist(), upright(np.array([[1, 2, 3]]), 3).tolist()
    ([[1], [2], [3]], [[3, 2, 1]])
    """
    # 5 and 7 are quarter turns of a mirror image, 2 and 4 half turns or none.
    mirrored = pixels[:, ::-1] if orientation in (2, 4, 5, 7) else pixels
    turns = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(mirrored, turns))


def placing(mask: Stored, size: tuple[int, ...], orientation: int) -> str | None:
    """How a mask lies beside a picture of this size (H, W) when upright; None where nothing is to ask."""
    if orientation == 1 or mask.orientation != 1:
        return None
    fits_upright = mask.values.shape[:2] == size
    if mask.values.shape[:2] != (size[::-1] if orientation >= 5 else size):
        return UPRIGHT if fits_upright else None
    if not fits_upright:
        return STORED
    if np.array_equal(upright(mask.values, orientation), mask.values):  # as one of a single class
        return None
    return EITHER


def agreed(
    found: Sequence[tuple[Sample, int, str | None]], config: DatasetConfig, notes: list[str]
) -> str | None:
    """How masks lie whose size does not tell; lines for people are added to ``notes``.

    Args:
        found: samples with their pictures' orientations, and what `placing` says.
        config: its ``mask_orientation`` goes before all else.
        notes: lines for the person who reads the output.

    Raises:
        InputError: nothing tells.
    """
    ways = [way for _, _, way in found]
    if config.mask_orientation is not None:
        return config.mask_orientation
    if count := ways.count(STORED):
        notes.append(f"{count} masks lie as their pictures are stored: turned as EXIF says of the pictures")
    if EITHER not in ways:
        return None
    known = {*ways} & {UPRIGHT, STORED}
    if len(known) == 1:
        way = known.pop()
        notes.append(
            f"{ways.count(EITHER)} masks fit their turned pictures in both ways:"
            f" taken as {way}, as all others are"
        )
        return way
    sample, orientation, _ = next(entry for entry in found if entry[2] == EITHER)
    raise InputError(
        f"{sample.mask_path}: its image {shown(sample.image_path.name)} is stored turned (EXIF orientation"
        f' {orientation}), and it fits in both ways; write mask_orientation = "upright" (drawn on the picture'
        f' as it is shown) or "stored" (on its pixels as they lie in the file) in {config.path}'
    )


def laid(
    mask: Stored, pixels: np.ndarray, size: tuple[int, ...], orientation: int, rule: str | None
) -> np.ndarray:
    """The mask's ``pixels`` (values, or colours) as they lie on the upright picture."""
    way = placing(mask, size, orientation)
    turned = (way == STORED and rule != UPRIGHT) or (way == EITHER and rule == STORED)
    return upright(pixels, orientation) if turned else pixels
