"""Max unpooling, and reading and adding at pixels of planes; the kernels are in ``max_unpool2d.cu``."""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

Pair = tuple[int, int]

MODULE = Module("max_unpool2d.cu")
PUT = ("v1", "v2")


@on_device
def put(x: Any, index: Any, size: Pair, version: str | None = None) -> Any:
    """Planes of zeros, ``size`` large, with x (N, C, h, w) at the pixels ``index``; the last one stays.

    Version 1 is right only where no pixel is named twice, which nobody can know: version 2 is always chosen.
    """
    xp, shape = namespace(x), (*x.shape[:2], *size)
    version = pick(version, "v2", PUT)
    if version == "v1":
        y = xp.zeros(shape, x.dtype)
        if x.size:
            MODULE.launch(
                "max_unpool2d_put_v1",
                blocks(x.size),
                THREADS,
                x,
                index,
                y,
                x.size,
                *_extents(x, size),
                like=x,
            )
        return y
    y = xp.empty(shape, x.dtype)
    if not y.size:
        return y
    last = _last(index, size)
    MODULE.launch(
        "max_unpool2d_put_v2", blocks(y.size), THREADS, x, last, y, y.size, *_extents(x, size), like=x
    )
    return y


@on_device
def stayed(index: Any, size: Pair) -> Any:
    """Where the value that was put at its pixel is still there: true but for pixels named more than once."""
    xp = namespace(index)
    result = xp.empty(index.shape, xp.bool_)
    if index.size:
        last = _last(index, size)
        extents = _extents(index, size)
        MODULE.launch(
            "max_unpool2d_stayed",
            blocks(index.size),
            THREADS,
            index,
            last,
            result,
            index.size,
            *extents,
            like=index,
        )
    return result


@on_device
def gather(x: Any, index: Any) -> Any:
    """x (N, C, H, W) at the pixels ``index`` (N, C, h, w) of each plane."""
    y = namespace(x).empty(index.shape, x.dtype)
    if y.size:
        extents = _extents(index, x.shape[2:])
        MODULE.launch("max_unpool2d_gather", blocks(y.size), THREADS, x, index, y, y.size, *extents, like=x)
    return y


@on_device
def scatter_add(y: Any, index: Any, size: Pair) -> Any:
    """y (N, C, h, w) added into planes of zeros, ``size`` large; in float64, as a pixel may come often."""
    xp = namespace(y)
    total = xp.zeros((*y.shape[:2], *size), xp.float64)
    if y.size:
        extents = _extents(index, size)
        MODULE.launch(
            "max_unpool2d_scatter", blocks(y.size), THREADS, y, index, total, y.size, *extents, like=y
        )
    return total.astype(y.dtype, copy=False)


def _extents(index: Any, size: Any) -> Pair:
    """Numbers that belong to each plane, and its pixels."""
    return index.shape[2] * index.shape[3], size[0] * size[1]


def _last(index: Any, size: Pair) -> Any:
    """1 + the place of the last number that names each pixel, 0 where none does."""
    xp = namespace(index)
    pixels = index.shape[0] * index.shape[1] * size[0] * size[1]
    last = xp.zeros(pixels, xp.int32)
    if index.size:
        MODULE.launch(
            "max_unpool2d_last",
            blocks(index.size),
            THREADS,
            index,
            last,
            index.size,
            *_extents(index, size),
            like=index,
        )
    return last
