"""Checkpoints: one safetensors file with everything that a run needs to go on, or to predict.

The tensors (weights, running statistics, optimizer moments) are stored as such; all else (configuration,
step, schedule, random state, history) is JSON in the file's metadata. No pickle: reading a checkpoint runs no
code. A file is written beside the old one and takes its place in one step, so there is always a whole one. A
SHA-256 sum of the contents tells a damaged file from a whole one: one flipped bit of a weight would else go
unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from minidl._atomic import atomic_write
from minidl._inputs import check_regular, is_there, parse_json
from minidl._machine import memory
from minidl.errors import InputError
from minidl.train import schema

FORMAT = 1
# One key, whose text is a line with the sum and then the JSON: with two, safetensors would write them in any
# order, and equal runs would not give equal files.
_KEY = "minidl"


@dataclass
class Checkpoint:
    """The contents of a checkpoint.

    Attributes:
        config: of the training (:class:`minidl.train.TrainConfig` as a dictionary).
        architecture: arguments of :class:`minidl.models.UNet`.
        data: see :func:`minidl.train.inference.describe_data`.
        normalisation: mean and std of the channels.
        step: optimizer steps done.
        model: ``state_dict`` of the network.
        optimizer: ``state_dict`` of the optimizer.
        schedule: ``state_dict`` of the learning-rate schedule.
        random: state of the random generator.
        history: rows so far; ``running`` is what has been added up since the last one.
        best: the best validation so far.
    """

    config: dict[str, Any]
    architecture: dict[str, Any]
    data: dict[str, Any]
    normalisation: dict[str, Any]
    step: int
    model: dict[str, np.ndarray[Any, Any]]
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    running: dict[str, Any] = field(default_factory=dict)
    best: float | None = None


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        InputError: the folder is not writable or the disk is full; the old file is untouched.
    """
    from safetensors.numpy import save as to_bytes

    # safetensors writes the bytes of strided arrays in the wrong order without a word: C order first.
    # (Not with np.ascontiguousarray, which turns a 0-d array into a 1-d one.)
    tensors = {f"model.{name}": np.asarray(a, order="C") for name, a in checkpoint.model.items()}
    moments: dict[str, dict[str, Any]] = {}
    for index, values in checkpoint.optimizer.get("state", {}).items():
        moments[str(index)] = {}
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                tensors[f"optimizer.{index}.{name}"] = np.asarray(value, order="C")
            else:
                moments[str(index)][name] = value
    rest = {f.name: getattr(checkpoint, f.name) for f in fields(Checkpoint) if f.name != "model"}
    rest["optimizer"] = {"state": moments, "param_groups": checkpoint.optimizer.get("param_groups", [])}
    text = json.dumps({"format": FORMAT, **rest}, allow_nan=True)
    atomic_write(path, to_bytes(tensors, metadata={_KEY: f"{_digest(text, tensors)}\n{text}"}))


def _digest(text: str, tensors: dict[str, np.ndarray[Any, Any]]) -> str:
    """SHA-256 of the JSON text and of each tensor's name, dtype, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: it is missing, damaged, or not one of minidl's.
    """
    import safetensors

    path = Path(path)
    remedy = "train first, or name the folder that 'minidl train --out' wrote"
    if not is_there(path) or path.is_dir():
        raise InputError(f"{path}: no such checkpoint; {remedy}")
    check_regular(path, "a checkpoint", remedy)
    # Its arrays are read, and copied into a network and an optimizer that are made for them.
    if 2 * path.stat().st_size > memory():
        raise InputError(
            f"{path}: {path.stat().st_size:,} bytes are more than this machine has memory to use;"
            " give another checkpoint"
        )
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            ours = _KEY in metadata  # looked at first: somebody else's weights may be large
            names = file.keys() if ours else []
            tensors = {name: file.get_tensor(name) for name in names}
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged, or not a checkpoint ({reason}); use another checkpoint or train again"
        ) from None
    if not ours:
        raise InputError(
            f"{path}: a safetensors file, but not a checkpoint of minidl; give one that 'minidl train' wrote"
        )
    digest, _, text = metadata[_KEY].partition("\n")
    if digest != _digest(text, tensors):
        raise InputError(
            f"{path}: damaged (its contents do not match its checksum); use another checkpoint or train again"
        )
    try:
        return _from_parts(parse_json(text), tensors)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
    raise InputError(
        f"{path}: a checkpoint of minidl that this version cannot read ({reason}); use the version that wrote"
        " it, or train again"
    )


def _from_parts(rest: dict[str, Any], tensors: dict[str, np.ndarray[Any, Any]]) -> Checkpoint:
    schema.table({"format": schema.whole})("the text", rest)
    if rest.pop("format") != FORMAT:
        raise ValueError("another format")
    known = {f.name for f in fields(Checkpoint)} - {"model"}
    if rest.keys() != known:
        raise ValueError(f"{sorted(rest.keys() ^ known)[0]!r} is missing or unknown")
    schema.table({"state": schema.table({})})("optimizer", rest["optimizer"])
    state: dict[int, dict[str, Any]] = {}
    for index, values in rest["optimizer"]["state"].items():
        schema.table({})(f"optimizer.{index}", values)
        state[_number(index)] = dict(values)
    model = {}
    for name, array in tensors.items():
        part, _, key = name.partition(".")
        if part == "model":
            model[key] = array
        elif part == "optimizer":
            index, _, moment = key.partition(".")
            state[_number(index)][moment] = array
        else:
            raise ValueError(f"an array {name!r}, which belongs to nothing")
    rest["optimizer"]["state"] = state
    schema.check(rest, model)
    return Checkpoint(model=model, **rest)


def _number(text: str) -> int:
    """Of a parameter: what else ``int`` takes ("+1", "1_0", other digits) was not written here."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"optimizer.{text!r} is no parameter")
    return int(text)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a person may want to read of it, written beside the checkpoints as ``config.json``."""
    return {name: getattr(checkpoint, name) for name in ("config", "architecture", "data", "normalisation")}
