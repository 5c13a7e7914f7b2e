"""Dropout on a device (backend ``"cuda"``); the kernels are in ``dropout.cu``."""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("dropout.cu")
VERSIONS = ("v1", "v2", "v3")
#: 32-bit numbers of one block of Philox.
_NUMBERS = 8


def choose(same_shape: bool) -> str:
    """The version of the forward: the product in the same pass, where the mask has the input's shape.

    >>> choose(True), choose(False)
    ('v3', 'v2')
    """
    return "v3" if same_shape else "v2"


@on_device
def forward(
    x: Any,
    shape: tuple[int, ...],
    threshold: int,
    scale: float,
    key: tuple[int, int],
    first: int,
    version: str | None = None,
) -> tuple[Any, Any]:
    """m x and m, where m has the given shape, which broadcasts to that of x."""
    xp, count, same = namespace(x), math.prod(shape), tuple(shape) == x.shape
    version = pick(version, choose(same), VERSIONS)
    if version == "v3" and not same:
        raise ValueError(f"dropout: version v3 is for a mask of the input's shape {x.shape}, not {shape}")
    mask = xp.empty(shape, x.dtype)
    if not count:
        return x * mask, mask
    block = first // 4 + 1  # a counter of 256 bits, in words of 64
    counter = (block >> 64 * word & 2**64 - 1 for word in range(4))
    numbers = (x.dtype.type(scale), threshold, first % 4 * 2, *counter, *key, count)
    work = blocks(count if version == "v1" else -(-count // _NUMBERS) + 1)
    if version == "v3":
        y = xp.empty(x.shape, x.dtype)
        MODULE.launch("dropout_forward_v3", work, THREADS, x, y, mask, *numbers, like=x)
        return y, mask
    MODULE.launch(f"dropout_mask_{version}", work, THREADS, mask, *numbers, like=x)
    return x * mask, mask


@on_device
def backward(g: Any, mask: Any) -> Any:
    """m g."""
    return g * mask
