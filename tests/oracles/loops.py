"""Literal loops for convolution, its transpose, windows as columns, and padding (pooling: `pool_loops`,
resampling: `resize_loops`).

Every function transcribes one equation, one output value at a time, in float64. Nothing is clever, nothing
is shared with the library: these are the expected values. The identifiers E1, E2, E11 and E12 name the
documents' equations as the docs list them. `x` is (N, C, H, W); a window's row and column offsets are u and
v.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[int, int]


def pair(value: int | Pair) -> Pair:
    """torch's convention: one number stands for both axes."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def windows(extent: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows of field (kernel - 1) * dilation + 1 fit on the padded extent."""
    return (extent + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1


def _at(x: Array, n: int, c: int, row: int, col: int, outside: float = 0.0) -> float:
    """x[n, c, row, col], and `outside` beyond the picture's border."""
    inside = 0 <= row < x.shape[2] and 0 <= col < x.shape[3]
    return x[n, c, row, col] if inside else outside


def conv2d(
    x: Array,
    w: Array,
    bias: Array | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    """E1: y[n,k,i,j] = bias[k] + sum_{c,u,v} w[k,c,u,v] x[n, q C/G + c, i s + u d - p, j s + v d - p]."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    N, C, H, W = x.shape
    K, _, R, S = w.shape
    y = np.zeros((N, K, windows(H, R, sh, ph, dh), windows(W, S, sw, pw, dw)))
    for n, k, i, j in np.ndindex(y.shape):
        q = k // (K // groups)
        total = 0.0 if bias is None else bias[k]
        for c, u, v in np.ndindex(C // groups, R, S):
            total += w[k, c, u, v] * _at(
                x, n, q * (C // groups) + c, i * sh + u * dh - ph, j * sw + v * dw - pw
            )
        y[n, k, i, j] = total
    return y


def document_convolution(x: Array, w: Array) -> Array:
    """E1 as printed, one plane: y(a, b) = sum_{u,v} w(u, v) x(a - u, b - v), x being 0 outside."""
    (H, W), (m, n) = x.shape, w.shape
    y = np.zeros((H + m - 1, W + n - 1))
    for a, b in np.ndindex(y.shape):
        for u, v in np.ndindex(m, n):
            if 0 <= a - u < H and 0 <= b - v < W:
                y[a, b] += w[u, v] * x[a - u, b - v]
    return y


def conv_transpose2d(
    x: Array,
    w: Array,
    bias: Array | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Array:
    """E12: every x[n,c,i,j] stamps its filter w[c,k] onto y, at (i s + u d - p, j s + v d - p)."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    oh, ow = pair(output_padding)
    N, C, H, W = x.shape
    _, K, R, S = w.shape  # (C, filters of one group, R, S)
    out_h = (H - 1) * sh - 2 * ph + dh * (R - 1) + oh + 1
    out_w = (W - 1) * sw - 2 * pw + dw * (S - 1) + ow + 1
    y = np.zeros((N, K * groups, out_h, out_w))
    for n, c, i, j in np.ndindex(x.shape):
        q = c // (C // groups)
        for k, u, v in np.ndindex(K, R, S):
            row, col = i * sh + u * dh - ph, j * sw + v * dw - pw
            if 0 <= row < out_h and 0 <= col < out_w:
                y[n, q * K + k, row, col] += x[n, c, i, j] * w[c, k, u, v]
    if bias is not None:
        for n, k, i, j in np.ndindex(y.shape):
            y[n, k, i, j] += bias[k]
    return y


def unfold(
    x: Array,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Array:
    """im2col: column l holds window l; its row (c R + u) S + v is x[n, c, i s + u d - p, j s + v d - p]."""
    (R, S), (dh, dw), (ph, pw), (sh, sw) = pair(kernel_size), pair(dilation), pair(padding), pair(stride)
    N, C, H, W = x.shape
    rows, cols = windows(H, R, sh, ph, dh), windows(W, S, sw, pw, dw)
    y = np.zeros((N, C * R * S, rows * cols))
    for n, c, u, v, i, j in np.ndindex(N, C, R, S, rows, cols):
        y[n, (c * R + u) * S + v, i * cols + j] = _at(x, n, c, i * sh + u * dh - ph, j * sw + v * dw - pw)
    return y


def fold(
    columns: Array,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Array:
    """col2im: every entry of every column is added to the pixel that unfold reads it from."""
    (R, S), (dh, dw), (ph, pw), (sh, sw) = pair(kernel_size), pair(dilation), pair(padding), pair(stride)
    H, W = pair(output_size)
    rows, cols = windows(H, R, sh, ph, dh), windows(W, S, sw, pw, dw)
    N, C = columns.shape[0], columns.shape[1] // (R * S)
    x = np.zeros((N, C, H, W))
    for n, c, u, v, i, j in np.ndindex(N, C, R, S, rows, cols):
        row, col = i * sh + u * dh - ph, j * sw + v * dw - pw
        if 0 <= row < H and 0 <= col < W:
            x[n, c, row, col] += columns[n, (c * R + u) * S + v, i * cols + j]
    return x


def pad(x: Array, amounts: tuple[int, ...], value: float = 0.0) -> Array:
    """Constant padding, torch's order: (left, right) of the last axis first; negative amounts crop."""
    before, after = [0] * x.ndim, [0] * x.ndim
    for position in range(len(amounts) // 2):
        before[-1 - position], after[-1 - position] = amounts[2 * position], amounts[2 * position + 1]
    y = np.full([b + n + a for b, n, a in zip(before, x.shape, after, strict=True)], float(value))
    for index in np.ndindex(y.shape):
        source = tuple(i - b for i, b in zip(index, before, strict=True))
        if all(0 <= i < n for i, n in zip(source, x.shape, strict=True)):
            y[index] = x[source]
    return y
