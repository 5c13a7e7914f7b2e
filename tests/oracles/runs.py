"""What the tests of training and of the command line share: small data sets, and runs read back."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, scan
from minidl.train.checkpoint import Checkpoint, load

#: What a run leaves in its folder.
FILES = {"best.safetensors", "last.safetensors", "config.json", "history.csv", "history.png", ".minidl"}

NETWORK = {"base": 2, "depth": 1, "norm": "batch"}
SIZE = 16


def bright_square(rng: np.random.Generator, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A bright square (class 1) on a dark ground, both noisy: uint8 image and mask."""
    mask = np.zeros((size, size), np.uint8)
    top, left = rng.integers(0, size // 2, 2)
    mask[top : top + size // 2, left : left + size // 2] = 1
    image = np.where(mask == 1, 180, 60) + rng.integers(-30, 31, mask.shape)
    return image.astype(np.uint8), mask


def write_squares(root: Path, counts: dict[str, int], size: int = SIZE) -> Path:
    rng = np.random.default_rng(5)
    for split, count in counts.items():
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            image, mask = bright_square(rng, size)
            write_png(root / split / "images" / f"{index:02}.png", image)
            write_png(root / split / "masks" / f"{index:02}.png", mask)
    return root


def folder_of(root: Path, masks: list[np.ndarray], toml: str = "num_classes = 2\n") -> DataSet:
    """One picture of noise for each mask; those of the first half train, the others validate."""
    rng = np.random.default_rng(3)
    for index, mask in enumerate(masks):
        split = root / ("train" if index < (len(masks) + 1) // 2 else "val")
        for kind, values in (("images", rng.integers(0, 256, mask.shape)), ("masks", mask)):
            (split / kind).mkdir(parents=True, exist_ok=True)
            write_png(split / kind / f"{index}.png", values.astype(np.uint8))
    (root / "dataset.toml").write_text(toml)
    return scan(root)


def masks_of(shares: dict[int, float], count: int = 4, size: int = SIZE, seed: int = 0) -> list[np.ndarray]:
    """Masks with so many pixels of each value: exactly these shares, in any places."""
    values = np.repeat(list(shares), [round(share * size**2) for share in shares.values()])
    rng = np.random.default_rng(seed)
    return [rng.permutation(values).reshape(size, size) for _ in range(count)]


class Lines:
    """A reporter that keeps the messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, name: str, total: int, done: int = 0) -> None:
        pass

    def advance(self, amount: int = 1, **figures: object) -> None:
        pass

    def message(self, text: str) -> None:
        self.said.append(text)


def stop_after(count: int) -> Callable[[], bool]:
    """A ``should_stop`` that says yes when it is asked for the count-th time."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= count

    return should_stop


def history_of(run: Path) -> list[dict[str, str]]:
    with open(run / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def contents(run: Path, name: str = "last") -> Checkpoint:
    return load(run / f"{name}.safetensors")


def assert_same_checkpoint(a: Checkpoint, b: Checkpoint) -> None:
    """Bit for bit, all of it."""
    assert a.model.keys() == b.model.keys()
    for name, array in a.model.items():
        np.testing.assert_array_equal(array, b.model[name], err_msg=name, strict=True)
    assert a.optimizer["state"].keys() == b.optimizer["state"].keys()
    for index, moments in a.optimizer["state"].items():
        for name, value in moments.items():
            np.testing.assert_array_equal(value, b.optimizer["state"][index][name])
    for name in ("step", "history", "running", "best", "random", "schedule", "normalisation", "config"):
        assert getattr(a, name) == getattr(b, name), name
    assert a.optimizer["param_groups"] == b.optimizer["param_groups"]


def refusal(call, *parts: str) -> str:
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and ";" in message
    for part in parts:
        assert part in message, message
    return message
