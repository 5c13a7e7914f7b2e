"""Depthwise convolution: each channel by its own filters, vectors over channels.

With as many groups as channels there is no sum over channels, and so no product of matrices; but with the
channels last in memory, neighbouring channels are a vector, and every tap is one multiply-add of whole vectors:

    forward          y[j, k]  = β[k] + Σ_t x[j·s + t, k] · w[t, k]
    backward_data    the same with g and the flipped taps, one residue class of pixels after the other
    backward_weight  dw[t, k] = Σ_j x[j·s + t, k] · g[j, k]

Four pixels are computed at a time, so each weight is loaded once for four multiply-adds. All of it waits for memory,
not for arithmetic.

With a *multiplier* M (K = M·C filters), filter k reads channel ⌊k / M⌋: the rows that a block of output needs are
copied with every channel written M times, and the gradient of the data is summed over M neighbours before it is
written. Borders: the same copy between zeros, as in ``conv2d_direct.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_tiles import copy_padded, flat, flat_weight, residue_taps
from minidl.kernels.cpu.vectors import fma, lanes, load, splat, store

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bytes of the rows that a block works on.
BLOCK_BYTES = 128 * 1024
#: Shares of the batch in a gradient of weights, whatever the number of threads.
SHARES = 16


@compiled
def _rows_in(
    patch: Array, rows: int, columns: int, x: Array, start: int, H: int, W: int, C: int, M: int, top: int,
    left: int,
) -> None:  # fmt: skip
    """As :func:`copy_padded`, every channel M times."""
    if M == 1:
        copy_padded(patch, 0, rows, columns, x, start, H, W, C, top, left)
        return
    at = 0
    for r in range(top, top + rows):
        for column in range(left, left + columns):
            inside = 0 <= r < H and 0 <= column < W
            for c in range(C):
                value = x[start + (r * W + column) * C + c] if inside else 0
                for _ in range(M):
                    patch[at] = value
                    at += 1


@compiled
def _row(
    x: Array, at: int, line: int, tap: int, pixel: int, K: int, w: Array, kh: int, kw: int, bias: Array, y: Array,
    y_at: int, y_pixel: int, count: int,
) -> None:  # fmt: skip
    """One row of ``count`` output pixels; filter rows, taps and pixels are line, tap and pixel apart in x."""
    L = lanes(x)
    has_bias, zero, p1 = bias.size > 0, splat(x, 0), pixel
    for j in range(0, count, 4):
        # Beyond the end of the row the last pixel is computed again.
        j1, j2, j3 = min(j + 1, count - 1), min(j + 2, count - 1), min(j + 3, count - 1)
        for k in range(0, K, L):
            left = K - k
            a = load(bias, k, left) if has_bias else zero
            b = c = d = a
            for u in range(kh):
                for v in range(kw):
                    place = at + u * line + v * tap + k
                    weights = load(w, (u * kw + v) * K + k, left)
                    a = fma(load(x, place + j * p1, left), weights, a)
                    b = fma(load(x, place + j1 * p1, left), weights, b)
                    c = fma(load(x, place + j2 * p1, left), weights, c)
                    d = fma(load(x, place + j3 * p1, left), weights, d)
            to = y_at + k
            store(y, to + j * y_pixel, a, left)
            store(y, to + j1 * y_pixel, b, left)
            store(y, to + j2 * y_pixel, c, left)
            store(y, to + j3 * y_pixel, d, left)


@compiled
def _convolve(begin: int, end: int, worker: int, sizes: Array, x: Array, w: Array, bias: Array, y: Array,
              works: Array) -> None:  # fmt: skip
    """Blocks of ``rows`` output rows. spread: x has so few channels, each read so often; fold: y the same."""
    (N, H, W, K, OH, OW, sy, sx, dy, dx, kh, kw, py, px, rows, spread, fold, y_at, y_image, y_row, y_pixel,
     copied, room) = sizes  # fmt: skip
    patch, folded = works[worker, :room], works[worker, room:]
    source = patch if copied else x
    C, blocks = K // spread, (OH + rows - 1) // rows
    for piece in range(begin, end):
        n, i0 = piece // blocks, piece % blocks * rows
        i1 = min(OH, i0 + rows)
        line, at0 = W * K, ((n * H + i0 * sy - py) * W - px) * K
        if copied:
            high, wide = (i1 - i0 - 1) * sy + (kh - 1) * dy + 1, (OW - 1) * sx + (kw - 1) * dx + 1
            line, at0 = wide * K, 0
            _rows_in(patch, high, wide, x, n * H * W * C, H, W, C, spread, i0 * sy - py, -px)
        for i in range(i0, i1):
            at, to = at0 + (i - i0) * sy * line, y_at + n * y_image + i * y_row
            if fold == 1:
                _row(source, at, dy * line, dx * K, sx * K, K, w, kh, kw, bias, y, to, y_pixel, OW)
                continue
            _row(source, at, dy * line, dx * K, sx * K, K, w, kh, kw, bias, folded, 0, K, OW)
            for j in range(OW):
                for c in range(K // fold):
                    total = folded[j * K + c * fold]
                    for m in range(1, fold):
                        total += folded[j * K + c * fold + m]
                    y[to + j * y_pixel + c] = total


def _run(
    x: Array,
    x_shape: tuple[int, ...],
    weights: Array,
    bias: Array,
    y: Array,
    places: tuple[int, int, int, int],
    out: Pair,
    channels: int,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    spread: int = 1,
    fold: int = 1,
) -> None:
    """Flat x to ``out`` pixels of flat y; ``places``: where pixel (0, 0) lies, and how far things are apart."""
    n, _, h, w = x_shape
    need = tuple(
        (o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation, strict=True)
    )
    copied = spread > 1 or (
        0 not in kernel and (max(padding) > 0 or need[0] - padding[0] > h or need[1] - padding[1] > w)
    )
    row_bytes = max(1, need[1] * channels * stride[0] * x.itemsize)
    rows = max(1, min(out[0], BLOCK_BYTES // row_bytes))
    room = ((rows - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1) * need[1] * channels if copied else 0
    works = memory.empty(
        (threads.get_num_threads(), room + (out[1] * channels if fold > 1 else 0) + 64), x.dtype
    )
    sizes = (
        n,
        h,
        w,
        channels,
        *out,
        *stride,
        *dilation,
        *kernel,
        *padding,
        rows,
        spread,
        fold,
        *places,
        copied,
        room,
    )
    pieces = n * -(-out[0] // rows)
    threads.deal(_convolve, pieces, np.array(sizes, np.int64), x, weights, bias, y, works)


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
    """x (N, C, H, W), weight (M·C, 1, kh, kw), bias (M·C) or None, to y (N, M·C, OH, OW), channels-last."""
    k, _, kh, kw = weight.shape
    y = memory.empty_channels_last((x.shape[0], k, *out), x.dtype)
    by_tap = np.ascontiguousarray(weight.reshape(k, kh * kw).T).reshape(-1)
    none = np.empty(0, x.dtype)
    places = (0, out[0] * out[1] * k, out[1] * k, k)
    _run(
        *(flat(x), x.shape, by_tap, none if bias is None else flat_weight(bias), flat(y), places, out, k),
        *((kh, kw), stride, padding, dilation, k // groups),
    )
    return y


def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cotangent g (N, M·C, OH, OW) to that of x (N, C, H, W)."""
    _, c, h, w = x_shape
    k, _, kh, kw = weight.shape
    dx = memory.empty_channels_last(x_shape, g.dtype)
    none = np.empty(0, g.dtype)
    for first_row in range(min(stride[0], h)):
        us, dy, py = residue_taps(first_row, kh, stride[0], padding[0], dilation[0])
        for first in range(min(stride[1], w)):
            vs, dx_, px = residue_taps(first, kw, stride[1], padding[1], dilation[1])
            taps = weight.reshape(k, kh, kw)[:, us[:, None], vs].reshape(k, -1)
            kernel = (us.size, vs.size) if taps.size else (0, 0)
            out = (-(-(h - first_row) // stride[0]), -(-(w - first) // stride[1]))
            places = ((first_row * w + first) * c, h * w * c, stride[0] * w * c, stride[1] * c)
            _run(
                *(flat(g), g.shape, np.ascontiguousarray(taps.T).reshape(-1), none, flat(dx), places, out, k),
                *(kernel, (1, 1), (py, px), (dy, dx_), 1, k // groups),
            )
    return dx


@compiled
def _weights(
    begin: int, end: int, worker: int, sizes: Array, x: Array, g: Array, dw: Array, works: Array
) -> None:
    """Shares of the sums over the blocks of output rows, as dw[share, tap·K + k]."""
    (N, H, W, K, OH, OW, sy, sx, dy, dx, kh, kw, py, px, rows, spread, shares, copied) = sizes
    L = lanes(x)
    patch = works[worker]
    source = patch if copied else x
    C, high_blocks = K // spread, (OH + rows - 1) // rows
    for share in range(begin, end):
        sums = dw[share]
        sums[:] = 0
        for block in range(share * N * high_blocks // shares, (share + 1) * N * high_blocks // shares):
            n, i0 = block // high_blocks, block % high_blocks * rows
            i1 = min(OH, i0 + rows)
            line, at0 = W * K, ((n * H + i0 * sy - py) * W - px) * K
            if copied:
                high, wide = (i1 - i0 - 1) * sy + (kh - 1) * dy + 1, (OW - 1) * sx + (kw - 1) * dx + 1
                line, at0 = wide * K, 0
                _rows_in(patch, high, wide, x, n * H * W * C, H, W, C, spread, i0 * sy - py, -px)
            for i in range(i0, i1):
                b = (n * OH + i) * OW * K
                for k in range(0, K, L):
                    for u in range(kh):
                        for v in range(kw):
                            a = at0 + ((i - i0) * sy + u * dy) * line + v * dx * K + k
                            place = (u * kw + v) * K + k
                            total = load(sums, place, K - k) + _row_sum(
                                source, a, sx * K, g, b + k, K, OW, K - k
                            )
                            store(sums, place, total, K - k)


@compiled
def _row_sum(
    x: Array, x_at: int, x_pixel: int, g: Array, g_at: int, g_pixel: int, count: int, left: int
) -> Any:
    """Σ_j x[j] · g[j] over the pixels of a row, lane by lane: four sums, which do not wait for each other."""
    a = b = c = d = splat(x, 0)
    whole = count // 4 * 4
    for j in range(0, whole, 4):
        p, q = x_at + j * x_pixel, g_at + j * g_pixel
        a = fma(load(x, p, left), load(g, q, left), a)
        b = fma(load(x, p + x_pixel, left), load(g, q + g_pixel, left), b)
        c = fma(load(x, p + 2 * x_pixel, left), load(g, q + 2 * g_pixel, left), c)
        d = fma(load(x, p + 3 * x_pixel, left), load(g, q + 3 * g_pixel, left), d)
    for j in range(whole, count):
        a = fma(load(x, x_at + j * x_pixel, left), load(g, g_at + j * g_pixel, left), a)
    return (a + b) + (c + d)


def backward_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cotangent g (N, M·C, OH, OW) and input x (N, C, H, W) to that of the weight (M·C, 1, kh, kw)."""
    k, _, *kernel = weight_shape
    n, _, h, w = x.shape
    out, spread = (g.shape[2], g.shape[3]), k // groups
    need = tuple(
        (o - 1) * s + (q - 1) * d + 1 for o, s, q, d in zip(out, stride, kernel, dilation, strict=True)
    )
    copied = spread > 1 or max(padding) > 0 or need[0] > h or need[1] > w
    row_bytes = max(1, need[1] * k * stride[0] * x.itemsize)
    rows = max(1, min(out[0], BLOCK_BYTES // row_bytes))
    shares = max(1, min(SHARES, n * -(-out[0] // rows)))
    room = ((rows - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1) * need[1] * k if copied else 0
    works = memory.empty((threads.get_num_threads(), room + 64), x.dtype)
    sums = np.empty((shares, kernel[0] * kernel[1] * k), x.dtype)
    sizes = (n, h, w, k, *out, *stride, *dilation, *kernel, *padding, rows, spread, shares, copied)
    threads.deal(_weights, shares, np.array(sizes, np.int64), flat(x), flat(g), sums, works, parts=shares)
    return np.ascontiguousarray(sums.sum(axis=0).reshape(-1, k).T).reshape(weight_shape)
