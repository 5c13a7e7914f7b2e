"""Masks as programs save them that do not think of class ids: JPEG, smooth edges, numbers of objects."""

import io

import numpy as np
from PIL import Image

SIZE = 64


def areas(rng: np.random.Generator, classes: int = 3, size: int = SIZE, times: int = 1) -> np.ndarray:
    """Ids 0..classes-1: discs of each class on a ground of 0, apart from each other; ``times`` as fine."""
    ids = np.zeros((size * times, size * times), np.uint8)
    y, x = np.mgrid[: size * times, : size * times] / times
    cells = [(row, column) for row in (0.25, 0.75) for column in (0.25, 0.75)]
    for index, (row, column) in enumerate(cells):
        jitter = rng.uniform(-3, 3, 2)
        away = np.hypot(y - row * size - jitter[0], x - column * size - jitter[1])
        ids[away < rng.uniform(8, 12)] = 1 + index % (classes - 1)
    return ids


def smoothed(shades: np.ndarray, seed: int, times: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """(mask, ids): drawn ``times`` as large in ``shades`` (K,) or (K, 3), then scaled down."""
    fine = areas(np.random.default_rng(seed), len(shades), times=times)
    drawn = shades[fine].astype(np.float64)
    parts = drawn.reshape(SIZE, times, SIZE, times, *drawn.shape[2:])
    return np.rint(parts.mean(axis=(1, 3))).astype(np.uint8), fine[times // 2 :: times, times // 2 :: times]


def through_jpeg(shades: np.ndarray, seed: int, quality: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """(mask, ids): saved as JPEG and opened again."""
    ids = areas(np.random.default_rng(seed), len(shades))
    file = io.BytesIO()
    Image.fromarray(shades[ids].astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)), ids


def objects(seed: int, count: int, first: int = 1, size: int = SIZE) -> np.ndarray:
    """uint16: ``count`` squares, each with a number of its own, from ``first``, on a ground of 0."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint16)
    across = int(np.ceil(np.sqrt(count)))
    step = size // across
    for index in range(count):
        top, left = index // across * step, index % across * step
        mask[top : top + step - rng.integers(1, 3), left : left + step - rng.integers(1, 3)] = first + index
    return mask


def as_png(mask: np.ndarray) -> np.ndarray:
    """uint8 where that holds all numbers."""
    return mask.astype(np.uint8) if mask.dtype == np.uint16 and mask.max() < 256 else mask
