"""Averages over windows that differ in size, channels in vectors (backend ``"numba"``).

The windows may be as large as the image (global average pooling), where a float32 sum of thousands of
pixels in order would lose digits. So short runs of pixels are summed first, in four sums side by side, and
those of the runs with a second vector of what rounding has cut off from the first (Knuth's two-sum): what
is lost does not grow with the window. The reference sums rows in float32 and those in float64. Windows of no
more pixels than a run are summed as any others (``kernels/cpu/pixels.py``).

The backward is a gather (``kernels/cpu/pixels.py``): each pixel adds the shares of the windows that hold it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled, pixels
from minidl.kernels.cpu.pixels import DTYPES, Matrix, flat
from minidl.kernels.cpu.vectors import lanes, load, splat, store, where_equal
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import adaptive_avg_pool2d as reference

Array = np.ndarray[Any, Any]
Windows = tuple[tuple[int, int], ...]

#: Channels that one piece of work sums: enough for whole lines of the cache.
BLOCK = 64
#: Pixels of a run: eight additions one after the other.
RUN = 32


@channels_last
def forward(x: Array, vertical: Windows, horizontal: Windows) -> Array:
    """x (N, C, H, W) to the means (N, C, OH, OW)."""
    if x.dtype not in DTYPES:
        return reference.forward(x, vertical, horizontal)
    n, c, h, w = x.shape
    out = len(vertical), len(horizontal)
    if _largest(vertical) * _largest(horizontal) <= RUN:
        rows, columns = _matrix(vertical), _matrix(horizontal)
        return pixels.gather(x, rows, columns, after=_areas(vertical, horizontal))
    y = memory.empty_channels_last((n, c, *out), x.dtype)
    ends = [np.array(windows, np.int64).reshape(-1) for windows in (vertical, horizontal)]
    blocks = -(-c // BLOCK)
    threads.deal(_forward, n * out[0] * out[1] * blocks, flat(x), flat(y), *ends, h, w, c, *out, blocks)
    return y


@channels_last
def backward(g: Array, x_shape: tuple[int, ...], vertical: Windows, horizontal: Windows) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    if g.dtype not in DTYPES:
        return reference.backward(g, x_shape, vertical, horizontal)
    if not g.size:
        dx = memory.empty_channels_last(x_shape, g.dtype)
        dx[...] = 0
        return dx
    rows, columns = _adjoint(vertical, x_shape[2]), _adjoint(horizontal, x_shape[3])
    return pixels.gather(g, rows, columns, before=_areas(vertical, horizontal))


@functools.lru_cache(maxsize=256)
def _largest(windows: Windows) -> int:
    return max((last - first for first, last in windows), default=0)


@functools.lru_cache(maxsize=256)
def _areas(vertical: Windows, horizontal: Windows) -> int | Array:
    """How many pixels each window has: (OH, OW), or one number for all."""
    areas = reference.areas(vertical, horizontal)
    return int(areas.flat[0]) if areas.size and (areas == areas.flat[0]).all() else areas


@functools.lru_cache(maxsize=256)
def _matrix(windows: Windows) -> Matrix:
    first, last = np.array(windows, np.int64).reshape(-1, 2).T
    return pixels.windows(first, last)


@functools.lru_cache(maxsize=256)
def _adjoint(windows: Windows, size: int) -> Matrix:
    first, last = np.array(windows, np.int64).T
    return pixels.transpose(pixels.windows(first, last), size)


@compiled
def _forward(
    begin: int, end: int, worker: int, x: Array, y: Array, vertical: Array, horizontal: Array,
    h: int, w: int, c: int, oh: int, ow: int, blocks: int,
) -> None:  # fmt: skip
    """Blocks of channels of output pixels, begin ... end-1."""
    for piece in range(begin, end):
        pixel, block = piece // blocks, piece % blocks
        image, i, j = pixel // (oh * ow), pixel // ow % oh, pixel % ow
        rows, columns = (vertical[2 * i], vertical[2 * i + 1]), (horizontal[2 * j], horizontal[2 * j + 1])
        area = splat(x, (rows[1] - rows[0]) * (columns[1] - columns[0]))
        for k in range(block * BLOCK, min(c, (block + 1) * BLOCK), lanes(x)):
            total, lost = splat(x, 0), splat(x, 0)
            for a in range(rows[0], rows[1]):
                source = (image * h + a) * w * c + k
                for b in range(columns[0], columns[1], RUN):
                    run = min(RUN, columns[1] - b)
                    value = _run_of_pixels(x, source + b * c, c, run, c - k)
                    new = total + value
                    added = new - total
                    lost = lost + ((total - (new - added)) + (value - added))
                    total = new
            # An infinite sum has lost infinity minus infinity: NaN, which must not count.
            lost = where_equal(lost, lost, lost, splat(x, 0))
            store(y, pixel * c + k, (total + lost) / area, c - k)


@compiled
def _run_of_pixels(x: Array, at: int, step: int, pixels: int, count: int) -> Any:
    """The sum of a vector of channels over a few neighbouring pixels, in four sums side by side."""
    first = second = third = fourth = splat(x, 0)
    whole = pixels - pixels % 4
    for b in range(0, whole, 4):
        here = at + b * step
        first = first + load(x, here, count)
        second = second + load(x, here + step, count)
        third = third + load(x, here + 2 * step, count)
        fourth = fourth + load(x, here + 3 * step, count)
    for b in range(whole, pixels):
        first = first + load(x, at + b * step, count)
    return (first + second) + (third + fourth)
