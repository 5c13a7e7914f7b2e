"""Sums over some axes on a device (backend ``"cuda"``); the kernels are in ``reductions.cu``.

Neighbouring axes are summed over in one go. Kept ones between them take a further launch, from the last axes
to the first; what was summed before is rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.arrays import MOST_BLOCKS, REALS, THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("reductions.cu")
VERSIONS = ("v1", "v2", "v3")
#: Blocks that keep a large GPU busy: sums are cut into pieces until there are so many.
_BUSY = 1024


def choose(a: int, r: int, b: int) -> str:
    """The version for the sums over the middle axis of (a, r, b).

    >>> choose(10, 4096, 1), choose(16, 64, 512), choose(1000, 8, 1)
    ('v3', 'v2', 'v1')
    """
    if r < 16:
        return "v1"
    return "v3" if b == 1 else "v2"


def piece(outputs: int, r: int, least: int) -> int:
    """How many numbers of a sum a block adds up: all, unless there are too few sums to keep the GPU busy.

    >>> piece(1, 2**20, 4096), piece(4096, 2**20, 4096)
    (4096, 1048576)
    """
    pieces = max(1, min(-(-r // least), _BUSY // outputs))
    return -(-r // pieces)


@on_device
def sum(x: Any, axes: tuple[int, ...], version: str | None = None) -> Any:
    """The sum over ``axes``, which stay with extent 1."""
    xp = namespace(x)
    if x.dtype not in REALS or not x.size or not axes:
        return xp.asarray(x.sum(axis=axes, keepdims=True))
    shape = list(x.shape)
    for first, last in reversed(_runs(shape, axes)):
        a, r, b = (math.prod(part) for part in (shape[:first], shape[first:last], shape[last:]))
        x = _sum(x, a, r, b, version)
        shape[first:last] = [1] * (last - first)
    return x.reshape(shape)


def _runs(shape: list[int], axes: tuple[int, ...]) -> list[tuple[int, int]]:
    """The reduced axes as ranges [first, last), where axes of extent 1 belong to either side.

    >>> _runs([2, 3, 4, 5], (0, 2, 3)), _runs([2, 1, 4], (0, 2))
    ([(0, 1), (2, 4)], [(0, 3)])
    """
    runs: list[tuple[int, int]] = []
    for axis in sorted(axis % len(shape) for axis in axes):
        if runs and all(extent == 1 for extent in shape[runs[-1][1] : axis]):
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs


def _sum(x: Any, a: int, r: int, b: int, version: str | None) -> Any:
    """(a, r, b), flat or of any shape, to (a, b)."""
    chosen = pick(version, choose(a, r, b), VERSIONS)
    if chosen == "v1":
        y = namespace(x).empty(a * b, x.dtype)
        MODULE.launch("reductions_sum_v1", blocks(a * b), THREADS, x, y, a * b, r, b, like=x)
        return y
    of_columns = -(-b // 32)
    each = piece(a if b == 1 else a * of_columns, r, 4096 if b == 1 else 256)
    pieces = -(-r // each)
    y = namespace(x).empty(a * pieces * b, x.dtype)
    if b == 1:
        MODULE.launch(f"reductions_rows_{chosen}", blocks(a * pieces, 1), THREADS, x, y, a, r, each, like=x)
    else:
        grid = (of_columns, min(a * pieces, MOST_BLOCKS))
        MODULE.launch("reductions_columns_v2", grid, (32, 8), x, y, a, r, b, each, like=x)
    return y if pieces == 1 else _sum(y, a, pieces, b, version)
