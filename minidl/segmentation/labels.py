"""From the values in mask files to class ids, and the mistakes that data sets make there.

Gray and palette masks hold values, RGB masks hold colours (packed here as 0xRRGGBB), and palette masks, too,
where colours are mapped or palettes differ (`minidl.segmentation.palettes`). Which of them mean which class
is decided once for the whole data set, after every mask has been seen:

1. what ``[labels]`` in the data set's ``dataset.toml`` says; values that it leaves out stand for themselves;
2. RGB masks without colours there: the classes' display colours, if given; or, if all of them are gray, their
   gray value;
3. every mask of the set holds 0 and 255 only: read as 0 and 1, and said so in a note;
4. else a value is the id. Without a declared number of classes it is the highest id plus one, unless the
   values look like shades of gray rather than ids, which is refused with the ``[labels]`` to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.errors import InputError
from minidl.segmentation.dataset_config import DatasetConfig, check_config
from minidl.segmentation.palettes import agreed

DEFAULT_IGNORE = 255


@dataclass(frozen=True)
class MaskValues:
    """What one mask file holds: its distinct values, or its distinct colours as 0xRRGGBB."""

    path: Path
    values: np.ndarray  # int64 (n,), ascending
    is_rgb: bool
    palette: np.ndarray | None = None  # uint8 (K, 3), if the values are indices into colours


@dataclass(frozen=True)
class LabelMap:
    """The rule from raw mask values to ids that holds for one data set."""

    values: Mapping[int, int]
    colours: Mapping[int, int]
    num_classes: int
    ignore_index: int
    config_path: Path
    by_colour: bool = False  # masks of indices count by the colours that their palettes give these

    def ids(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Class ids int32 (H, W) of the mask `minidl.segmentation.files.read_mask` gave.

        Raises:
            InputError: a value or a colour without a class.
        """
        values, is_rgb = pack(raw)
        ids = self._translate(values, is_rgb, path)
        self._check(ids, values, path)
        return ids

    def check(self, seen: MaskValues) -> np.ndarray:
        """The ids of a mask's distinct values, in the same order; raises InputError as `ids` does."""
        ids = self._translate(seen.values, seen.is_rgb, seen.path)
        self._check(ids, seen.values, seen.path)
        return ids

    def _translate(self, values: np.ndarray, is_rgb: bool, path: Path) -> np.ndarray:
        if is_rgb and not self.colours:
            if not bool(_is_gray(values).all()):
                raise _unmapped_rgb(path, values, self.config_path)
            values, is_rgb = values & 255, False
        table = self.colours if is_rgb else self.values
        ids = values.astype(np.int32)
        known = np.zeros(values.shape, dtype=bool)
        for value, target in table.items():
            here = values == value
            ids[here] = target
            known |= here
        if is_rgb and not known.all():
            colour = int(values[~known].flat[0])
            raise InputError(
                f'{path}: the colour #{colour:06x} has no class; add "#{colour:06x}" = ID'
                f" to [labels] in {self.config_path}"
            )
        return ids

    def _check(self, ids: np.ndarray, values: np.ndarray, path: Path) -> None:
        wrong = ((ids < 0) | (ids >= self.num_classes)) & (ids != self.ignore_index)
        if wrong.any():
            value = int(values[wrong].flat[0])
            raise InputError(
                f"{path}: holds the value {value}, but there are {self.num_classes} classes"
                f" (ids 0..{self.num_classes - 1}); name more classes, set ignore_index = {value}, or map it"
                f" by {value} = ID under [labels] in {self.config_path}"
            )


def pack(raw: np.ndarray) -> tuple[np.ndarray, bool]:
    """Values (H, W) and whether they are colours: RGB (H, W, 3) becomes 0xRRGGBB int32 (H, W)."""
    if raw.ndim == 2:
        return raw, False
    packed = raw[..., 0].astype(np.int32)
    for channel in (1, 2):  # in place: pictures may be large
        packed <<= 8
        packed |= raw[..., channel]
    return packed, True


def distinct(raw: np.ndarray, path: Path, palette: np.ndarray | None = None) -> MaskValues:
    """The distinct values of a raw mask."""
    values, is_rgb = pack(raw)
    if values.dtype == np.uint8:  # counting is many times faster than the sort in np.unique
        # Row by row, because it counts on a copy of eight times the size.
        found = np.flatnonzero(sum(np.bincount(row, minlength=256) for row in values))
    else:
        found = np.unique(values)
    return MaskValues(path, found.astype(np.int64), is_rgb, palette)


def resolve(seen: Sequence[MaskValues], config: DatasetConfig) -> tuple[LabelMap, list[str]]:
    """The rule for a data set whose masks hold ``seen``, and notes for the person who reads the output.

    Raises:
        InputError: the masks and the declarations do not fit each other, or leave open what is meant.
    """
    declared = check_config(config)
    ignore = DEFAULT_IGNORE if config.ignore_index is None else config.ignore_index
    values, colours, notes = dict(config.values), dict(config.colour_ids), []
    seen, by_colour = agreed(seen, config)
    rgb = [mask for mask in seen if mask.is_rgb]
    painted = [mask for mask in rgb if not _is_gray(mask.values).all()]
    if painted and not colours:
        if config.colours is None:
            raise _unmapped_rgb(painted[0].path, painted[0].values, config.path)
        colours = {r << 16 | g << 8 | b: index for index, (r, g, b) in enumerate(config.colours)}
    # From here on, RGB masks that are gray throughout count by their gray value, if no colours are mapped.
    gray = [(mask.path, set((mask.values & 255 if mask.is_rgb else mask.values).tolist())) for mask in seen]
    if colours:
        gray = [entry for entry, mask in zip(gray, seen, strict=True) if not mask.is_rgb]
    if not values and _black_and_white(gray, len(seen), declared, config):
        values = {255: 1}
        notes.append("masks hold only 0 and 255: read as class 0 and class 1")
    count = declared
    if count is None:
        count = _infer_count(gray, values, colours, ignore, config.path)
    label_map = LabelMap(values, colours, count, ignore, config.path, by_colour)
    used = set(np.concatenate([label_map.check(mask) for mask in seen]).tolist()) - {ignore}
    if len(used) < 2:
        only = "no pixel with a label" if not used else f"class {used.pop()} only"
        notes.append(f"all masks hold {only}: nothing can be told apart")
    return label_map, notes


def _is_gray(colours: np.ndarray) -> np.ndarray:
    return (colours >> 16 == (colours >> 8 & 255)) & ((colours >> 8 & 255) == (colours & 255))


def _black_and_white(
    gray: list[tuple[Path, set[int]]], total: int, declared: int | None, config: DatasetConfig
) -> bool:
    """Whether 0/255 masks are to be read as 0/1; raises InputError where that is wrong or unclear."""
    suspects = [path for path, values in gray if 255 in values and values <= {0, 255}]
    remedy = f"write 255 = 1 under [labels] in {config.path}"
    if not suspects:
        return False
    if len(gray) == total and all(values <= {0, 255} for _, values in gray):
        if config.ignore_index == 255:
            raise InputError(
                f"{suspects[0]}: all masks hold only 0 and 255, and ignore_index is 255, which leaves"
                f" class 0 alone; {remedy} and another ignore_index"
            )
        if declared in (None, 2):
            return True
        raise InputError(
            f"{suspects[0]}: holds only 0 and 255 where ids of {declared} classes are expected; {remedy}"
        )
    if config.ignore_index is None:
        raise InputError(
            f"{suspects[0]}: holds only 0 and 255 while other masks hold class ids; {remedy},"
            " or set ignore_index = 255 there if 255 marks pixels without a label"
        )
    return False


def _infer_count(
    gray: list[tuple[Path, set[int]]],
    values: Mapping[int, int],
    colours: Mapping[int, int],
    ignore: int,
    config: Path,
) -> int:
    """The number of classes where none is declared."""
    targets = {*values.values(), *colours.values()} - {ignore}
    if targets:
        return max(targets) + 1
    found = sorted(set().union(*(values for _, values in gray)) - {ignore, *values})
    if not found or found[-1] <= 0:
        raise InputError(
            f"{gray[0][0] if gray else config}: this and all other masks hold only class 0 or no label at"
            " all; check the masks, or declare num_classes"
        )
    count = found[-1] + 1
    if count > 2 * len(found) + 8:  # {0, 128}, {0, 85, 170}, anti-aliased edges: shades of gray, not ids
        path = next(path for path, seen in gray if found[-1] in seen)
        listed = ", ".join(f"{value} = {index}" for index, value in enumerate(found[:4]))
        raise InputError(
            f"{path}: holds the value {found[-1]}, while all masks together hold only {len(found)} different"
            f" values, which do not look like ids; map them ({listed}{', ...' if len(found) > 4 else ''})"
            f" under [labels] in {config}, or declare num_classes = {count} there"
        )
    return count


def _unmapped_rgb(path: Path, colours: np.ndarray, config: Path) -> InputError:
    shown = np.unique(colours)
    listed = ", ".join(f'"#{int(colour):06x}" = {index}' for index, colour in enumerate(shown[:3]))
    return InputError(
        f"{path}: an RGB mask of {len(shown)} colours where class ids are expected; say which colour is which"
        f" class, such as {listed}, under [labels] in {config}"
    )
