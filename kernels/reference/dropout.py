"""Dropout: the mask from the random numbers of a place in Philox's sequence, and its products.

Notation: m is the mask, (elements of) 0 or ``scale``. ``key`` and ``first`` name the random numbers: word
``first`` and those after it of the sequence with this key (``minidl/random.py``), each cut into halves, the
low one first. Element i in row-major order is kept if its number is at least ``threshold``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def numbers(key: tuple[int, int], first: int, count: int) -> Array:
    """``count`` 32-bit numbers from word ``first`` on."""
    philox = np.random.Philox(key=np.array(key, np.uint64), counter=first // 4)
    philox.random_raw(first % 4, output=False)
    words = philox.random_raw(-(-count // 2))
    return words.astype("<u8", copy=False).view("<u4")[:count]


def forward(
    x: Array, shape: tuple[int, ...], threshold: int, scale: float, key: tuple[int, int], first: int
) -> tuple[Array, Array]:
    """m x and m, where m has the given shape, which broadcasts to that of x."""
    drawn = numbers(key, first, math.prod(shape)).reshape(shape)
    mask = (drawn >= threshold) * x.dtype.type(scale)
    return x * mask, mask


def backward(g: Array, mask: Array) -> Array:
    """m g."""
    return g * mask
