"""``dataset.toml``: what a folder of images and masks cannot say by itself.

Every key is optional::

    classes = ["background", "cell", "border"]      # names; the id is the place in the list
    colours = ["#ece8e2", "#d65440", "#3a7ec4"]     # for pictures; RGB masks may be painted so, too
    num_classes = 3                                 # instead of names
    ignore_index = 11                               # the id of pixels without a label (default 255)
    val = "2[4-9]"                                  # stems that move from train to val, as a glob

    [labels]                                        # values or colours in the mask files -> class ids
    255 = 1
    "#ff0000" = 2
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
#: Characters of a class's name, and of the glob ``val``.
NAME, GLOB = 200, 1000

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
    values: Mapping[int, int] = field(default_factory=dict)  # value in a gray or palette mask -> id
    colour_ids: Mapping[int, int] = field(default_factory=dict)  # 0xRRGGBB in an RGB mask -> id


def read_config(path: str | os.PathLike[str]) -> DatasetConfig:
    """Read and check a ``dataset.toml``.

    Raises:
        InputError: the file is missing or not TOML, has an unknown key, a value of the wrong type or form, or
            contradicts itself (as many colours as classes, ids below the number of classes).
    """
    path = Path(path)
    table = _inputs.read_toml(path)
    known = ("classes", "colours", "num_classes", "ignore_index", "val", "labels")
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(known)}"
            raise InputError(f"{path}: unknown key {shown(repr(key))}; {hint}")
    values, colour_ids = _labels(_typed(table, "labels", dict, path) or {}, path)
    config = DatasetConfig(
        path=path,
        classes=_classes(_typed(table, "classes", list, path), path),
        colours=_colours(_typed(table, "colours", list, path), path),
        num_classes=_typed(table, "num_classes", int, path),
        ignore_index=_typed(table, "ignore_index", int, path),
        val=_typed(table, "val", str, path),
        values=values,
        colour_ids=colour_ids,
    )
    if config.val is not None and len(config.val) > GLOB:
        raise InputError(f"{path}: val has {len(config.val):,} characters; give a glob of at most {GLOB}")
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
    for target in (*config.values.values(), *config.colour_ids.values()):
        if target == (255 if config.ignore_index is None else config.ignore_index):
            continue
        if not 0 <= target < (65536 if declared is None else declared):
            raise InputError(
                f"{path}: [labels] gives the id {target}, but ids run from 0 to"
                f" {'65535' if declared is None else declared - 1}; correct it, or name more classes"
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


def _labels(table: dict[str, Any], path: Path) -> tuple[dict[int, int], dict[int, int]]:
    values: dict[int, int] = {}
    colours: dict[int, int] = {}
    for key, target in table.items():
        if not isinstance(target, int) or isinstance(target, bool):
            raise InputError(
                f"{path}: [labels] maps {shown(repr(key))} to {shown(repr(target))};"
                " give a class id, a whole number"
            )
        colour = _packed_colour(key)
        if colour is not None:
            colours[colour] = target
        elif re.fullmatch(r"[0-9]{1,5}", key):
            values[int(key)] = target
        else:
            raise InputError(
                f"{path}: [labels] has the key {shown(repr(key))}; give a mask value such as 255, or"
                ' "#rrggbb"'
            )
    return values, colours
