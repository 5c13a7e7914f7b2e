"""From the values in mask files to class ids, and the mistakes that data sets make there.

Gray and palette masks hold values, RGB masks hold colours (packed here as 0xRRGGBB), and palette masks, too,
where colours are mapped or palettes differ (`minidl.segmentation.palettes`). Which of them mean which class
is decided once for the whole data set, after every mask has been seen:

1. what ``[labels]`` in the data set's ``dataset.toml`` says; values that it leaves out stand for themselves,
   unless it says ``others = ID`` or ``nearest = true``;
2. RGB masks without colours there: the classes' display colours, if given; or, if all of them are gray, their
   gray value;
3. every mask of the set holds 0 and 255 only: read as 0 and 1, and said so in a note;
4. else a value is the id. Without a declared number of classes it is the highest id plus one, unless the
   values look like shades of gray rather than ids, which is refused with the ``[labels]`` to write.

Masks whose values are no ids at all are told apart by `minidl.segmentation.mask_kinds`. Every message has
entries for all values of all masks, so that the next scan has nothing more to say about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from minidl.errors import InputError
from minidl.segmentation.dataset_config import DatasetConfig, check_config
from minidl.segmentation.label_map import LabelMap, MaskValues, distinct, is_gray, no_class
from minidl.segmentation.mask_kinds import MANY, Kind, Read, recognise
from minidl.segmentation.palettes import agreed

__all__ = ["DEFAULT_IGNORE", "LabelMap", "MaskValues", "distinct", "resolve"]

DEFAULT_IGNORE = 255
#: Entries of [labels] in one message.
_LISTED = 40


def resolve(seen: Sequence[MaskValues], config: DatasetConfig, read: Read) -> tuple[LabelMap, list[str]]:
    """The rule for a data set whose masks hold ``seen``, and notes for the person who reads the output.

    Args:
        seen: what each mask holds.
        config: what is declared.
        read: gives a raw mask once more, to see how its values lie.

    Raises:
        InputError: the masks and the declarations do not fit each other, or leave open what is meant.
    """
    declared = check_config(config)
    ignore = DEFAULT_IGNORE if config.ignore_index is None else config.ignore_index
    values, colours, notes = dict(config.values), dict(config.colour_ids), []
    seen, by_colour = agreed(seen, config)
    painted = [mask for mask in seen if _is_painted(mask)]
    if painted and not colours:
        if config.colours is None and config.others is None:
            raise _unmapped_rgb(painted, config.path, recognise(painted, read))
        colours = {r << 16 | g << 8 | b: index for index, (r, g, b) in enumerate(config.colours or ())}
    # From here on, RGB masks that are gray throughout count by their gray value, if no colours are mapped.
    gray = [_by_gray_value(mask) for mask in seen if not (mask.is_rgb and (colours or _is_painted(mask)))]
    found = set().union(*(mask.values.tolist() for mask in gray))
    if not config.maps_values:
        if len(found) >= MANY and (declared is None or max(found - {ignore}) >= declared):
            _refuse_kind(recognise(gray, read), config, declared, found)
        if _black_and_white(gray, len(seen), declared, config):
            values = {255: 1}
            notes.append("masks hold only 0 and 255: read as class 0 and class 1")
    count = declared
    if count is None:
        count = _infer_count(gray, values, colours, ignore, config)
    rules = (by_colour, config.ranges, config.others, config.nearest)
    label_map = LabelMap(values, colours, count, ignore, config.path, *rules)
    _refuse_misfits(label_map, seen, gray, config, read)
    used = {int(i) for mask in seen for i in label_map.check(mask)} - {ignore}
    if len(used) < 2:
        only = "no pixel with a label" if not used else f"class {used.pop()} only"
        notes.append(f"all masks hold {only}: nothing can be told apart")
    return label_map, [*notes, *_about_ignored(gray, values, config)]


def _is_painted(mask: MaskValues) -> bool:
    return mask.is_rgb and not bool(is_gray(mask.values).all())


def _by_gray_value(mask: MaskValues) -> MaskValues:
    return replace(mask, values=mask.values & 255, is_rgb=False) if mask.is_rgb else mask


def _entries(numbers: Iterable[int], is_rgb: bool = False) -> str:
    """The lines of [labels] that give some values the ids 0, 1, 2, ..."""
    listed = list(numbers)
    text = ", ".join(
        f'"#{number:06x}" = {index}' if is_rgb else f"{number} = {index}"
        for index, number in enumerate(listed[:_LISTED])
    )
    return text if len(listed) <= _LISTED else f"{text}, ... ({len(listed)} in all)"


def _black_and_white(gray: list[MaskValues], total: int, declared: int | None, config: DatasetConfig) -> bool:
    """Whether 0/255 masks are to be read as 0/1; raises InputError where that is wrong or unclear."""
    sets = [(mask.path, set(mask.values.tolist())) for mask in gray]
    suspects = [path for path, values in sets if 255 in values and values <= {0, 255}]
    remedy = f"write 255 = 1 under [labels] in {config.path}"
    if not suspects:
        return False
    if len(gray) == total and all(values <= {0, 255} for _, values in sets):
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
    if config.ignore_index is None and not _are_shades(sets, declared):
        raise InputError(
            f"{suspects[0]}: holds only 0 and 255 while other masks hold class ids; {remedy},"
            " or set ignore_index = 255 there if 255 marks pixels without a label"
        )
    return False


def _are_shades(sets: list[tuple[Path, set[int]]], declared: int | None) -> bool:
    """Whether the values of all masks together are too sparse for ids: 0, 127, 255."""
    found = set().union(*(values for _, values in sets)) - {DEFAULT_IGNORE}
    return max(found, default=0) + 1 > (2 * len(found) + 8 if declared is None else declared)


def _infer_count(
    gray: list[MaskValues],
    values: dict[int, int],
    colours: dict[int, int],
    ignore: int,
    config: DatasetConfig,
) -> int:
    """The number of classes where none is declared."""
    rules = [*(target for _, _, target in config.ranges), *([] if config.others is None else [config.others])]
    targets = {*values.values(), *colours.values(), *rules} - {ignore}
    if targets:
        return max(targets) + 1
    every = sorted(set().union(*(mask.values.tolist() for mask in gray)))
    found = [value for value in every if value not in {ignore, *values}]
    if not found or found[-1] <= 0:
        raise InputError(
            f"{gray[0].path if gray else config.path}: this and all other masks hold only class 0 or no label"
            " at all; check the masks, or declare num_classes"
        )
    count = found[-1] + 1
    if count > 2 * len(found) + 8:  # {0, 128}, {0, 85, 170}: shades of gray, not ids
        raise _shades(gray, found[-1], every if config.ignore_index is None else found, config.path, count)
    return count


def _shades(
    gray: list[MaskValues], value: int, every: list[int], config: Path, count: int | None
) -> InputError:
    path = next(mask.path for mask in gray if value in mask.values)
    declare = "" if count is None else f", or declare num_classes = {count} there"
    unlabelled = ""
    if DEFAULT_IGNORE in every:
        unlabelled = (
            f" (write 255 = 255 instead of 255 = {every.index(255)} if 255 marks pixels without a label)"
        )
    return InputError(
        f"{path}: holds the value {value}, while all masks together hold only {len(every)} different"
        f" values, which do not look like ids; map them all, {_entries(every)}, under [labels] in"
        f" {config}{unlabelled}{declare}"
    )


def _refuse_kind(kind: Kind | None, config: DatasetConfig, declared: int | None, found: set[int]) -> None:
    """Gray masks that hold no ids, and for which nothing is mapped."""
    if kind is None:
        return
    or_ids = "" if declared else f", or declare num_classes = {kind.highest + 1} there if they are class ids"
    if kind.name == "picture":
        raise _not_a_mask(kind)
    if kind.name == "instances":
        ground = "" if kind.areas == (0,) else f"{kind.areas[0]} = 0, "
        # Beside 254 objects, 255 is one of them.
        ignore = (
            " and ignore_index = -1 above it" if {254, 255} <= found and config.ignore_index is None else ""
        )
        raise InputError(
            f"{kind.path}: an instance map, {kind.count} numbers for as many objects, where class ids are"
            f" expected; to make one class of all objects write {ground}others = 1 under [labels] in"
            f" {config.path}{ignore}{or_ids}"
        )
    raise InputError(
        f"{_smoothed(kind)} write {_entries(kind.areas)}, nearest = true {_under(config)}{or_ids}"
    )


def _not_a_mask(kind: Kind) -> InputError:
    return InputError(
        f"{kind.path}: a picture, not a mask, of {kind.count} values of which most neighbours differ; put the"
        " mask there (are the folders of images and masks mixed up?)"
    )


def _smoothed(kind: Kind) -> str:
    cause = "traces of JPEG" if kind.traces else "smoothed (antialiased) edges"
    return (
        f"{kind.path}: {cause}: of {kind.count} values in the masks {len(kind.areas)} fill areas, the"
        " others lie at edges; save the masks again without smoothing and not through JPEG, or"
    )


def _under(config: DatasetConfig) -> str:
    return f"under [labels] in {config.path}"


def _unmapped_rgb(painted: list[MaskValues], config: Path, kind: Kind | None) -> InputError:
    """RGB masks of which nothing says what their colours mean."""
    colours = sorted(set().union(*(mask.values.tolist() for mask in painted)))
    if kind is not None and kind.name == "picture":
        return _not_a_mask(kind)
    where = f"under [labels] in {config}"
    if kind is not None and kind.name == "smoothed":
        return InputError(f"{_smoothed(kind)} write {_entries(kind.areas, True)}, nearest = true {where}")
    if kind is not None:
        return InputError(
            f"{kind.path}: an instance map, {kind.count} colours for as many objects, where classes are"
            f" expected; to make one class of all objects write {_entries(kind.areas, True)}, others = 1"
            f" {where}"
        )
    count = len(painted[0].values)
    return InputError(
        f"{painted[0].path}: an RGB mask of {count} colours where class ids are expected; say"
        f" which colour is which class, such as {_entries(colours, True)}, {where}"
    )


def _refuse_misfits(
    label_map: LabelMap, seen: Sequence[MaskValues], gray: list[MaskValues], config: DatasetConfig, read: Read
) -> None:
    """Values without a class, with a remedy for all of them; a single one is for `LabelMap.check` to tell."""
    misfits = [(mask, mask.values[label_map.without_class(mask)]) for mask in seen]
    misfits = [(mask, left) for mask, left in misfits if len(left)]
    if not misfits:
        return
    first, where = misfits[0][0], _under(config)
    alike = [mask for mask in seen if mask.is_rgb] if first.is_rgb and label_map.colours else gray
    kind = recognise(alike, read) if label_map.values or label_map.colours else None
    if kind is not None and kind.name == "smoothed" and not config.nearest:
        raise InputError(f"{_smoothed(kind)} write nearest = true {where}, beside what is there")
    if kind is not None and kind.name == "instances":
        raise InputError(
            f"{kind.path}: an instance map, {kind.count} numbers for as many objects; to make one class of"
            f" all objects write others = 1 {where}, beside what is there"
        )
    left = sorted(set().union(*(values.tolist() for _, values in misfits)))
    if first.is_rgb and label_map.colours:
        raise no_class(first.path, np.array(left), config.path)
    every = sorted(set().union(*(mask.values.tolist() for mask in gray)))
    if not config.maps_values and 2 <= len(every) <= label_map.num_classes and config.ignore_index is None:
        raise _shades(gray, left[-1], every, config.path, None)


def _about_ignored(gray: list[MaskValues], values: dict[int, int], config: DatasetConfig) -> list[str]:
    """255 is left out by default: nobody may have said so."""
    if config.ignore_index is not None or DEFAULT_IGNORE in values or config.nearest:
        return []
    if any(low <= DEFAULT_IGNORE <= high for low, high, _ in config.ranges):
        return []
    total = sum(int(mask.counts.sum()) for mask in gray)
    left_out = sum(int(mask.counts[mask.values == DEFAULT_IGNORE].sum()) for mask in gray)
    if not left_out:
        return []
    return [
        f"255 means no label ({left_out / total:.1%} of the pixels): if it is a class, write 255 = ID"
        f" {_under(config)}"
    ]
