"""Checkpoints that somebody made: a right checksum over contents that no training writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

from minidl.train.checkpoint import _digest

Parts = tuple[dict[str, Any], dict[str, np.ndarray]]

#: What takes the place of a value.
VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "text": "x",
    "empty text": "",
    "escape": "\x1b[31m",
    "zero": 0,
    "minus one": -1,
    "half": 0.5,
    "huge": 2**70,
    "hugest": 10**400,
    "large float": 1e308,
    "tiny": 5e-324,
    "nan": float("nan"),
    "infinity": float("inf"),
    "list": [],
    "list of texts": ["a", "b"],
    "table": {},
    "table of tables": {"a": {"b": {"c": 1}}},
    "long list": [0] * 2000,
}


def read(path: Path) -> Parts:
    with safe_open(path, "numpy") as file:
        text = file.metadata()["minidl"].partition("\n")[2]
        return json.loads(text), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path: Path, text: str, tensors: dict[str, np.ndarray]) -> None:
    path.write_bytes(to_bytes(tensors, metadata={"minidl": f"{_digest(text, tensors)}\n{text}"}))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is a value to replace: all keys, the first two entries of lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, entry in list(entries)[:12]:
        yield (*at, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*at, key))


def changed(parts: dict[str, Any], at: tuple[Any, ...], value: Any, how: str = "replace") -> dict[str, Any]:
    copy = json.loads(json.dumps(parts))
    inside = copy
    for key in at[:-1]:
        inside = inside[key]
    if how == "replace":
        inside[at[-1]] = value
    elif how == "remove":
        del inside[at[-1]]
    elif isinstance(inside, dict):
        inside["what nobody knows"] = value
    else:
        inside.append(value)
    return copy


def crafted(path: Path) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """(name, text, tensors) of files made out of a good one."""
    parts, tensors = read(path)
    for at in places(parts):
        where = ".".join(map(str, at))
        for name, value in VALUES.items():
            yield f"{where} = {name}", json.dumps(changed(parts, at, value)), tensors
        yield f"{where} missing", json.dumps(changed(parts, at, None, "remove")), tensors
        yield f"{where} beside another", json.dumps(changed(parts, at, 1, "add")), tensors
        deep = json.dumps(changed(parts, at, "DEEP")).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
        yield f"{where} nested", deep, tensors
    for name, array in tensors.items():
        for what, other in _arrays(array):
            others = {k: a for k, a in {**tensors, name: other}.items() if a is not None}
            yield f"{name} {what}", json.dumps(parts), others
    for text in ("", "null", "[]", "3", '"x"', "{", "[" * 100_000, "{}", "1" * 5000):
        yield f"the text {text[:9]!r}", text, tensors
    for name in ("model.", "optimizer.", "optimizer.x.exp_avg", "optimizer.²", "else.0.x", "model.nobody's"):
        yield f"a tensor {name!r}", json.dumps(parts), {**tensors, name: np.zeros(1)}


def _arrays(array: np.ndarray) -> Iterator[tuple[str, Any]]:
    if array.dtype.kind == "f":
        for value in (np.nan, np.inf, -1e38, 1e38):
            yield f"holds {value}", np.full_like(array, value)
    yield "missing", None
    yield "of bools", np.zeros(array.shape, bool)
    yield "of integers", np.full(array.shape, -(2**62))
    yield "flat", array.reshape(-1).repeat(2)
    yield "empty", array.reshape(-1)[:0]
    yield "0-d", np.zeros((), array.dtype)
