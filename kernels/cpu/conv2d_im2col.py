"""Convolution by im2col: windows written out as rows of a matrix, then a product of matrices.

The form that textbooks teach, and the reference's, in blocks that never leave the second-level cache: the
windows of some output pixels are copied side by side (``columns``, pixels x (u, v, c)) and multiplied with
the packed weights while they are there.

    forward          Y    = columns · W
    backward_data    columns = G · Wᵀ, each number added back to the pixel that it was copied from (col2im)
    backward_weight  dW   = columnsᵀ · G

It copies kh·kw times as much as ``conv2d_direct.py``, but to the product all pixels are alike, wherever rows
and images end. So it wins where rows are shorter than a tile of sums, and where filters are many and images
small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_direct_weight import BEYOND, gather_weights, gradient_rows
from minidl.kernels.cpu.conv2d_tiles import (
    LOWEST,
    SUMS,
    flat,
    flat_weight,
    pack,
    padded_bias,
    panel_width,
    pixels_product,
)
from minidl.kernels.cpu.products import WIDE
from minidl.kernels.cpu.vectors import lanes, lanes_of, load, splat, store

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bytes of columns that are held at once.
BLOCK_BYTES = 256 * 1024
#: Shares of the batch in a gradient of weights; together they take no more than so many bytes.
SHARES, SHARE_BYTES = 16, 8 * 2**20
#: Pixels of a block are a multiple of this, the height of the tallest tile.
TALL = 12


@compiled
def _columns(columns: Array, x: Array, sizes: Array, first: int, last: int, part: int) -> None:
    """The windows of output pixels first..last-1 of the batch, C channels from part·C on: pixel, u, v, c."""
    (H, W, pixel, OH, OW, sy, sx, dy, dx, kh, kw, py, px, C) = sizes
    L, to = lanes(x), 0
    zero = splat(x, 0)
    for p in range(first, last):
        n, inside = divmod(p, OH * OW)
        top, left = inside // OW * sy - py, inside % OW * sx - px
        for u in range(kh):
            row = top + u * dy
            for v in range(kw):
                column = left + v * dx
                if 0 <= row < H and 0 <= column < W:
                    at = ((n * H + row) * W + column) * pixel + part * C
                    for c in range(0, C, L):
                        store(columns, to + c, load(x, at + c, C - c), C - c)
                else:
                    for c in range(0, C, L):
                        store(columns, to + c, zero, C - c)
                to += C


@compiled
def _add_columns(dx_: Array, columns: Array, sizes: Array, first: int, last: int, part: int) -> None:
    """The opposite: every number is added to the pixel that it came from."""
    (H, W, pixel, OH, OW, sy, sx, dy, dx, kh, kw, py, px, C) = sizes
    L, to = lanes(dx_), 0
    for p in range(first, last):
        n, inside = divmod(p, OH * OW)
        top, left = inside // OW * sy - py, inside % OW * sx - px
        for u in range(kh):
            row = top + u * dy
            for v in range(kw):
                column = left + v * dx
                if 0 <= row < H and 0 <= column < W:
                    at = ((n * H + row) * W + column) * pixel + part * C
                    for c in range(0, C, L):
                        store(dx_, at + c, load(dx_, at + c, C - c) + load(columns, to + c, C - c), C - c)
                to += C


@compiled
def _forward(begin: int, end: int, worker: int, sizes: Array, block: int, pixels: int, K: int, x: Array,
             packed: Array, bias: Array, y: Array, works: Array) -> None:  # fmt: skip
    L, C = lanes(x), sizes[13]
    groups, depth = sizes[2] // max(1, C), sizes[9] * sizes[10] * C
    KV = (K + L - 1) // L
    zero = begin * 0
    one = zero + 1  # constants in calls would each be compiled apart
    work = works[worker]
    sums, columns = work[: SUMS * L], work[SUMS * L :]
    for piece in range(begin, end):
        first = piece * block
        last = min(pixels, first + block)
        for group in range(groups):
            _columns(columns, x, sizes, first, last, group)
            v = 0
            while v < KV:
                panel, vectors = group * KV + v, panel_width(KV - v)
                pixels_product(columns, zero, depth, zero, one, zero, one, depth, packed, panel * depth * L,
                               vectors, bias, panel * L, y, first * K * groups + group * K + v * L,
                               K * groups, K - v * L, last - first, sums)  # fmt: skip
                v += vectors


@compiled
def _backward_data(begin: int, end: int, worker: int, sizes: Array, block: int, parts: int, groups: int,
                   K: int, g: Array, packed: Array, bias: Array, dx: Array,
                   works: Array) -> None:  # fmt: skip
    """Pieces (image, part of the channels), which do not see each other."""
    (H, W, pixel, OH, OW, _, _, _, _, kh, kw, _, _, C) = sizes
    L, depth = lanes(g), kh * kw * C
    DV, zero = (depth + L - 1) // L, splat(g, 0)
    none = begin * 0
    one = none + 1
    work = works[worker]
    sums, columns = work[: SUMS * L], work[SUMS * L :]
    for piece in range(begin, end):
        n, part = divmod(piece, parts)
        group = part if groups > 1 else 0
        for place in range(H * W):
            for c in range(0, C, L):
                store(dx, (n * H * W + place) * pixel + part * C + c, zero, C - c)
        for first in range(n * OH * OW, (n + 1) * OH * OW, block):
            last = min(first + block, (n + 1) * OH * OW)
            # As many whole rows as the lowest tile: it reads (and does not use) no more than these.
            start = max(0, min(first, (n + 1) * OH * OW - max(LOWEST, last - first)))
            skipped = first - start
            v = 0
            while v < DV:
                vectors = panel_width(DV - v)
                pixels_product(g, start * K * groups + group * K, K * groups, none, one, none, one, K, packed,
                               (part * DV + v) * K * L, vectors, bias, v * L, columns, v * L, depth,
                               depth - v * L, last - start, sums)  # fmt: skip
                v += vectors
            _add_columns(dx, columns[skipped * depth :], sizes, first, last, part)


@compiled
def _weights(begin: int, end: int, worker: int, sizes: Array, block: int, pixels: int, shares: int, K: int,
             x: Array, g: Array, dw: Array, works: Array) -> None:  # fmt: skip
    """Shares of the sums over blocks of pixels: dw[share, group, row of the columns, k]."""
    L, C = lanes(x), sizes[13]
    groups, depth = sizes[2] // max(1, C), sizes[9] * sizes[10] * C
    KV, room, blocks = (K + L - 1) // L, depth + BEYOND, (pixels + block - 1) // block
    work = works[worker]
    columns, edge = work[: block * depth + BEYOND], work[block * depth + BEYOND :]
    none = begin * 0
    one = none + 1
    for share in range(begin, end):
        sums, begin_block = dw[share], share * blocks // shares
        for number in range(begin_block, (share + 1) * blocks // shares):
            first = number * block
            last = min(pixels, first + block)
            careful = K % L != 0 and last == pixels  # the last vectors of the last pixel reach beyond g
            if careful:
                count = (last - first) * K * groups
                for i in range(0, count, L):
                    store(edge, i, load(g, first * K * groups + i, count - i), count - i)
            source, at = (edge, 0) if careful else (g, first * K * groups)
            for group in range(groups):
                _columns(columns, x, sizes, first, last, group)
                v = 0
                while v < KV:
                    vectors = panel_width(KV - v)
                    gradient_rows(columns, none, none, depth, depth, source, at + group * K + v * L,
                                  K * groups, vectors, sums, group * room * KV * L + v * L, KV * L, one,
                                  last - first, number > begin_block)  # fmt: skip
                    v += vectors


def _sizes(
    x_shape: tuple[int, ...],
    out: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    channels: int,
) -> Array:
    _, c, h, w = x_shape
    return np.array((h, w, c, *out, *stride, *dilation, *kernel, *padding, channels), np.int64)


def _block(pixels: int, depth: int, itemsize: int) -> int:
    """Pixels whose columns are held at once: whole tiles, and some blocks for each thread."""
    most = max(1, BLOCK_BYTES // max(1, depth * itemsize) // TALL)
    few = -(-pixels // (TALL * 4 * threads.get_num_threads()))
    return TALL * max(1, min(most, few))


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
    """x (N, C, H, W), weight (K, C/groups, kh, kw), bias (K) or None, to y (N, K, OH, OW), channels-last."""
    k, c, kh, kw = weight.shape
    area, per_group = kh * kw, k // groups
    y = memory.empty_channels_last((x.shape[0], k, *out), x.dtype)
    packed = pack(
        *(flat_weight(weight), groups, c, per_group, np.arange(area), per_group * c * area, area, c * area)
    )
    pixels = x.shape[0] * out[0] * out[1]
    block = _block(pixels, area * c, x.itemsize)
    room = SUMS * lanes_of(x.itemsize) + block * area * c
    works = memory.empty((threads.get_num_threads(), room + 64), x.dtype)
    sizes = _sizes(x.shape, out, (kh, kw), stride, padding, dilation, c)
    arrays = (flat(x), packed, padded_bias(bias, groups, per_group, x.dtype), flat(y), works)
    threads.deal(_forward, -(-pixels // block), sizes, block, pixels, per_group, *arrays)
    return y


def channel_parts(channels: int, images: int, wanted: int) -> int:
    """So many equal parts of the channels that there are ``wanted`` pieces of work, if that can be.

    >>> channel_parts(192, 1, 8), channel_parts(192, 16, 8), channel_parts(21, 1, 8)
    (8, 1, 1)
    """
    fits = [p for p in range(1, channels + 1) if channels % p == 0 and (p == 1 or channels // p >= 16)]
    return next((p for p in fits if p * images >= wanted), fits[-1])


def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cotangent g (N, K, OH, OW) to that of x (N, C, H, W)."""
    k, per_group, kh, kw = weight.shape
    area, filters, out = kh * kw, k // groups, (g.shape[2], g.shape[3])
    dx = memory.empty_channels_last(x_shape, g.dtype)
    # Images or groups are dealt out; if there are few, parts of the channels.
    parts = groups
    if groups == 1:
        parts = channel_parts(per_group, x_shape[0], 4 * threads.get_num_threads())
        per_group //= parts
    by_part = per_group * area if groups == 1 else filters * per_group * area
    packed = pack(
        *(flat_weight(weight), parts, filters, area * per_group, np.zeros(1, np.int64), by_part),
        *(weight.shape[1] * area, area, per_group, 1),
    )
    block = _block(out[0] * out[1] * 4 * threads.get_num_threads(), area * per_group, g.itemsize)
    room = SUMS * lanes_of(g.itemsize) + (block + LOWEST) * area * per_group
    works = memory.empty((threads.get_num_threads(), room + 64), g.dtype)
    sizes = _sizes(x_shape, out, (kh, kw), stride, padding, dilation, per_group)
    flat_g = flat(g)
    if flat_g.size < LOWEST * k:  # fewer pixels than the lowest tile may read
        flat_g = np.concatenate([flat_g, np.zeros(LOWEST * k, g.dtype)])
    arrays = (flat_g, packed, padded_bias(None, 1, area * per_group, g.dtype), flat(dx), works)
    threads.deal(_backward_data, x_shape[0] * parts, sizes, block, parts, groups, filters, *arrays)
    return dx


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
    k, c, kh, kw = weight_shape
    depth, filters, out, lanes = kh * kw * c, k // groups, (g.shape[2], g.shape[3]), lanes_of(x.itemsize)
    dw, pixels = memory.empty(weight_shape, x.dtype), x.shape[0] * g.shape[2] * g.shape[3]
    if not (pixels and dw.size):
        dw[...] = 0
        return dw
    room, vectors = depth + BEYOND, -(-filters // lanes)
    block = TALL * max(1, min(32, BLOCK_BYTES // (depth * x.itemsize) // TALL))
    most = SHARE_BYTES // (groups * room * vectors * lanes * x.itemsize)
    shares = max(1, min(SHARES, -(-pixels // block), most))
    works = memory.empty(
        (threads.get_num_threads(), block * (depth + k) + BEYOND + WIDE * lanes + 64), x.dtype
    )
    sums = memory.empty((shares, groups * room * vectors * lanes), x.dtype)
    sizes = _sizes(x.shape, out, (kh, kw), stride, padding, dilation, c)
    arguments = (sizes, block, pixels, shares, filters, flat(x), flat(g), sums, works)
    threads.deal(_weights, shares, *arguments, parts=shares)
    numbers = np.array((c, filters, 1, depth, room), np.int64)
    lines = memory.empty((threads.get_num_threads(), lanes), x.dtype)
    threads.deal(gather_weights, groups * vectors, numbers, sums, dw.reshape(-1), lines)
    return dw
