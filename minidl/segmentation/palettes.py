"""Masks of indices into palettes: whether the indices of a data set mean the same in all of its files.

Where annotation tools write palettes (Pascal VOC), an index is a class and has one colour everywhere.
Programs for pictures number the colours that occur in a file, so that one class is 1 in one file and 2 in the
next. The palettes are compared; where they contradict each other, or where colours are mapped to classes, the
colours count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minidl._text import shown
from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.segmentation.dataset_config import DatasetConfig
    from minidl.segmentation.label_map import MaskValues

_LISTED = 40


def agreed(seen: Sequence[MaskValues], config: DatasetConfig) -> tuple[list[MaskValues], bool]:
    """The masks, those with a palette as their colours if these are what counts; and whether they are.

    Raises:
        InputError: palettes contradict each other, and nothing says which colour is which class.
    """
    with_palette = [mask for mask in seen if mask.palette is not None]
    by_colour = bool(config.colour_ids)
    if not by_colour and (clash := _clash(with_palette)):
        if config.colours is None and config.others is None:
            raise _contradiction(with_palette, *clash, config.path)
        by_colour = True
    if not (by_colour and with_palette):
        return list(seen), False
    return [_painted(mask) if mask.palette is not None else mask for mask in seen], True


def _painted(mask: MaskValues) -> MaskValues:
    colours, back = np.unique(_packed(mask)[mask.values], return_inverse=True)
    counts = np.zeros(len(colours), np.int64)
    np.add.at(counts, back, mask.counts)
    return replace(mask, values=colours.astype(np.int64), is_rgb=True, counts=counts, palette=None)


def _packed(mask: MaskValues) -> np.ndarray:
    """The palette as 0xRRGGBB."""
    assert mask.palette is not None
    return mask.palette.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])


def _clash(masks: Sequence[MaskValues]) -> tuple[int, MaskValues, MaskValues] | None:
    """An index that has one colour in a mask and another one in an earlier mask; of used ones only."""
    colour_of: dict[int, tuple[int, MaskValues]] = {}
    index_of: dict[int, tuple[int, MaskValues]] = {}
    for mask in masks:
        palette = _packed(mask)
        for index in mask.values.tolist():
            colour = int(palette[index])
            known, earlier = colour_of.setdefault(index, (colour, mask))
            if known != colour:
                return index, mask, earlier
            other, earlier = index_of.setdefault(colour, (index, mask))
            # Palettes that repeat themselves give one colour to many; then it has it here, too.
            if other != index and not (other < len(palette) and palette[other] == colour):
                return other, mask, earlier
    return None


def _contradiction(
    masks: Sequence[MaskValues], index: int, mask: MaskValues, earlier: MaskValues, config: Path
) -> InputError:
    def colour(of: MaskValues) -> str:
        palette = _packed(of)
        return f"the colour #{int(palette[index]):06x}" if index < len(palette) else "no colour"

    used = np.unique(np.concatenate([_packed(each)[each.values] for each in masks]))
    listed = ", ".join(f'"#{int(value):06x}" = {place}' for place, value in enumerate(used[:_LISTED]))
    return InputError(
        f"{mask.path}: its palette gives the index {index} {colour(mask)}, that of {shown(earlier.path.name)}"
        f" gives it {colour(earlier)}, so indices are no class ids here; say which colour is which class,"
        f" such as {listed}{', ...' if len(used) > _LISTED else ''}, under [labels] in {config}"
    )
