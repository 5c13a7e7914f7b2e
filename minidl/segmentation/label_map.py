"""What a mask file holds, and the rule from there to class ids that holds for a whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import InputError

Array = np.ndarray[Any, Any]

#: Pixels that are translated at one time: what it takes in memory beside the mask.
_AT_ONCE = 2**20


@dataclass(frozen=True)
class MaskValues:
    """What one mask file holds: its distinct values, or its distinct colours as 0xRRGGBB."""

    path: Path
    values: Array  # int64 (n,), ascending
    is_rgb: bool
    counts: Array  # int64 (n,): pixels of each
    palette: Array | None = None  # uint8 (K, 3), if the values are indices into colours


@dataclass(frozen=True)
class LabelMap:
    """The rule from raw mask values to ids that holds for one data set.

    A value that ``values`` or ``ranges`` name has the id they say. Any other has that of the ``nearest`` one
    that is named, or is of the class ``others`` (except 0 and the ignore index), or stands for itself.
    """

    values: Mapping[int, int]
    colours: Mapping[int, int]
    num_classes: int
    ignore_index: int
    config_path: Path
    by_colour: bool = False  # masks of indices count by the colours that their palettes give these
    ranges: tuple[tuple[int, int, int], ...] = ()  # first value, last value, id
    others: int | None = None
    nearest: bool = False

    def ids(self, raw: Array, path: Path) -> Array:
        """Class ids int32 (H, W) of the mask `minidl.segmentation.files.read_mask` gave.

        Raises:
            InputError: a value or a colour without a class.
        """
        values, is_rgb = pack(raw)
        ids = self._translate(values, is_rgb, path)
        self._check(ids, values, path)
        return ids

    def check(self, seen: MaskValues) -> Array:
        """The ids of a mask's distinct values, in the same order; raises InputError as `ids` does."""
        ids = self._translate(seen.values, seen.is_rgb, seen.path)
        self._check(ids, seen.values, seen.path)
        return ids

    def without_class(self, seen: MaskValues) -> Array:
        """Which of a mask's distinct values have no class: bool (n,)."""
        values, is_rgb = self._as_gray(seen.values, seen.is_rgb)
        ids, known = self._rule(values, self.colours if is_rgb else self.values, is_rgb)
        return np.asarray(~known | self._wrong(ids))

    def _translate(self, values: Array, is_rgb: bool, path: Path) -> Array:
        values, is_rgb = self._as_gray(values, is_rgb)
        table = self.colours if is_rgb else self.values
        if values.dtype == np.uint8:
            return self._rule(np.arange(256), table, is_rgb)[0][values]
        ids = values.astype(np.int32)
        plain = not (self.ranges or self.nearest or self.others is not None or is_rgb)
        keys = np.array(sorted(table), values.dtype)
        targets = np.array([table[int(key)] for key in keys], np.int32)
        for rows in _parts(values.shape):
            here, part = values[rows], ids[rows]
            known = np.zeros(here.shape, bool)
            if len(keys):
                at = np.minimum(np.searchsorted(keys, here), len(keys) - 1)
                known = keys[at] == here
                part[known] = targets[at[known]]
            if not plain and not known.all():
                left, back = np.unique(here[~known], return_inverse=True)
                found, has_class = self._rule(left, table, is_rgb)
                if not has_class.all():
                    raise no_class(path, left[~has_class], self.config_path)
                part[~known] = found[back]
        return ids

    def _as_gray(self, values: Array, is_rgb: bool) -> tuple[Array, bool]:
        """RGB masks that are gray throughout count by their gray value, if no colours are mapped."""
        if is_rgb and not self.colours and bool(is_gray(values).all()):
            return values & 255, False
        return values, is_rgb

    def _rule(self, values: Array, table: Mapping[int, int], is_rgb: bool) -> tuple[Array, Array]:
        """Ids of distinct values, and whether each has one: colours stand for nothing by themselves."""
        ids = values.astype(np.int32)
        named = np.zeros(values.shape, bool)
        for low, high, target in () if is_rgb else self.ranges:
            here = (values >= low) & (values <= high)
            ids[here], named = target, named | here
        for value, target in table.items():
            here = values == value
            ids[here], named = target, named | here
        if self.nearest and table:
            ids[~named] = _nearest(values[~named], table, is_rgb)
        elif self.others is not None:
            kept = (values == 0) | ((values == self.ignore_index) & (not is_rgb))
            ids[~named & ~kept] = self.others
        elif is_rgb:
            return ids, named
        return ids, np.ones(values.shape, bool)

    def _wrong(self, ids: Array) -> Array:
        return np.asarray(((ids < 0) | (ids >= self.num_classes)) & (ids != self.ignore_index))

    def _check(self, ids: Array, values: Array, path: Path) -> None:
        wrong = self._wrong(ids)
        if wrong.any():
            value = int(values[wrong].flat[0])
            raise InputError(
                f"{path}: holds the value {value}, but there are {self.num_classes} classes"
                f" (ids 0..{self.num_classes - 1}); name more classes, set ignore_index = {value}, or map it"
                f" by {value} = ID under [labels] in {self.config_path}"
            )


def _parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the first axis, of about `_AT_ONCE` elements each."""
    step = max(1, _AT_ONCE // max(1, int(np.prod(shape[1:]))))
    return (slice(first, first + step) for first in range(0, shape[0], step))


def _nearest(values: Array, table: Mapping[int, int], is_rgb: bool) -> Array:
    """The id of the nearest named value, or colour (by distance in RGB); of several that of the lowest."""
    best = np.full(values.shape, np.iinfo(np.int64).max)
    ids = np.zeros(values.shape, np.int32)
    for value in sorted(table):
        away = np.abs(values.astype(np.int64) - value)
        if is_rgb:
            away = np.sum([((values >> s & 255) - (value >> s & 255)) ** 2 for s in (16, 8, 0)], axis=0)
        nearer = away < best
        best[nearer], ids[nearer] = away[nearer], table[value]
    return ids


def no_class(path: Path, colours: Array, config: Path) -> InputError:
    """Of colours that nothing names, in a mask beside others that are named."""
    missing = ", ".join(f'"#{int(colour):06x}" = ID' for colour in colours[:24])
    count = "" if len(colours) <= 24 else f" and {len(colours) - 24} more"
    what = f"the colour #{int(colours[0]):06x} has" if len(colours) == 1 else f"{len(colours)} colours have"
    return InputError(f"{path}: {what} no class; add {missing}{count} to [labels] in {config}")


def is_gray(colours: Array) -> Array:
    """Which of some colours, as 0xRRGGBB, are black, white or between."""
    return np.asarray((colours >> 16 == (colours >> 8 & 255)) & ((colours >> 8 & 255) == (colours & 255)))


def pack(raw: Array) -> tuple[Array, bool]:
    """Values (H, W) and whether they are colours: RGB (H, W, 3) becomes 0xRRGGBB int32 (H, W)."""
    if raw.ndim == 2:
        return raw, False
    packed = raw[..., 0].astype(np.int32)
    for channel in (1, 2):  # in place: pictures may be large
        packed <<= 8
        packed |= raw[..., channel]
    return packed, True


def distinct(raw: Array, path: Path, palette: Array | None = None) -> MaskValues:
    """The distinct values of a raw mask."""
    values, is_rgb = pack(raw)
    if values.dtype == np.uint8:  # counting is many times faster than the sort in np.unique
        # Row by row, because it counts on a copy of eight times the size.
        every = np.asarray(sum(np.bincount(row, minlength=256) for row in values))
        found = np.flatnonzero(every)
        counts = every[found]
    else:
        found, counts = np.unique(values, return_counts=True)
    return MaskValues(path, found.astype(np.int64), is_rgb, counts.astype(np.int64), palette)
