"""Convolution by im2col and matrix products (BLAS), in blocks of output rows.

With the windows of one image as columns, ``col`` (C*kh*kw, P) for P output pixels, and the filters as rows,
``W`` (K, C*kh*kw), everything is a matrix product (equation E11 in its im2col form; G is the cotangent of Y,
(K, P)):

    forward          Y   = W col
    backward_data    col = Wᵀ G, added back to the image (col2im)
    backward_weight  dW  = G colᵀ, summed over the images

The whole of ``col`` would be kh*kw times the image. So the output is worked through in blocks of rows, small
enough for ``col`` to hold at most :data:`COLUMN_BYTES` (or one output row, where a single row is larger).
That bound holds for each thread (see ``kernels/threads.py``), whatever the size of the batch.

Groups: channels and filters are cut into G parts that do not see each other; each is a
convolution of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.products import matmul
from minidl.kernels.reference.unfold import col2im, crop_image, im2col, pad_image
from minidl.kernels.threads import for_each

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bound of the column matrix that is held at any time, in bytes.
COLUMN_BYTES = 2 * 2**20

#: The images of a batch are cut into so many shares, whose weight gradients are summed apart and then added
#: up in one order, so that the result does not depend on the number of threads.
SHARES = 4


def row_blocks(out: Pair, taps: int, itemsize: int) -> Iterator[Pair]:
    """Ranges [first, last) of output rows whose columns (taps x rows x OW) fit into COLUMN_BYTES."""
    rows = max(1, COLUMN_BYTES // (taps * out[1] * itemsize))
    for first in range(0, out[0], rows):
        yield first, min(first + rows, out[0])


def is_pointwise(weight: Array, size: tuple[int, ...], out: tuple[int, ...]) -> bool:
    """A 1x1 convolution that takes every pixel once: the image already is its column matrix."""
    return weight.shape[2:] == (1, 1) and size == out


@c_order
def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """x (N, C, H, W), weight (K, C/groups, kh, kw), bias (K) or None, to y (N, K, OH, OW)."""
    n, k = x.shape[0], weight.shape[0]
    filters = weight.reshape(groups, k // groups, -1)
    y = np.empty((n, k, *out), x.dtype)
    if is_pointwise(weight, x.shape[2:], out) and padding == (0, 0):
        pixels = out[0] * out[1]
        images = x.reshape(n, groups, x.shape[1] // groups, pixels)
        targets = y.reshape(n, groups, k // groups, pixels, copy=False)
        for_each(lambda i: matmul(filters, images[i], targets[i]), n)
    else:

        def one_image(i: int) -> None:
            parts = zip(
                np.split(pad_image(x[i], padding), groups), filters, np.split(y[i], groups), strict=True
            )
            for part, filters_g, y_part in parts:
                for rows, col in columns(part, weight.shape, out, stride, dilation):
                    target = y_part[:, rows[0] : rows[1]].reshape(k // groups, -1, copy=False)
                    matmul(filters_g, col, target)

        for_each(one_image, n)
    if bias is not None:
        y += bias.reshape(1, k, 1, 1)
    return y


def columns(
    padded: Array, weight_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[Pair, Array]]:
    """Blocks of the column matrix of one padded image (C, Hp, Wp): (rows, col of shape (C*kh*kw, rows*OW)).

    The memory of ``col`` is used again for the next block.
    """
    kernel, taps = weight_shape[2:], int(np.prod(weight_shape[1:]))
    buffer: Array | None = None
    for rows in row_blocks(out, taps, padded.itemsize):
        pixels = (rows[1] - rows[0]) * out[1]
        if buffer is None:
            buffer = np.empty(taps * pixels, padded.dtype)
        col = buffer[: taps * pixels]
        im2col(padded, col.reshape(-1, *kernel, rows[1] - rows[0], out[1]), rows, stride, dilation)
        yield rows, col.reshape(taps, pixels)


@c_order
def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cotangent g (N, K, OH, OW) to the cotangent of x (N, C, H, W)."""
    n, c, h, w = x_shape
    k, out = weight.shape[0], (g.shape[2], g.shape[3])
    filters = weight.reshape(groups, k // groups, -1)
    dx = np.empty(x_shape, g.dtype)
    if is_pointwise(weight, x_shape[2:], out) and padding == (0, 0):
        images = g.reshape(n, groups, k // groups, h * w)
        targets = dx.reshape(n, groups, c // groups, h * w, copy=False)
        for_each(lambda i: matmul(filters.mT, images[i], targets[i]), n)
        return dx

    def one_image(i: int) -> None:
        padded = np.zeros((c, h + 2 * padding[0], w + 2 * padding[1]), g.dtype)
        parts = zip(np.split(padded, groups), filters, np.split(g[i], groups), strict=True)
        for part, filters_g, g_part in parts:
            for rows in row_blocks(out, filters.shape[2], g.itemsize):
                block = g_part[:, rows[0] : rows[1]]
                col = matmul(filters_g.T, block.reshape(block.shape[0], -1))
                col2im(col.reshape(-1, *weight.shape[2:], *block.shape[1:]), part, rows, stride, dilation)
        dx[i] = crop_image(padded, padding)

    for_each(one_image, n)
    return dx


@c_order
def backward_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cotangent g (N, K, OH, OW) and input x (N, C, H, W) to that of the weight (K, C/groups, kh, kw)."""
    k, n, out = weight_shape[0], x.shape[0], (g.shape[2], g.shape[3])
    shares = min(n, SHARES)
    dw = np.zeros((shares, groups, k // groups, int(np.prod(weight_shape[1:]))), g.dtype)

    def one_share(share: int) -> None:
        for i in range(share * n // shares, (share + 1) * n // shares):
            parts = zip(
                np.split(pad_image(x[i], padding), groups), np.split(g[i], groups), dw[share], strict=True
            )
            for part, g_part, dw_part in parts:
                for rows, col in columns(part, weight_shape, out, stride, dilation):
                    block = g_part[:, rows[0] : rows[1]]
                    dw_part += matmul(block.reshape(block.shape[0], -1), col.T)

    for_each(one_share, shares)
    return dw.sum(axis=0).reshape(weight_shape)


@c_order
def backward_bias(g: Array) -> Array:
    """Cotangent of the bias (K): g summed over pixels, which NumPy adds pairwise, then over images."""
    n, k, h, w = g.shape
    return g.reshape(n, k, h * w).sum(axis=2).sum(axis=0)
