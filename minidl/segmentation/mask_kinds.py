"""Masks whose values are no class ids, told by how the values lie in the picture.

===============  =============================================================================================
kind             how it is told
===============  =============================================================================================
a picture        most neighbouring pixels differ
smoothed edges   few values fill areas; the many others lie at edges, between the areas (antialiased drawing,
                 scaling) or close to the values of the areas (JPEG)
an instance map  dozens of values, nearly each of them one connected region, and other ones in other masks
===============  =============================================================================================

None of it can be known for certain, so each message also says how to declare that the values are ids all the
same. With fewer than `MANY` values nothing is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.segmentation.label_map import MaskValues, pack

Array = np.ndarray[Any, Any]
Read = Callable[[MaskValues], Array]

#: Different values, from which on a data set is looked at; objects, from which on they may be instances.
MANY, OBJECTS = 10, 12
#: Masks that are read again: all of smaller data sets; of these, the ones whose regions are counted.
_READ, _COUNTED = 500, 8
#: Pixels, below which a mask says nothing about how values lie.
_PIXELS = 256
#: Ids within one mask whose regions are counted, and values that are told in a message.
_REGIONS, _TOLD = 300, 32
#: Values as near as this to a more frequent one are its traces, in gray and in each channel.
_NEAR = 24
#: Share of a value's pixels with four neighbours like it, from which on it fills areas.
_FILLS = 0.2
#: Neighbours that differ so little lie on one level; share of the pixels that must be on the levels of areas.
_LEVEL, _PEAKS = 4, 0.5
#: The same for colours that lie far apart: JPEG keeps them less exactly than gray.
_COLOUR_LEVEL = 12


@dataclass(frozen=True)
class Kind:
    """What the masks seem to be."""

    name: str  # "picture", "smoothed", "instances"
    path: Path  # a mask that shows it
    count: int  # different values
    #: The values that fill areas; of an instance map the background alone.
    areas: tuple[int, ...] = ()
    traces: bool = False  # the others are close to these, as after JPEG
    highest: int = 0


def recognise(masks: Sequence[MaskValues], read: Read) -> Kind | None:
    """The kind of masks of one data set, all gray or all in colours; None if they may hold ids.

    Args:
        masks: what each holds.
        read: gives the raw mask.

    Raises:
        InputError: a mask that cannot be read any more.
    """
    masks = [mask for mask in masks if int(mask.counts.sum()) >= _PIXELS]
    values = _union(masks)
    if len(values) < MANY:
        return None
    tally = _Tally.of(values, masks[:: -(-len(masks) // _READ)], read)
    most = max(masks, key=lambda mask: len(mask.values))
    kind = Kind("picture", most.path, len(values), highest=max(values))
    is_rgb = masks[0].is_rgb
    filling = [value for value in values if tally.inner[value] >= _FILLS * tally.pixels[value] > 0]
    if len(filling) >= len(values) / 2:
        return _instances(kind, masks, tally.pixels, read) if len(filling) >= OBJECTS else None
    return _smoothed(kind, tally, is_rgb) or (kind if tally.equal < 0.5 else None)


@dataclass
class _Tally:
    """How the values lie, in all masks together."""

    pixels: dict[int, int]  # of each value
    inner: dict[int, int]  # those of them whose four neighbours are the same
    level: dict[int, int]  # those whose four neighbours are nearly the same
    equal: float = 0.0  # share of the pairs of neighbours that are the same

    @classmethod
    def of(cls, values: list[int], masks: Sequence[MaskValues], read: Read) -> _Tally:
        none = dict.fromkeys(values, 0)
        tally = cls(dict(none), dict(none), dict(none))
        equal = pairs = 0
        for mask in masks:
            raw = read(mask)
            packed = pack(raw)[0]
            deep = raw.reshape(*packed.shape, -1).astype(np.int32)
            steps = [np.abs(np.diff(deep, axis=axis)).max(axis=2) for axis in (0, 1)]
            equal += sum(int((step == 0).sum()) for step in steps)
            pairs += sum(step.size for step in steps)
            middle = packed[1:-1, 1:-1]
            for counted, found in (
                (tally.pixels, packed),
                (tally.inner, middle[_within(steps, 0)]),
                (tally.level, middle[_within(steps, _LEVEL)]),
            ):
                numbers, counts = np.unique(found, return_counts=True)
                for value, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                    counted[value] = counted.get(value, 0) + count
        tally.equal = equal / max(1, pairs)
        return tally


def _within(steps: list[Array], most: int) -> Array:
    """Of the pixels that have four neighbours, those that differ from each by at most ``most``."""
    down, across = (step <= most for step in steps)
    inside: Array = down[:-1, 1:-1] & down[1:, 1:-1] & across[1:-1, :-1] & across[1:-1, 1:]
    return inside


def _union(masks: Sequence[MaskValues]) -> list[int]:
    return sorted(set().union(*(mask.values.tolist() for mask in masks)))


def _smoothed(kind: Kind, tally: _Tally, is_rgb: bool) -> Kind | None:
    """Few areas and many values beside them, or None."""
    pixels = tally.pixels
    often = sorted(pixels, key=lambda value: -pixels[value])
    areas: list[int] = []
    for value in often:
        if tally.level[value] >= _FILLS * pixels[value] and _far(value, areas, is_rgb) > _NEAR:
            areas.append(value)
    if len(areas) == 1:  # thin lines fill nothing: the most frequent value that is far away
        areas += [value for value in often if _far(value, areas, is_rgb) > 64][:1]
    every = sum(pixels.values())
    away = {value: _far(value, areas, is_rgb) for value in pixels if value not in areas}
    apart = min((_far(a, [b for b in areas if b != a], is_rgb) for a in areas), default=0)
    level = _COLOUR_LEVEL if is_rgb and apart > 2 * _NEAR else _LEVEL
    hit = every - sum(pixels[value] for value, far in away.items() if far > level)
    if not 2 <= len(areas) <= _TOLD or len(away) < len(areas) or hit < _PEAKS * every:
        return None
    near = sum(pixels[value] for value, far in away.items() if far <= _NEAR)
    beside = sum(pixels[value] for value in away)
    return Kind(
        *("smoothed", kind.path, kind.count, tuple(sorted(areas))),
        traces=near > beside / 2,
        highest=kind.highest,
    )


def _far(value: int, others: Sequence[int], is_rgb: bool) -> int:
    """From the nearest of some others."""
    return min((_apart(value, other, is_rgb) for other in others), default=2**31)


def _apart(a: int, b: int, is_rgb: bool) -> int:
    """The largest difference of a channel."""
    return max(abs((a >> s & 255) - (b >> s & 255)) for s in (16, 8, 0)) if is_rgb else abs(a - b)


def _instances(kind: Kind, masks: Sequence[MaskValues], pixels: dict[int, int], read: Read) -> Kind | None:
    """A number for each object, or None: classes come in several regions, and in most masks."""
    ground = 0 if 0 in pixels else max(pixels, key=lambda value: pixels[value])
    beside = {ground} if 254 in pixels else {ground, 255}  # no label, unless it is a number among others
    sets = [set(mask.values.tolist()) - beside for mask in masks]
    objects = set().union(*sets)
    used = [ids for ids in sets if ids]
    shared = sum(len(ids) for ids in used) / (len(used) * len(objects))
    gapless = all(ids == set(range(1, len(ids) + 1)) for ids in used) and len({len(ids) for ids in used}) > 1
    own = shared <= 1 / 3 if len(objects) >= 40 else masks[0].is_rgb and shared <= 1 / 2
    if len(objects) < OBJECTS or not (gapless or own or len(used) == 1):
        return None
    regions = one = 0
    for mask in sorted(masks, key=lambda mask: -len(mask.values))[:_COUNTED]:
        whole = _whole(pack(read(mask))[0], beside)
        regions, one = regions + len(whole), one + sum(whole)
    if one < 0.9 * regions:
        return None
    return Kind("instances", kind.path, len(objects), (ground,), highest=kind.highest)


def _whole(raw: Array, beside: set[int]) -> list[bool]:
    """Of each object, whether it is one connected region (diagonals connect)."""
    from scipy import ndimage  # late: slow to import, and only wrong masks need it

    found, numbers = np.unique(raw, return_inverse=True)
    boxes = ndimage.find_objects(numbers.reshape(raw.shape).astype(np.int32) + 1)
    objects = [index for index, value in enumerate(found) if int(value) not in beside][:_REGIONS]
    return [ndimage.label(raw[boxes[i]] == found[i], np.ones((3, 3)))[1] == 1 for i in objects]
