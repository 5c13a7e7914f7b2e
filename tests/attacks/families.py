"""All families of attacks, by name."""

from __future__ import annotations

from typing import Any

from attacks import (
    caches,
    checkpoints,
    damage,
    dataset_files,
    disks,
    environments,
    folders,
    kills,
    names,
    numbers,
    outputs,
    pictures,
    signals,
)

FAMILIES: dict[str, Any] = {
    "checkpoints": checkpoints,
    "damage": damage,
    "pictures": pictures,
    "dataset.toml": dataset_files,
    "names": names,
    "outputs": outputs,
    "folders": folders,
    "numbers": numbers,
    "disks": disks,
    "caches": caches,
    "environments": environments,
    "signals": signals,
    "kills": kills,
}
