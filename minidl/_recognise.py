"""Which files are minidl's own, by what is in them: folders of earlier versions carry no mark."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

#: Keys that a JSON file of ours has, by the beginning of its name.
_JSON: dict[str, set[str]] = {
    "config.json": {"config", "architecture", "data", "normalisation"},
    "metrics.json": {"split", "step", "images", "mean_iou"},
    "results.json": {"format", "complete", "machine", "versions"},
    "profile-": {"parts", "seconds", "rates"},
}

#: What has no contents of its own to go by, and the file beside it that has.
_BESIDE = {
    "history.png": "config.json",
    "val.png": "config.json",
    "pictures.png": "metrics.json",
    "test.png": "metrics.json",
    "results.md": "results.json",
    "ratios.png": "results.json",
    "roofline.png": "results.json",
    "scaling.png": "results.json",
    **{f"{name}-{place}.png": "results.json" for name in ("shares", "roofline") for place in ("cpu", "gpu")},
}

#: How history.csv begins.
_HISTORY = b"step,epoch,lr,train_loss,"

#: Larger files are not read: none of ours is.
_LARGEST = 1 << 26


def is_ours(path: Path) -> bool:
    """Whether a file has the name and the contents of one that minidl writes, whatever version did.

    >>> is_ours(Path("thesis.json"))
    False
    """
    name = path.name
    if name in _BESIDE:
        return is_ours(path.with_name(_BESIDE[name]))
    if path.suffix == ".safetensors":
        return "minidl" in (safetensors_metadata(path) or {})
    if name == "history.csv":
        return (_read(path) or b"").startswith(_HISTORY)
    if name == "profile.md":
        return (_read(path) or b"").startswith(b"# minidl bench --profile\n")
    for begin, keys in _JSON.items():
        if name.startswith(begin) and path.suffix == ".json":
            found = read_json(path)
            return isinstance(found, dict) and found.keys() >= keys
    return False


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is no such file, or none that can be read."""
    try:
        return json.loads(_read(path) or b"")
    except (ValueError, RecursionError):
        return None


def safetensors_metadata(path: Path) -> dict[str, Any] | None:
    """The metadata of a safetensors file, or None if it is none, or a damaged one."""
    try:
        with _open(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if length <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else None


def _read(path: Path) -> bytes | None:
    try:
        with _open(path) as file:
            contents: bytes = file.read(_LARGEST + 1)
    except OSError:
        return None
    return contents if len(contents) <= _LARGEST else None


def _open(path: Path) -> Any:
    """For reading, if it is a regular file: a pipe would keep us waiting, a device would never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return os.fdopen(descriptor, "rb")
