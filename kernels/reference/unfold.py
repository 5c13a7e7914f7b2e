"""Sliding windows as columns of a matrix (im2col), and the adjoint that adds them back (col2im).

For a padded image ``xp`` and a window of ``kh x kw`` taps,

    col[c, u, v, i, j] = xp[c, i*s + u*d, j*s + v*d]

One strided copy per tap (u, v) does it: for a fixed tap, the pixels of all windows form a regular grid. Both
directions take a range of output rows, so that a convolution can work through an image in blocks and never
hold the whole matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


def window_grid(tap: Pair, rows: Pair, columns: int, stride: Pair, dilation: Pair) -> tuple[slice, slice]:
    """The pixels of a padded image that tap (u, v) of the windows in output rows [first, last) touches."""
    (u, v), (first, last) = tap, rows
    top, left = first * stride[0] + u * dilation[0], v * dilation[1]
    return (
        slice(top, top + (last - first - 1) * stride[0] + 1, stride[0]),
        slice(left, left + (columns - 1) * stride[1] + 1, stride[1]),
    )


def im2col(padded: Array, col: Array, rows: Pair, stride: Pair, dilation: Pair) -> None:
    """Fill ``col`` (C, kh, kw, rows, OW) from ``padded`` (C, Hp, Wp) for a range of output rows."""
    _, kh, kw, _, columns = col.shape
    for u in range(kh):
        for v in range(kw):
            ys, xs = window_grid((u, v), rows, columns, stride, dilation)
            col[:, u, v] = padded[:, ys, xs]


def col2im(col: Array, padded: Array, rows: Pair, stride: Pair, dilation: Pair) -> None:
    """Add ``col`` (C, kh, kw, rows, OW) into ``padded`` (C, Hp, Wp): the adjoint of :func:`im2col`.

    Within one tap no pixel is touched twice (the grid's steps are at least one pixel), so a plain ``+=`` on
    the strided view is right.
    """
    _, kh, kw, _, columns = col.shape
    for u in range(kh):
        for v in range(kw):
            ys, xs = window_grid((u, v), rows, columns, stride, dilation)
            padded[:, ys, xs] += col[:, u, v]


def padded_extents(size: Pair, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """How far a padded image reaches: to its own end at least, and to the end of the last window."""
    h, w = (
        max(n + p, (o - 1) * s + (k - 1) * d + 1)
        for n, k, o, s, p, d in zip(size, kernel, out, stride, padding, dilation, strict=True)
    )
    return h, w


def surround(
    x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, value: float
) -> Array:
    """x (N, C, H, W) with ``value`` around it, as far as the windows reach; x itself if they stay inside."""
    (ph, pw), (n, c, h, w) = padding, x.shape
    extents = padded_extents((h, w), kernel, out, stride, padding, dilation)
    if extents == (h, w):
        return x
    padded = np.full((n, c, *extents), value, x.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = x
    return padded


def pad_image(image: Array, padding: Pair) -> Array:
    """(C, H, W) with ``padding`` zeros around; the image itself where there is none."""
    if padding == (0, 0):
        return image
    (ph, pw), (c, h, w) = padding, image.shape
    padded = np.zeros((c, h + 2 * ph, w + 2 * pw), image.dtype)
    padded[:, ph : ph + h, pw : pw + w] = image
    return padded


def crop_image(padded: Array, padding: Pair) -> Array:
    """The adjoint of :func:`pad_image`: the inside."""
    (ph, pw), (_, h, w) = padding, padded.shape
    return padded[:, ph : h - ph, pw : w - pw]


@c_order
def forward(x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(N, C, H, W) to (N, C*kh*kw, OH*OW): every column is one window."""
    n, c = x.shape[:2]
    col = np.empty((n, c, *kernel, *out), x.dtype)
    for image, columns in zip(x, col, strict=True):
        im2col(pad_image(image, padding), columns, (0, out[0]), stride, dilation)
    return col.reshape(n, c * kernel[0] * kernel[1], out[0] * out[1])


@c_order
def backward(
    col: Array, x_shape: tuple[int, ...], kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """(N, C*kh*kw, OH*OW) to (N, C, H, W): every pixel is the sum over the windows that hold it."""
    n, c, h, w = x_shape
    windows = col.reshape(n, c, *kernel, *out)
    x = np.empty(x_shape, col.dtype)
    for image, columns in zip(x, windows, strict=True):
        padded = np.zeros((c, h + 2 * padding[0], w + 2 * padding[1]), col.dtype)
        col2im(columns, padded, (0, out[0]), stride, dilation)
        image[...] = crop_image(padded, padding)
    return x
