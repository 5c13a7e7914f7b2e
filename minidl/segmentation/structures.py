"""Generated gray pictures of thin structures and of touching blobs, as few and as faint as is asked for.

Two exercises for a question that the demonstration's cells (`minidl.segmentation.synthetic`) do not ask: does
a training find a class that has few of the pixels? Class 1 is brighter than class 0, on a ground that is
lit unevenly and noisy:

* :func:`thin_structures`: curved lines of one width, as vessels, membranes, cracks and roads are;
* :func:`touching_blobs`: discs of about one size, some of which touch or overlap.

Width or radius, contrast and the class's share of the pixels are arguments. One seed gives the same bytes on
every machine, for the reason that `minidl.segmentation.synthetic` gives, whose light and noise these are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from minidl.errors import InputError
from minidl.segmentation import synthetic
from minidl.segmentation.synthetic import SMALLEST

Generated = tuple[np.ndarray, np.ndarray]
Centres = Iterator[tuple[float, float, float]]

#: Deviation of the noise, in the units of the contrast: white is 1.
NOISE = 0.06
_GROUND, _LIGHT = 0.30, 0.20  # the darkest ground, and what the uneven light adds to it at most
_STEP, _TURN = 0.5, 0.02  # of a line: pixels between two stamps, and how much its direction changes at most


def thin_structures(
    count: int,
    size: int = 96,
    width: float = 2.0,
    contrast: float = 0.2,
    share: float = 0.016,
    seed: int = 0,
) -> Generated:
    """Curved bright lines.

    Args:
        count: number of pictures N, 0 or more.
        size: height and width in pixels, at least 32.
        width: of the lines in pixels, from 1 to a quarter of the size.
        contrast: how much brighter the lines are than the ground, above 0 and at most 0.5; the deviation of
            the noise is 0.06.
        share: of the pixels that belong to lines, above 0 and at most 0.5; met in each picture as far as
            whole stamps of the pen allow.
        seed: a non-negative integer below 2**64. Picture i depends on it, on i and on the other arguments
            alone.

    Returns:
        ``images`` float32 (N, 1, size, size) in 0..1 in steps of 1/255, and ``masks`` uint8 (N, size, size)
        of 0 and 1.

    Raises:
        InputError: an argument out of its range.

    >>> images, masks = thin_structures(4, size=64, share=0.05)
    >>> images.shape, masks.shape, round(float(masks.mean()), 3)
    ((4, 1, 64, 64), (4, 64, 64), 0.05)
    """
    _check_real("width", width, 1, size / 4, "pixels")
    return _pictures(lambda rng: _lines(rng, size, width / 2), count, size, contrast, share, seed)


def touching_blobs(
    count: int,
    size: int = 96,
    radius: float = 6.0,
    contrast: float = 0.2,
    share: float = 0.15,
    seed: int = 0,
) -> Generated:
    """Bright discs of radii from three quarters to five quarters of ``radius``; all else as
    :func:`thin_structures`.

    Raises:
        InputError: an argument out of its range.

    >>> images, masks = touching_blobs(2, size=64)
    >>> images.shape, masks.max()
    ((2, 1, 64, 64), np.uint8(1))
    """
    _check_real("radius", radius, 1, size / 4, "pixels")
    return _pictures(lambda rng: _discs(rng, size, radius), count, size, contrast, share, seed)


def _check_real(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        raise InputError(
            f"{name}: {value!r} does not do; give a number from {low:g} to {high:g} {unit}".rstrip()
        )


def _pictures(
    centres: Callable[[np.random.Generator], Centres],
    count: int,
    size: int,
    contrast: float,
    share: float,
    seed: int,
) -> Generated:
    for name, value, least in (("count", count, 0), ("size", size, SMALLEST), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name}: {value!r} does not do; give a whole number of {least} or more")
    if seed >= 2**64:
        raise InputError(f"seed: {seed} is out of range; give an integer from 0 to 2**64 - 1")
    smallest = 1 / size**2  # one pixel
    _check_real("contrast", contrast, 1 / 255, 0.5)
    _check_real("share", share, smallest, 0.5, f"for pictures of {size} x {size}")
    images = np.empty((count, 1, size, size), np.float32)
    masks = np.empty((count, size, size), np.uint8)
    for index in range(count):
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
        masks[index] = _stamped(centres(rng), size, math.ceil(share * size**2))
        picture = _lit(rng, size, contrast, masks[index])
        images[index] = np.floor(picture * 255 + np.float32(0.5)) / np.float32(255)
    return images, masks


def _stamped(centres: Centres, size: int, wanted: int) -> np.ndarray:
    """Discs (y, x, radius) one after the other, until so many pixels are covered."""
    mask = np.zeros((size, size), np.uint8)
    covered = 0
    for y, x, radius in centres:
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        part = mask[top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= radius * radius
        covered += int(np.count_nonzero(inside & (part == 0)))
        part[inside] = 1
        if covered >= wanted:
            break
    return mask


def _lines(rng: np.random.Generator, size: int, radius: float) -> Centres:
    """The stamps of a pen that draws arc after arc, each from somewhere to where it leaves the picture.

    None is longer than the picture is wide: a closed circle would never leave.
    """
    while True:
        y, x, t, flip, bend = rng.random(5).tolist()
        y, x = y * (size - 1), x * (size - 1)
        # A direction without sines: a rational parametrisation of the circle, as in `synthetic`.
        t, sign = 2 * t - 1, -1.0 if flip < 0.5 else 1.0
        dy, dx = sign * (1 - t * t) / (1 + t * t), sign * 2 * t / (1 + t * t)
        bend = _TURN * (2 * bend - 1)
        for _ in range(round(size / _STEP)):
            if not (0 <= y <= size - 1 and 0 <= x <= size - 1):
                break
            yield y, x, radius
            y, x = y + _STEP * dy, x + _STEP * dx
            dy, dx = dy + bend * dx, dx - bend * dy
            length = math.sqrt(dy * dy + dx * dx)
            dy, dx = dy / length, dx / length


def _discs(rng: np.random.Generator, size: int, radius: float) -> Centres:
    """Discs anywhere; each second one touches the one before."""
    while True:
        y, x, first, second, t, flip = rng.random(6).tolist()
        y, x = y * (size - 1), x * (size - 1)
        first, second = (radius * (0.75 + 0.5 * part) for part in (first, second))
        yield y, x, first
        t, sign = 2 * t - 1, -1.0 if flip < 0.5 else 1.0
        apart = sign * (first + second) / (1 + t * t)
        y, x = y + apart * (1 - t * t), x + apart * 2 * t
        if 0 <= y <= size - 1 and 0 <= x <= size - 1:
            yield y, x, second


def _lit(rng: np.random.Generator, size: int, contrast: float, mask: np.ndarray) -> np.ndarray:
    """A mask as the instrument shows it: uneven light, a point spread, noise; float32 (1, size, size)."""
    light = np.float32(_GROUND) + np.float32(_LIGHT) * synthetic._smooth_field(rng, size, 3)
    picture = synthetic._blur((light + np.float32(contrast) * mask)[None])
    return np.clip(picture + np.float32(NOISE) * synthetic._noise(rng, picture.shape), 0, 1)
