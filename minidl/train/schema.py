"""What a checkpoint may hold: the type and the range of everything that is read back.

A checksum tells damage, not sense: whoever makes a file can make its checksum. So each value is looked at
before it is used: numbers are finite and in range, lists are of the length that belongs to them, and nothing
decides how much memory is taken but the size of the file itself. A reader is a function of a name, for the
message, and a value.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from minidl.train.history import CLASS_IOU, CLASS_RECALL

Reader = Callable[[str, Any], None]

#: Steps, counts of pixels: no training comes near; every float holds them exactly.
LARGEST = 2**53


def expect(fits: bool, name: str, value: Any, wanted: str) -> None:
    """Raise a ValueError that names what does not fit.

    >>> expect(False, "step", "7", "a whole number")
    Traceback (most recent call last):
    ValueError: step is '7', not a whole number
    """
    if not fits:
        raise ValueError(f"{name} is {reprlib.repr(value)}, not {wanted}")


def whole(name: str, value: Any, least: int = 0, most: int = LARGEST) -> None:
    """A whole number (True is none) from ``least`` to ``most``."""
    fits = type(value) is int and least <= value <= most
    expect(fits, name, value, f"a whole number from {least} to {most}")


def real(name: str, value: Any, low: float = -1e300, high: float = 1e300) -> None:
    """A finite number from ``low`` to ``high``."""
    expect(type(value) in (int, float) and low <= value <= high, name, value, f"a number in [{low}, {high}]")


def text(name: str, value: Any) -> None:
    """A text."""
    expect(isinstance(value, str), name, value, "a text")


def flag(name: str, value: Any) -> None:
    """True or False."""
    expect(isinstance(value, bool), name, value, "true or false")


def one_of(*choices: str) -> Reader:
    """A reader of one of these texts."""
    return lambda name, value: expect(
        isinstance(value, str) and value in choices, name, value, f"one of {', '.join(choices)}"
    )


def optional(reader: Reader) -> Reader:
    """A reader that also takes None."""
    return lambda name, value: None if value is None else reader(name, value)


def items(reader: Reader, count: int | None = None) -> Reader:
    """A reader of a list, of so many entries if a count is given."""

    def read(name: str, value: Any) -> None:
        wanted = "a list" if count is None else f"a list of {count}"
        expect(isinstance(value, list | tuple) and count in (None, len(value)), name, value, wanted)
        for i, entry in enumerate(value):
            reader(f"{name}[{i}]", entry)

    return read


def table(
    needed: Mapping[str, Reader], rest: Mapping[str, Reader] | None = None, only: bool = False
) -> Reader:
    """A reader of a dictionary: what must be there, and what may be.

    Other keys are left alone, unless ``only`` these may be there: it becomes the arguments of a function.
    """

    def read(name: str, value: Any) -> None:
        expect(isinstance(value, dict), name, value, "a table")
        unknown = sorted(value.keys() - needed.keys() - (rest or {}).keys())
        if only and unknown:
            raise ValueError(f"{name} has an unknown {reprlib.repr(unknown[0])}")
        for key, reader in needed.items():
            if key not in value:
                raise ValueError(f"{name} has no {key}")
            reader(f"{name}.{key}", value[key])
        for key, reader in (rest or {}).items():
            if key in value:
                reader(f"{name}.{key}", value[key])

    return read


_word = partial(whole, most=2**64 - 1)
_rate = partial(real, low=0.0)

_OPTIONS = {
    "dataset_toml": optional(text),
    "val": optional(text),
    "num_classes": optional(partial(whole, least=2, most=2**16)),
    "ignore_index": optional(partial(whole, least=-(2**31), most=2**31 - 1)),
}
_GROUP: dict[str, Reader] = {
    **dict.fromkeys(("lr", "initial_lr", "eps", "weight_decay", "momentum", "dampening"), real),
    "betas": items(partial(real, low=0.0, high=1.0), 2),
    **dict.fromkeys(("nesterov", "maximize"), flag),
}
_PHILOX: dict[str, Reader] = {
    "bit_generator": one_of("Philox"),
    "state": table({"counter": items(_word, 4), "key": items(_word, 2)}),
    "buffer": items(_word, 4),
    "buffer_pos": partial(whole, most=4),
    "has_uint32": partial(whole, most=1),
    "uinteger": partial(whole, most=2**32 - 1),
}
_SCHEDULE: dict[str, Reader] = {
    "_step_count": whole,
    "_last_lr": items(real, 1),
    "lr_lambdas": items(optional(table({})), 1),
}


def _network() -> Reader:
    from minidl.models.unet import DEEPEST, NORMS, PADDINGS, UPS

    many = partial(whole, least=1, most=2**20)
    sizes = {"base": many, "depth": partial(whole, least=1, most=DEEPEST)}
    return table(
        {
            "in_channels": partial(whole, least=1, most=2**20),
            "num_classes": partial(whole, least=1, most=2**16),
        },
        {
            **sizes,
            "norm": one_of(*NORMS),
            "up": one_of(*UPS),
            "padding": one_of(*PADDINGS),
            "bottleneck": flag,
            "recompute": flag,
            "dropout": partial(real, low=0.0, high=1.0),
        },
        only=True,
    )


def check(parts: Mapping[str, Any], model: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Raise a ValueError if something in a checkpoint is not what it must be.

    Args:
        parts: all of :class:`minidl.train.checkpoint.Checkpoint` but the network's arrays.
        model: those.
    """
    _network()("architecture", parts["architecture"])
    classes, channels = (parts["architecture"][name] for name in ("num_classes", "in_channels"))
    names = items(text, classes)
    colours = items(items(partial(whole, most=255), 3), classes)
    exactly = partial(whole, least=channels, most=channels)
    table(
        {"root": text, "classes": names, "colours": colours, "splits": _splits},
        {
            "options": table({}, _OPTIONS, only=True),
            "ignore_index": partial(whole, least=-(2**31), most=2**31 - 1),
            "in_channels": exactly,
        },
    )("data", parts["data"])
    # A deviation that float32 rounds to 0, or a mean that it rounds to infinity, makes NaN of every pixel.
    deviations = items(partial(real, low=1e-9, high=1e9), channels)
    table({"mean": items(partial(real, low=-1e9, high=1e9), channels), "std": deviations})(
        "normalisation", parts["normalisation"]
    )
    whole("step", parts["step"])
    table({})("config", parts["config"])
    optional(partial(real, low=0.0, high=1.0))("best", parts["best"])
    _check_course(parts, classes)
    _check_weights(parts["architecture"], model)


def _splits(name: str, value: Any) -> None:
    table({})(name, value)
    for split, files in value.items():
        items(text)(f"{name}.{split}", files)


def _check_course(parts: Mapping[str, Any], classes: int) -> None:
    """What is only needed to go on; all of it may be missing."""
    for name, reader in (
        ("schedule", table({"last_epoch": whole, "base_lrs": items(_rate, 1)}, _SCHEDULE)),
        ("random", table(_PHILOX)),
        (
            "running",
            table({"loss": real, "steps": whole, "confusion": items(items(whole, classes), classes)}),
        ),
    ):
        table({})(name, parts[name])
        if parts[name]:
            reader(name, parts[name])
    figures: dict[str, Reader] = {
        name: optional(real) for name in ("train_loss", "train_iou", "val_loss", "val_iou", "val_accuracy")
    }
    each = items(optional(partial(real, low=0.0, high=1.0)), classes)
    figures.update({CLASS_IOU: each, CLASS_RECALL: each, "epoch": real, "lr": real})
    row = table({"step": partial(whole, least=1, most=parts["step"])}, figures)
    items(row)("history", parts["history"])
    steps = [row["step"] for row in parts["history"]]
    expect(steps == sorted(set(steps)), "the steps of history", steps, "ascending")
    table({"state": table({}), "param_groups": items(table({"params": items(whole)}, _GROUP))})(
        "optimizer", parts["optimizer"]
    )
    for index, values in parts["optimizer"]["state"].items():
        for name, value in values.items():
            where = f"optimizer.{index}.{name}"
            if isinstance(value, np.ndarray):
                _check_finite(where, value, least=0.0 if name == "exp_avg_sq" else None)
            else:
                whole(where, value)


def _check_weights(options: Mapping[str, Any], model: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Finite, and so many that the network, which is made before they are put into it, is no larger."""
    from minidl.models.unet import convolution_weights

    held, wanted = sum(array.size for array in model.values()), convolution_weights(**options)
    if wanted > held:
        raise ValueError(f"the network would have {wanted} weights or more, but the file holds {held}")
    for name, array in model.items():
        _check_finite(name, array, least=0.0 if name.endswith(("running_var", "batches_tracked")) else None)


def _check_finite(name: str, array: np.ndarray[Any, Any], least: float | None = None) -> None:
    if array.dtype.kind == "f" and not math.isfinite(
        float(np.sum(array, dtype=np.float64)) if array.size else 0
    ):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            raise ValueError(f"{name} holds {bad} values that are no finite numbers")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype}, not numbers")
    if least is not None and array.size and array.min() < least:
        raise ValueError(f"{name} holds a value below {least}")
