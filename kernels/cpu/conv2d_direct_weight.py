"""The gradient of a convolution's weights, directly: products over pixels, out of registers.

    dW[(u, v, c), k] = Σ_j x[j·s + (u, v, c)] · g[j, k]

Twelve inputs (v, c) by 32 filters are summed in registers while the pixels j of a block go by. A block has a few
hundred pixels: few enough for its cotangents (one panel of 32 filters) to stay in the first-level cache, enough for
the sums' trips to memory not to matter.

The sum over the batch is cut into *shares*, and the filters into chunks where there are few pixels; both depend
on the problem only, not on the number of threads, and so does the result.

Two things could reach beyond an array: the last vector of filters, where K is no multiple of the lanes, and the last
rows of a tile of inputs. Elsewhere they read neighbours, whose products land in places that nobody looks at; for the
last row of pixels of the batch, both are copied to a work space with room to spare.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_tiles import LOW, TALL, HEIGHTS, MIDDLE, copy_padded, flat, height_for
from minidl.kernels.cpu.products import VECTORS, tile_product
from minidl.kernels.cpu.vectors import lanes, lanes_of, load, store

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Output pixels of a block, about; and the most that a block of image may take, in bytes.
BLOCK_PIXELS, BLOCK_BYTES = 384, 512 * 1024
#: Shares of the batch; together their sums take no more than so many bytes, or there are fewer.
SHARES, SHARE_BYTES = 16, 8 * 2**20


_tall, _middle, _low = (tile_product(height, VECTORS) for height in HEIGHTS)
_tall_narrow, _middle_narrow, _low_narrow = (tile_product(height, 1) for height in HEIGHTS)


@compiled
def gradient_tile(
    height: int, vectors: int, x: Array, x_at: int, x_row: int, x_pixel: int, g: Array, g_at: int, g_pixel: int,
    dw: Array, at: int, row: int, rows: int, pixels: int, accumulate: bool,
) -> None:  # fmt: skip
    """One tile of sums: ``height`` inputs by 1 or VECTORS vectors of filters, over rows of pixels."""
    L = lanes(x)
    if vectors == 1:
        if height == TALL:
            _tall_narrow(
                x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate
            )
        elif height == MIDDLE:
            _middle_narrow(
                x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate
            )
        else:
            _low_narrow(
                x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate
            )
    elif height == TALL:
        _tall(x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate)
    elif height == MIDDLE:
        _middle(x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate)
    else:
        _low(x, x_at, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, at, row, L, rows, pixels, accumulate)


@compiled
def _products(
    x: Array, at: int, line: int, pixel: int, C: int, K: int, sy: int, sx: int, dy: int, dx: int, kh: int,
    kw: int, groups: int, rows: int, pixels: int, g: Array, g_at: int, dw: Array, begin: int, end: int,
    accumulate: bool,
) -> None:  # fmt: skip
    """Panels begin..end-1 of dw (+)= Xᵀ g over ``rows`` rows of ``pixels`` pixels. C, K: of a group."""
    L = lanes(dw)
    KV = (K + L - 1) // L
    panels = (KV + VECTORS - 1) // VECTORS
    merged = groups == 1 and dx == 1
    runs, length = (kh, kw * C) if merged else (kh * kw, C)
    room = (length + LOW - 1) // LOW * LOW
    for panel in range(begin, end):
        group, v = panel // panels, panel % panels * VECTORS
        vectors = min(VECTORS, KV - v)
        b = g_at + group * K + v * L
        for run in range(runs):
            place = (
                at
                + group * C
                + (run * dy * line if merged else run // kw * dy * line + run % kw * dx * pixel)
            )
            r = 0
            while r < length:
                height = height_for(length - r)
                to = ((group * runs + run) * room + r) * KV * L + v * L
                gradient_tile(height, vectors, x, place + r, sy * line, sx * pixel, g, b, K * groups, dw, to,
                              KV * L, rows, pixels, accumulate)  # fmt: skip
                r += height


@compiled
def _weights(
    begin: int, end: int, worker: int, sizes: Array, x: Array, g: Array, dw: Array, works: Array
) -> None:
    """Pieces (share, chunk of panels): sums over the blocks of the share."""
    (N, H, W, C, OH, OW, K, sy, sx, dy, dx, kh, kw, py, px, groups, images, rows, shares, chunks, panels, copied,
     careful, room) = sizes  # fmt: skip
    L = lanes(g)
    high_blocks = (OH + rows - 1) // rows
    blocks = (N + images - 1) // images * high_blocks
    patch, edge = works[worker, :room], works[worker, room:]
    for piece in range(begin, end):
        share, chunk = divmod(piece, chunks)
        first, last = chunk * panels // chunks, (chunk + 1) * panels // chunks
        sums = dw[share]
        accumulate = False
        for block in range(share * blocks // shares, (share + 1) * blocks // shares):
            n0, i0 = block // high_blocks * images, block % high_blocks * rows
            i1 = min(OH, i0 + rows)
            for n in range(n0, min(N, n0 + images)):
                apart = careful and n == N - 1 and i1 == OH  # the last row: see this file's text
                for part in range(2):
                    begin_row, end_row = (i0, i1 - apart) if part == 0 else (i1 - apart, i1)
                    if begin_row == end_row:
                        continue
                    g_at = (n * OH + begin_row) * OW * K
                    top, left = begin_row * sy - py, -px
                    if copied or part == 1:
                        high, wide = (
                            (end_row - begin_row - 1) * sy + (kh - 1) * dy + 1,
                            (OW - 1) * sx + (kw - 1) * dx + 1,
                        )
                        copy_padded(patch, 0, high, wide, x, n * H * W * C, H, W, C, top, left)
                    if part == 1:
                        for i in range(0, OW * K, L):
                            store(edge, i, load(g, g_at + i, OW * K - i), OW * K - i)
                        _products(patch, 0, wide * C, C, C // groups, K // groups, sy, sx, dy, dx, kh, kw, groups,
                                  1, OW, edge, 0, sums, first, last, accumulate)  # fmt: skip
                    elif copied:
                        _products(patch, 0, wide * C, C, C // groups, K // groups, sy, sx, dy, dx, kh, kw, groups,
                                  end_row - begin_row, OW, g, g_at, sums, first, last, accumulate)  # fmt: skip
                    else:
                        at = ((n * H + top) * W + left) * C
                        _products(x, at, W * C, C, C // groups, K // groups, sy, sx, dy, dx, kh, kw, groups,
                                  end_row - begin_row, OW, g, g_at, sums, first, last, accumulate)  # fmt: skip
                    accumulate = True


@compiled
def gather_weights(
    begin: int, end: int, worker: int, sizes: Array, sums: Array, dw: Array, works: Array
) -> None:
    """Vectors of filters of dw (K, C/groups, kh, kw): the shares of sums[share, group, run, row, k] added up."""
    C, K, runs, length, room = sizes
    L = lanes(dw)
    KV, work = (K + L - 1) // L, works[worker]
    for piece in range(begin, end):
        group, kv = divmod(piece, KV)
        for run in range(runs):
            for r in range(length):
                at = ((group * runs + run) * room + r) * KV * L + kv * L
                total = load(sums[0], at, L)
                for share in range(1, sums.shape[0]):
                    total = total + load(sums[share], at, L)
                store(work, 0, total, L)
                place = run * length + r  # tap·C + c
                to = place % C * (runs * length // C) + place // C
                for lane in range(min(L, K - kv * L)):
                    dw[(group * K + kv * L + lane) * runs * length + to] = work[lane]


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
    k, per_group, kh, kw = weight_shape
    n, c, h, w = x.shape
    out, dtype = (g.shape[2], g.shape[3]), x.dtype
    dw = np.empty(weight_shape, dtype)
    pointwise = (kh, kw, *stride, *padding) == (1, 1, 1, 1, 0, 0) and out == (h, w)
    if pointwise:  # the rows of all images follow each other; short rows are put together
        n, h, w = (1, n, h * w) if h * w <= BLOCK_PIXELS else (1, n * h, w)
        out = (h, w)
    if not (n and k and per_group and dw.size and out[0] * out[1]):
        dw[...] = 0
        return dw
    lanes, merged = lanes_of(dtype.itemsize), groups == 1 and dilation[1] == 1
    runs, length = (kh, kw * c) if merged else (kh * kw, per_group)
    vectors = -(-(k // groups) // lanes)
    size = groups * runs * (-(-length // LOW) * LOW) * vectors * lanes
    need = tuple(
        (o - 1) * s + (q - 1) * d + 1 for o, s, q, d in zip(out, stride, (kh, kw), dilation, strict=True)
    )
    copied = max(padding) > 0 or need[0] > h or need[1] > w
    careful = (k // groups) % lanes != 0 or (not copied and length % LOW != 0)
    images, rows = _block(n, out, need[1] * c * stride[0] * dtype.itemsize)
    images = 1 if pointwise else images
    blocks = -(-n // images) * -(-out[0] // rows)
    shares = max(1, min(SHARES, blocks, SHARE_BYTES // (size * dtype.itemsize)))
    panels = groups * -(-vectors // VECTORS)
    chunks = max(1, min(panels, SHARES // shares))
    room = ((rows - 1) * stride[0] + (kh - 1) * dilation[0] + 1) * need[1] * c + TALL * stride[1] * c
    room = room if copied or careful else 0
    works = memory.empty(
        (threads.get_num_threads(), room + (out[1] * k + VECTORS * lanes if careful else 0) + 64), dtype
    )
    sums = memory.empty((shares, size), dtype)
    sizes = (n, h, w, c, *out, k, *stride, *dilation, kh, kw, *padding, groups, images, rows, shares, chunks, panels, copied, careful, room)  # fmt: skip
    threads.deal(
        *(_weights, shares * chunks, np.array(sizes, np.int64), flat(x), flat(g), sums, works),
        parts=shares * chunks,
    )
    sizes = (per_group, k // groups, runs, length, -(-length // LOW) * LOW)
    lines = memory.empty((threads.get_num_threads(), lanes), dtype)
    threads.deal(gather_weights, groups * vectors, np.array(sizes, np.int64), sums, dw.reshape(-1), lines)
    return dw


def _block(n: int, out: Pair, row_bytes: int) -> Pair:
    """Images and rows of a block of about BLOCK_PIXELS pixels; several images only where they fit whole."""
    rows = max(1, min(BLOCK_PIXELS // out[1], BLOCK_BYTES // max(1, row_bytes)))
    if rows < out[0]:
        return 1, -(-out[0] // -(-out[0] // rows))
    return min(n, rows // out[0]), out[0]
