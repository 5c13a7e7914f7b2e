"""``dataset.toml``: what a folder of images and masks cannot say by itself.

Every key is optional::

    classes = ["background", "cell", "border"]      # names; the id is the place in the list
    colours = ["#ece8e2", "#d65440", "#3a7ec4"]     # for pictures; RGB masks may be painted so, too
    num_classes = 3                                 # instead of names
    ignore_index = 11                               # the id of pixels without a label (default 255)
    val = "2[4-9]"                                  # stems that move from train to val, as a glob
    mask_orientation = "upright"                    # or "stored": see minidl.segmentation.turning

    [labels]                                        # values or colours in the mask files -> class ids
    255 = 1
    "#ff0000" = 2
    "1000-1999" = 3                                 # all values from 1000 to 1999
    others = 1                                      # all values but 0 and the ignore index that are not named
    nearest = true                                  # instead: a value that is not named is as the nearest one
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidl import _inputs
from minidl._text import shown
from minidl.errors import InputError

FILE_NAME = "dataset.toml"
#: Characters of a class's name.
NAME = 200

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DatasetConfig:
    """The contents of a ``dataset.toml``; None where it says nothing."""

    path: Path  # the file, or where one would be written
    classes: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    num_classes: int | None = None
    ignore_index: int | None = None
    val: str | None = None
    mask_orientation: str | None = None  # "upright" or "stored"
    values: Mapping[int, int] = field(default_factory=dict)  # value in a gray or palette mask -> id
    colour_ids: Mapping[int, int] = field(default_factory=dict)  # 0xRRGGBB in an RGB mask -> id
    ranges: tuple[tuple[int, int, int], ...] = ()  # first and last value in a gray mask, id
    others: int | None = None  # the id of what is not named
    nearest: bool = False  # what is not named has the id of the nearest that is

    @property
    def maps_values(self) -> bool:
        """Whether anything is said about values in gray masks."""
        return bool(self.values or self.ranges or self.others is not None)


def read_config(path: str | os.PathLike[str]) -> DatasetConfig:
    """Read and check a ``dataset.toml``.

    Raises:
        InputError: the file is missing or not TOML, has an unknown key, a value of the wrong type or form, or
            contradicts itself (as many colours as classes, ids below the number of classes).
    """
    path = Path(path)
    table = _inputs.read_toml(path)
    known = ("classes", "colours", "num_classes", "ignore_index", "val", "mask_orientation", "labels")
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(known)}"
            raise InputError(f"{path}: unknown key {shown(repr(key))}; {hint}")
    config = DatasetConfig(
        path=path,
        classes=_classes(_typed(table, "classes", list, path), path),
        colours=_colours(_typed(table, "colours", list, path), path),
        num_classes=_typed(table, "num_classes", int, path),
        ignore_index=_typed(table, "ignore_index", int, path),
        val=_typed(table, "val", str, path),
        mask_orientation=_typed(table, "mask_orientation", str, path),
        **_labels(_typed(table, "labels", dict, path) or {}, path),
    )
    if config.val is not None and len(config.val) > _inputs.GLOB:
        raise InputError(
            f"{path}: val has {len(config.val):,} characters; give a glob of at most {_inputs.GLOB}"
        )
    if config.mask_orientation not in (None, "upright", "stored"):
        raise InputError(
            f'{path}: mask_orientation is {shown(repr(config.mask_orientation))}; give "upright" or "stored"'
        )
    check_config(config)
    return config


def check_config(config: DatasetConfig) -> int | None:
    """The declared number of classes, or None; raises InputError where the parts contradict each other."""
    path, declared = config.path, config.num_classes
    if declared is not None and not 1 <= declared <= 65536:
        raise InputError(f"{path}: num_classes is {declared}; give 1 to 65536")
    if config.ignore_index is not None and not -(2**31) <= config.ignore_index < 2**31:
        raise InputError(
            f"{path}: ignore_index is {config.ignore_index}; give a number of 32 bits, such as 255"
        )
    if config.classes is not None:
        if declared not in (None, len(config.classes)):
            raise InputError(
                f"{path}: num_classes is {declared}, but {len(config.classes)} classes are named; correct one"
            )
        declared = len(config.classes)
    if config.colours is not None:
        if declared not in (None, len(config.colours)):
            raise InputError(
                f"{path}: {len(config.colours)} colours for {declared} classes; give one per class"
            )
        declared = len(config.colours)
    targets = [*config.values.values(), *config.colour_ids.values(), *(id_ for _, _, id_ in config.ranges)]
    for target in targets if config.others is None else [*targets, config.others]:
        if target == (255 if config.ignore_index is None else config.ignore_index):
            continue
        if not 0 <= target < (65536 if declared is None else declared):
            raise InputError(
                f"{path}: [labels] gives the id {target}, but ids run from 0 to"
                f" {'65535' if declared is None else declared - 1}; correct it, or name more classes"
            )
    if config.nearest and config.others is not None:
        raise InputError(
            f"{path}: [labels] says nearest = true and others = {config.others} of what is not named;"
            " keep one of them"
        )
    if config.nearest and not (config.values or config.colour_ids or config.colours):
        raise InputError(
            f"{path}: [labels] says nearest = true, but names no value or colour; name one for each class"
        )
    return declared


_TYPE_NAMES = {str: "text in quotes", int: "a whole number", list: "a list", dict: "a table, [labels]"}


def _typed(table: dict[str, Any], key: str, kind: type, path: Path) -> Any:
    value = table.get(key)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise InputError(f"{path}: {key} is {shown(repr(value))}; give {_TYPE_NAMES[kind]}")
    return value


def _classes(names: list[Any] | None, path: Path) -> tuple[str, ...] | None:
    if names is None:
        return None
    for name in names:
        if not isinstance(name, str) or not name.strip() or "\n" in name:
            raise InputError(
                f"{path}: classes holds {shown(repr(name))}; give each class a name in quotes, on one line"
            )
        if len(name) > NAME:
            raise InputError(
                f"{path}: classes holds {shown(repr(name))} of {len(name):,} characters; give at most {NAME}"
            )
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: classes is empty or names one class twice; give one name per class")
    return tuple(names)


def _colours(entries: list[Any] | None, path: Path) -> tuple[Colour, ...] | None:
    if entries is None:
        return None
    if not entries:
        raise InputError(f"{path}: colours is empty; give one per class, or leave it out")
    packed = [_packed_colour(entry) for entry in entries]
    for entry, number in zip(entries, packed, strict=True):
        if number is None:
            raise InputError(f'{path}: colours holds {shown(repr(entry))}; write each as "#rrggbb"')
    if len(set(packed)) < len(packed):
        raise InputError(f"{path}: colours gives one colour to two classes; make them differ")
    return tuple((number >> 16, number >> 8 & 255, number & 255) for number in packed if number is not None)


def _packed_colour(entry: Any) -> int | None:
    """0xRRGGBB of "#rrggbb"; None if it is no such text."""
    if isinstance(entry, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", entry):
        return int(entry[1:], 16)
    return None


def _labels(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """What [labels] says, as fields of `DatasetConfig`."""
    found: dict[str, Any] = {"values": {}, "colour_ids": {}, "others": None, "nearest": False}
    ranges: list[tuple[int, int, int]] = []
    for key, target in table.items():
        if key == "nearest":
            if not isinstance(target, bool):
                raise InputError(f"{path}: [labels] says nearest = {shown(repr(target))}; give true or false")
            found[key] = target
            continue
        if not isinstance(target, int) or isinstance(target, bool):
            raise InputError(
                f"{path}: [labels] maps {shown(repr(key))} to {shown(repr(target))};"
                " give a class id, a whole number"
            )
        colour = _packed_colour(key)
        if colour is not None:
            found["colour_ids"][colour] = target
        elif key == "others":
            found[key] = target
        elif re.fullmatch(r"[0-9]{1,10}", key) and int(key) < 2**31:
            found["values"][int(key)] = target
        elif between := re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", key):
            ranges.append((int(between[1]), int(between[2]), target))
        else:
            raise InputError(
                f"{path}: [labels] has the key {shown(repr(key))}; give a mask value such as 255, several as"
                ' "0-63", "#rrggbb", others, or nearest'
            )
    return {**found, "ranges": _ranges(ranges, path)}


def _ranges(ranges: list[tuple[int, int, int]], path: Path) -> tuple[tuple[int, int, int], ...]:
    """In their order, no value in two of them."""
    end = -1
    for low, high, _ in sorted(ranges):
        if not low <= high < 2**31:
            raise InputError(f'{path}: [labels] has "{low}-{high}"; write the smaller number first')
        if low <= end:
            raise InputError(f'{path}: [labels] has "{low}-{high}", which overlaps another; part them')
        end = high
    return tuple(sorted(ranges))
