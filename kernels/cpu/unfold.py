"""Windows as columns and back, one plane after the other (backend ``"numba"``).

The reference makes a pass over an image for each tap. Here a thread takes one plane (n, c), which stays in
its cache while all taps of the windows are copied out of it, or are added back into it; padding is not
stored, each tap's rows and columns are cut off where they would leave the image. Sums run tap by tap as in
the reference: the results are the same bits. Columns are three-dimensional, so the memory order is C order
on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pixels import DTYPES
from minidl.kernels.layout import c_order
from minidl.kernels.reference import unfold as reference

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@c_order
def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(N, C, H, W) to (N, C*kh*kw, OH*OW): every column is one window."""
    if x.dtype not in DTYPES:
        return reference.forward(x, kernel, out, stride, padding, dilation)
    n, c, h, w = x.shape
    col = memory.empty((n, c * kernel[0] * kernel[1], out[0] * out[1]), x.dtype)
    sizes = (h, w, *kernel, *out, *stride, *padding, *dilation)
    threads.deal(_forward, n * c, _row(x), col.reshape(-1), *sizes)
    return col


@c_order
def backward(
    col: Array, x_shape: tuple[int, ...], kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """(N, C*kh*kw, OH*OW) to (N, C, H, W): every pixel is the sum over the windows that hold it."""
    if col.dtype not in DTYPES:
        return reference.backward(col, x_shape, kernel, out, stride, padding, dilation)
    n, c, h, w = x_shape
    x = memory.empty((n, c, h, w), col.dtype)
    sizes = (h, w, *kernel, *out, *stride, *padding, *dilation)
    threads.deal(_backward, n * c, _row(col), x.reshape(-1), *sizes)
    return x


def _row(array: Array) -> Array:
    """Flat and writable: read-only arrays are other types for the compiler."""
    return (array if array.flags.writeable and array.flags.aligned else array.copy()).reshape(-1)


@compiled
def _inside(size: int, out: int, start: int, stride: int) -> tuple[int, int]:
    """The windows i, first ... last-1, for which pixel start + i·stride lies inside an axis."""
    first = max(0, (stride - 1 - start) // stride)
    return first, max(first, min(out, (size - 1 - start) // stride + 1))


@compiled
def _forward(
    begin: int, end: int, worker: int, x: Array, col: Array, h: int, w: int, kh: int, kw: int, oh: int,
    ow: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int,
) -> None:  # fmt: skip
    """Planes begin ... end-1."""
    for plane in range(begin, end):
        for tap in range(kh * kw):
            top, left = tap // kw * dh - ph, tap % kw * dw - pw
            to = (plane * kh * kw + tap) * oh * ow
            first, last = _inside(h, oh, top, sh)
            begins, ends = _inside(w, ow, left, sw)
            col[to : to + first * ow] = 0
            for i in range(first, last):
                row, source = to + i * ow, (plane * h + top + i * sh) * w + left
                for j in range(begins):
                    col[row + j] = 0
                for j in range(begins, ends):
                    col[np.uintp(row + j)] = x[np.uintp(source + j * sw)]
                for j in range(ends, ow):
                    col[row + j] = 0
            col[to + last * ow : to + oh * ow] = 0


@compiled
def _backward(
    begin: int, end: int, worker: int, col: Array, x: Array, h: int, w: int, kh: int, kw: int, oh: int,
    ow: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int,
) -> None:  # fmt: skip
    """Planes begin ... end-1."""
    for plane in range(begin, end):
        x[plane * h * w : (plane + 1) * h * w] = 0
        for tap in range(kh * kw):
            top, left = tap // kw * dh - ph, tap % kw * dw - pw
            source = (plane * kh * kw + tap) * oh * ow
            first, last = _inside(h, oh, top, sh)
            begins, ends = _inside(w, ow, left, sw)
            for i in range(first, last):
                row, to = source + i * ow, (plane * h + top + i * sh) * w + left
                for j in range(begins, ends):
                    x[np.uintp(to + j * sw)] += col[np.uintp(row + j)]
