"""Small data sets on disk, for the tests of what reads them: written, scanned, refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, scan

IDS = np.array([[0, 1, 2, 1], [2, 2, 0, 0]], dtype=np.uint8)
BINARY = np.array([[0, 255, 255, 0], [0, 0, 255, 0]], dtype=np.uint8)
PAINTED = np.array([[[0, 0, 0], [255, 0, 0]], [[0, 128, 255], [0, 0, 0]]], dtype=np.uint8).repeat(2, axis=1)


def picture(shape: tuple[int, ...] = (2, 4, 3)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 256).astype(np.uint8)


def add(
    folder: Path,
    stem: str,
    mask: np.ndarray | None,
    *,
    image: np.ndarray | None = None,
    kind: str = "labels",
    end: str = "",
) -> None:
    """One image, and its mask unless None."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_png(folder / "images" / f"{stem}.png", picture() if image is None else image)
    if mask is not None:
        (folder / kind).mkdir(exist_ok=True)
        write_png(folder / kind / f"{stem}{end}.png", mask)


def stems(data: DataSet) -> dict[str, list[str]]:
    return {split: [sample.stem for sample in samples] for split, samples in data.splits.items()}


def refusal(root: Path, about: Path | str, **options: Any) -> str:
    """The message of scanning a bad data set: one line that begins with the culprit and has a remedy."""
    with pytest.raises(InputError) as error:
        scan(root, **options)
    message = str(error.value)
    assert message.startswith(f"{about}: "), message
    assert "\n" not in message and ";" in message
    return message


def loaded(root: Path, **options: Any) -> tuple[DataSet, np.ndarray]:
    """The data set, and the mask of its first sample."""
    data = scan(root, **options)
    mask = data.load(next(iter(data.splits.values()))[0])[1]
    assert mask is not None
    return data, mask
