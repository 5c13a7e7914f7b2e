"""Many tensors in one launch: the tables by which a kernel finds them (optimizers).

A network has a hundred parameters, most of which are small, and a launch takes a few microseconds whatever it
does. So a kernel is given the addresses of all tensors, and each of its blocks works on a piece of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels.cuda.arrays import aligned, in_c_order
from minidl.kernels.cuda.device import kind_of
from minidl.kernels.cuda.errors import LaunchError

#: Elements that a block works on: 16 or so for each thread, so that reading the tables does not count.
PIECE = 4096


class Pieces(NamedTuple):
    """Which tensor, and which piece of it, each block works on; arrays of the device."""

    tensor: Any
    piece: Any
    total: int


def check(operation: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raise unless the arrays of each row have one shape, and all arrays one dtype and one device.

    The launcher sees a table of addresses only, so what it would have checked is checked here.

    Raises:
        LaunchError: an array does not fit.
    """
    like = rows[0][0]
    for number, row in enumerate(rows):
        for array in row:
            if array is None:
                continue
            if kind_of(array) is None or kind_of(array) != kind_of(like) or array.device.id != like.device.id:
                raise LaunchError(
                    f"{operation}: an array of tensor {number} does not live where the others do"
                )
            if array.dtype != like.dtype or array.shape != row[0].shape or not array.flags.c_contiguous:
                raise LaunchError(
                    f"{operation}: tensor {number} has {row[0].dtype} {row[0].shape}, and with it an array"
                    f" {array.dtype} {array.shape} with strides {array.strides}"
                )


def table(xp: Any, rows: Iterable[tuple[Any, ...]]) -> Any:
    """Addresses of arrays (0 for None), and numbers as they are, as a table of 64-bit integers."""
    values = [[entry.data.ptr if kind_of(entry) else int(entry or 0) for entry in row] for row in rows]
    return xp.asarray(np.array(values, np.int64))


def pieces(xp: Any, sizes: Sequence[int], each: int = PIECE) -> Pieces:
    """The work of all blocks; tensors without elements have none."""
    counts = [-(-size // each) for size in sizes]
    tensor = np.repeat(np.arange(len(sizes)), counts).astype(np.int32)
    number = np.concatenate([np.arange(count) for count in counts]).astype(np.int32)
    return Pieces(xp.asarray(tensor), xp.asarray(number), len(tensor))


def choose(rows: Sequence[tuple[Any, ...]]) -> str:
    """The version of an optimizer's step: vectors, where all arrays begin at one."""
    return "v3" if all(aligned(*(a for a in row if a is not None)) for row in rows) else "v2"


def in_place(arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[tuple[Any, Any]]]:
    """The arrays in C order, and the pairs (array, copy) of those that were copied, to be written back."""
    arranged = tuple(None if a is None else in_c_order(a) for a in arrays)
    return arranged, [(a, b) for a, b in zip(arrays, arranged, strict=True) if b is not a]
