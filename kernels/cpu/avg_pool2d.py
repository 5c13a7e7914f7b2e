"""Average pooling as a weighted gather, channels in vectors (backend ``"numba"``).

The reference makes a pass over the whole batch for each tap of the window. Here all taps of an output pixel
are summed in a register (``kernels/cpu/pixels.py``), divided, and written once; padding is not stored, the
windows are only cut off at the border. The backward gathers, too: each pixel of dx adds the shares of the
windows that hold it. Sums run in the reference's order, tap by tap, so the results are the same bits.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minidl.kernels.cpu import pixels
from minidl.kernels.cpu.pixels import DTYPES, Matrix
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import avg_pool2d as reference

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, divisor: int | Array) -> Array:
    """x (N, C, H, W) to the means (N, C, OH, OW). ``divisor``: a number, or one for each window (OH, OW)."""
    if x.dtype not in DTYPES:
        return reference.forward(x, kernel, out, stride, padding, divisor)
    return _forward(x, kernel, out, stride, padding, divisor)


def backward(
    g: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, divisor: int | Array
) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: every pixel of a window gets the same share."""
    if g.dtype not in DTYPES:
        return reference.backward(g, x_shape, kernel, stride, padding, divisor)
    return _backward(g, x_shape, kernel, stride, padding, divisor)


@channels_last
def _forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, divisor: Any) -> Array:
    vertical, horizontal = (
        _windows(*axis) for axis in zip(x.shape[2:], kernel, out, stride, padding, strict=True)
    )
    return pixels.gather(x, vertical, horizontal, after=divisor)


@channels_last
def _backward(
    g: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, divisor: Any
) -> Array:
    vertical, horizontal = (
        _adjoint(*axis) for axis in zip(x_shape[2:], kernel, g.shape[2:], stride, padding, strict=True)
    )
    return pixels.gather(g, vertical, horizontal, before=divisor)


@functools.lru_cache(maxsize=256)
def _windows(size: int, kernel: int, out: int, stride: int, padding: int) -> Matrix:
    """The pixels of each window that lie inside the image."""
    start = np.arange(out) * stride - padding
    return pixels.windows(np.maximum(start, 0), np.minimum(start + kernel, size))


@functools.lru_cache(maxsize=256)
def _adjoint(size: int, kernel: int, out: int, stride: int, padding: int) -> Matrix:
    """The windows of each pixel in the order of its taps in them, which is the windows' order backwards."""
    forwards = pixels.transpose(_windows(size, kernel, out, stride, padding), size)
    position = np.arange(len(forwards.column))
    mirrored = np.repeat(forwards.start[:-1] + forwards.start[1:] - 1, np.diff(forwards.start)) - position
    return Matrix(forwards.start, forwards.column[mirrored], forwards.weight)
