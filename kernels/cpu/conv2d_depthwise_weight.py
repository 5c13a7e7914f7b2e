"""The gradient of a depthwise convolution's weights: dw[t, k] = Σ_j x[j·s + t, k] · g[j, k].

See ``conv2d_depthwise.py``. Nine taps are summed in registers, so each cotangent is loaded once for nine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_depthwise import (
    filled,
    filled_cotangents,
    inside,
    rows_of_block,
    spread_rows,
)
from minidl.kernels.cpu.conv2d_tiles import flat
from minidl.kernels.cpu.tap_products import tap_sums
from minidl.kernels.cpu.vectors import lanes, lanes_of

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Shares of the batch in a gradient of weights, whatever the number of threads.
SHARES = 16

_nine_sums, _three_sums, _one_sum = tap_sums(9), tap_sums(3), tap_sums(1)


@compiled
def _taps_of_row(
    x: Array, at: int, step: int, offsets: Array, taps: int, g: Array, g_at: int, g_pixel: int, count: int,
    dw: Array, dw_at: int, dw_tap: int, x_ahead: int, g_ahead: int,
) -> None:  # fmt: skip
    """dw[t] += Σ_j x[j, t] · g[j] for any number of taps; x_ahead, g_ahead: what is read next."""
    t = 0
    while t < taps:
        to, left = dw_at + t * dw_tap, taps - t
        if left >= 9:
            _nine_sums(x, at, step, offsets, t, g, g_at, g_pixel, count, dw, to, dw_tap, x_ahead,
                       g_ahead)  # fmt: skip
            t += 9
        elif left >= 3:
            _three_sums(x, at, step, offsets, t, g, g_at, g_pixel, count, dw, to, dw_tap, x_ahead,
                       g_ahead)  # fmt: skip
            t += 3
        else:
            _one_sum(x, at, step, offsets, t, g, g_at, g_pixel, count, dw, to, dw_tap, x_ahead,
                     g_ahead)  # fmt: skip
            t += 1


@compiled
def _weights(
    begin: int, end: int, worker: int, sizes: Array, x: Array, g: Array, dw: Array, works: Array
) -> None:
    """Shares of the sums over the blocks of output rows, as dw[share, vector of channels, tap, lane]."""
    (N, H, W, K, OH, OW, sy, sx, dy, dx, kh, kw, py, px, rows, spread, shares) = sizes
    L, patch = lanes(x), works[worker]
    source = patch if spread > 1 else x
    C, high_blocks = K // spread, (OH + rows - 1) // rows
    j0, _ = inside(-px, sx, OW, W)
    _, j1 = inside((kw - 1) * dx - px, sx, OW, W)
    j1 = max(j0, j1)
    offsets = np.empty(kh * kw, np.int64)
    for t in range(kh * kw):
        offsets[t] = (t // kw * dy * W + t % kw * dx) * K
    for share in range(begin, end):
        sums = dw[share]
        sums[:] = 0
        for block in range(share * N * high_blocks // shares, (share + 1) * N * high_blocks // shares):
            n, i0 = block // high_blocks, block % high_blocks * rows
            i1 = min(OH, i0 + rows)
            first, last, at = 0, H, n * H * W * K
            if spread > 1:
                first = min(H, max(0, i0 * sy - py))
                last = max(first, min(H, (i1 - 1) * sy - py + (kh - 1) * dy + 1))
                spread_rows(patch, first, last, x, n * H * W * C, W, C, spread)
                at = 0
            for i in range(i0, i1):
                top = i * sy - py - first
                u0, u1 = inside(top, dy, kh, last - first)
                row, cotangents = at + (top + u0 * dy) * W * K - px * K, (n * OH + i) * OW * K
                vectors = (K + L - 1) // L
                for v in range(vectors):
                    k = min(v * L, K - L)
                    to, step = (v * kh * kw + u0 * kw) * L, sx * K
                    # What the next row of windows reads arrives while this one is summed.
                    x_ahead = row + kh * dy * W * K + v * OW * L * sx
                    g_ahead = cotangents + OW * K + v * OW * L
                    if j1 > j0:
                        _taps_of_row(source, row + k + j0 * step, step, offsets, (u1 - u0) * kw, g,
                                     cotangents + k + j0 * K, K, j1 - j0, sums, to, L, x_ahead,
                                     g_ahead)  # fmt: skip
                    for outer in range(OW - (j1 - j0)):  # columns whose windows reach beyond the image
                        j = outer if outer < j0 else outer + j1 - j0
                        v0, v1 = inside(j * sx - px, dx, kw, W)
                        for u in range(u1 - u0):
                            for t in range(v0, v1):
                                tap = u * kw + t
                                _one_sum(source, row + k + j * step, step, offsets, tap, g,
                                         cotangents + k + j * K, K, 1, sums, to + tap * L, L, x_ahead,
                                         g_ahead)  # fmt: skip


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
    filters, multiplier = weight_shape[0], weight_shape[0] // groups
    x, g = filled(x, multiplier), filled_cotangents(g, multiplier)
    k, kernel, lanes = g.shape[1], (weight_shape[2], weight_shape[3]), lanes_of(x.itemsize)
    taps = kernel[0] * kernel[1]
    n, _, h, w = x.shape
    out = (g.shape[2], g.shape[3])
    rows, room = rows_of_block(out, w, k, kernel, stride, dilation, x.itemsize)
    shares = max(1, min(SHARES, n * -(-out[0] // rows)))
    works = memory.empty((threads.get_num_threads(), (room if multiplier > 1 else 0) + 64), x.dtype)
    vectors = -(-k // lanes)
    sums = np.empty((shares, vectors * taps * lanes), x.dtype)
    sizes = (n, h, w, k, *out, *stride, *dilation, *kernel, *padding, rows, multiplier, shares)
    threads.deal(_weights, shares, np.array(sizes, np.int64), flat(x), flat(g), sums, works, parts=shares)
    by_vector = sums.sum(axis=0).reshape(vectors, taps, lanes)
    dw = np.empty((k, taps), x.dtype)
    dw[-lanes:] = by_vector[-1].T
    dw[: (vectors - 1) * lanes] = by_vector[:-1].transpose(0, 2, 1).reshape(-1, taps)
    return dw[:filters].reshape(weight_shape)
