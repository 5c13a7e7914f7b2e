"""Which part of 0..1 a picture uses.

A microscope's 12 bits in a file of 16 fill the darkest sixteenth of it, and a picture of floating-point
numbers may lie anywhere. The network does not mind: it gets (x - mean) / deviation. Two things do: a person
who looks at the picture (:func:`for_display`), and changes of brightness that are fractions of white
(:func:`white`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Percentiles between which a picture counts: a few hot pixels are none of its range.
LOW, HIGH = 0.2, 99.8
#: What uses less than this of 0..1 is stretched for display: the two highest bits of a file are empty.
NARROW = 0.25
#: Pixels that are looked at, along each axis at most: percentiles of more are the same.
SIDE = 512


def used_range(image: ArrayLike) -> tuple[float, float]:
    """The values between which nearly all of an image (C, H, W) lies; from least to largest if it is flat.

    >>> used_range(np.linspace(0.5, 0.6, 1000).reshape(1, 10, 100))
    (0.5002, 0.5998)
    """
    pixels = np.asarray(image)
    steps = [max(1, n // SIDE) for n in pixels.shape[-2:]]
    low, high = np.percentile(pixels[..., :: steps[0], :: steps[1]], (LOW, HIGH))
    if not low < high:
        low, high = pixels.min(), pixels.max()
    return float(low), float(high)


def for_display(image: ArrayLike) -> NDArray[np.floating]:
    """An image (C, H, W) in 0..1 as it can be seen: one that uses less than a quarter is stretched to 0..1.

    By the image's own values, whatever others there are: a picture looks the same alone and in any folder,
    and a bright one does not hide a dark one. All channels alike, so that colours stay. What uses more is
    left as it is, and so is what has one value only, or values outside 0..1.

    >>> for_display(np.array([[[0.0, 0.03125, 0.0625]]])).round(2).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    pixels = np.asarray(image)
    if pixels.size == 0 or not (pixels.min() >= 0 and pixels.max() <= 1):
        return pixels
    low, high = used_range(pixels)
    if not 0 < high - low < NARROW:
        return pixels
    return np.clip((pixels.astype(np.float64) - low) / (high - low), 0, 1)


def white(low: float, high: float) -> float:
    """What white is to pictures that lie between ``low`` and ``high``: 1, or 1/2, 1/4, ..., by empty bits.

    >>> white(0, 0.9), white(0, 4095 / 65535), white(0.3, 0.3)
    (1.0, 0.0625, 1.0)
    """
    if not 0 < high - low < 1:
        return 1.0
    return 2.0 ** math.ceil(math.log2(high - low))
