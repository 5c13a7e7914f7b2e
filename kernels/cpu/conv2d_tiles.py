"""What the algorithms of convolution share: products of any number of pixels, packed weights, padded pictures.

A product here is (pixels x depth) times (depth x channels out). The first matrix is read where the pixels lie (see
``products.py``); the second, the weights, is *packed* once per call in the order in which the inner loop reads
it: for every panel of :data:`~minidl.kernels.cpu.products.VECTORS` vectors of outputs, the vectors of one tap
and one input channel after those of the one before.

Pixels come in tiles of :data:`HEIGHTS` rows, the tallest first. The last tile of a row is moved to the left until it ends
with the row; some pixels are then computed twice, with the same result, and none beyond the row is ever touched.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.products import ROWS, VECTORS, tile_product
from minidl.kernels.cpu.vectors import lanes, lanes_of, load, splat, store

Array = np.ndarray[Any, Any]

#: Rows of the tiles of sums: 12, 8, 4 with AVX-512's registers, 6, 4, 2 with AVX2's.
HEIGHTS = TALL, MIDDLE, LOW = ROWS, ROWS * 2 // 3, ROWS // 3

#: Steps of the depth in one turn of the loop over pixels' numbers, which are neighbours in memory.
_UNROLL = 4

_tall, _middle, _low = (tile_product(height, VECTORS, _UNROLL) for height in HEIGHTS)
_tall_narrow, _middle_narrow, _low_narrow = (tile_product(height, 1, _UNROLL) for height in HEIGHTS)


@compiled
def _tile(
    height: int, vectors: int, a: Array, a_at: int, a_row: int, a_segment: int, b: Array, b_at: int, c: Array,
    c_at: int, c_row: int, segments: int, depth: int, accumulate: bool,
) -> None:  # fmt: skip
    """One tile: ``height`` pixels by 1 or VECTORS vectors of packed weights."""
    L = lanes(a)
    if vectors == 1:
        if height == TALL:
            _tall_narrow(
                a, a_at, a_row, a_segment, 1, b, b_at, L, L, c, c_at, c_row, L, segments, depth, accumulate
            )
        elif height == MIDDLE:
            _middle_narrow(
                a, a_at, a_row, a_segment, 1, b, b_at, L, L, c, c_at, c_row, L, segments, depth, accumulate
            )
        else:
            _low_narrow(
                a, a_at, a_row, a_segment, 1, b, b_at, L, L, c, c_at, c_row, L, segments, depth, accumulate
            )
    elif height == TALL:
        _tall(
            a,
            a_at,
            a_row,
            a_segment,
            1,
            b,
            b_at,
            VECTORS * L,
            L,
            c,
            c_at,
            c_row,
            L,
            segments,
            depth,
            accumulate,
        )
    elif height == MIDDLE:
        _middle(
            a,
            a_at,
            a_row,
            a_segment,
            1,
            b,
            b_at,
            VECTORS * L,
            L,
            c,
            c_at,
            c_row,
            L,
            segments,
            depth,
            accumulate,
        )
    else:
        _low(
            a,
            a_at,
            a_row,
            a_segment,
            1,
            b,
            b_at,
            VECTORS * L,
            L,
            c,
            c_at,
            c_row,
            L,
            segments,
            depth,
            accumulate,
        )


@compiled
def height_for(left: int) -> int:
    """The tile for so many rows that are left."""
    if left > MIDDLE:
        return TALL
    return MIDDLE if left > LOW else LOW


@compiled
def pixels_product(
    a: Array, a_at: int, a_row: int, a_outer: int, outers: int, a_segment: int, segments: int, depth: int,
    b: Array, b_at: int, vectors: int, bias: Array, bias_at: int, y: Array, y_at: int, y_row: int, left: int,
    count: int, sums: Array,
) -> None:  # fmt: skip
    """y[j, k] = bias[k] + Σ_o Σ_s Σ_d a[j, o, s, d] · b[o, s, d, k] for ``count`` pixels j and one panel of k.

    Only the first ``left`` channels k are written. No bias where that array is empty. ``sums`` has room for a
    tile. With fewer pixels than the lowest tile, a is read (not used) as if there were as many.
    """
    L = lanes(y)
    width = vectors * L
    accumulate = bias.size > 0
    done = 0
    while done < count:
        height = height_for(count - done)
        j = max(0, min(done, count - height))
        whole = width <= left and j + height <= count
        target, at, row = (y, y_at + j * y_row, y_row) if whole else (sums, 0, width)
        if accumulate:
            for v in range(vectors):
                value = load(bias, bias_at + v * L, L)
                for r in range(height):
                    store(target, at + r * row + v * L, value, L)
        for o in range(outers):
            _tile(height, vectors, a, a_at + j * a_row + o * a_outer, a_row, a_segment, b,
                  b_at + o * segments * depth * width, target, at, row, segments, depth,
                  accumulate or o > 0)  # fmt: skip
        if not whole:
            for r in range(min(height, count - j)):
                for v in range(vectors):
                    value = load(sums, r * width + v * L, L)
                    if left > v * L:
                        store(y, y_at + (j + r) * y_row + v * L, value, left - v * L)
        done = j + height


@compiled
def copy_padded(
    patch: Array, at: int, rows: int, columns: int, x: Array, start: int, H: int, W: int, C: int, top: int,
    left: int,
) -> None:  # fmt: skip
    """rows x columns pixels from (top, left) on of the image (H, W, C) at x[start]; 0 beyond its borders."""
    L = lanes(x)
    zero = splat(x, 0)
    first = min(max(0, -left), columns)
    last = max(first, min(columns, W - left))
    for r in range(rows):
        row, to = top + r, at + r * columns * C
        begin, end = (first, last) if 0 <= row < H else (columns, columns)
        for i in range(0, begin * C, L):
            store(patch, to + i, zero, begin * C - i)
        source = start + (row * W + left) * C
        for i in range(begin * C, end * C, L):
            store(patch, to + i, load(x, source + i, end * C - i), end * C - i)
        for i in range(end * C, columns * C, L):
            store(patch, to + i, zero, columns * C - i)


@compiled
def _pack(begin: int, end: int, worker: int, w: Array, packed: Array, sizes: Array, taps: Array) -> None:
    C, K, by_group, by_c, by_k, inner, by_outer = sizes
    L = lanes(w)
    KV = (K + L - 1) // L
    for piece in range(begin, end):
        group, kv = divmod(piece, KV)
        panel = kv - kv % VECTORS
        width = min(VECTORS, KV - panel) * L
        at = (group * KV + panel) * taps.size * C * L + (kv - panel) * L
        for lane in range(L):
            k = kv * L + lane
            place = group * by_group + k % inner * by_k + k // inner * by_outer
            for c in range(C):
                for t in range(taps.size):
                    value = w[place + c * by_c + taps[t]] if k < K else 0
                    packed[at + (t * C + c) * width + lane] = value


def pack(
    weight: Array,
    groups: int,
    channels: int,
    filters: int,
    taps: Array,
    by_group: int,
    by_channel: int,
    by_filter: int,
    inner: int | None = None,
    by_outer: int = 0,
) -> Array:
    """The weights of all groups as :func:`pixels_product` reads them: [group][panel][tap][channel][k].

    Args:
        weight: flat.
        channels, filters: inputs and outputs of a group.
        taps: where the taps lie, in their order.
        by_group, by_channel, by_filter: how far groups, inputs and outputs lie apart.
        inner, by_outer: outputs in runs of ``inner``, the runs ``by_outer`` apart.
    """
    lanes = lanes_of(weight.itemsize)
    vectors = -(-filters // lanes)
    packed = memory.empty((groups * vectors * taps.size * channels * lanes,), weight.dtype)
    sizes = (channels, filters, by_group, by_channel, by_filter, inner or max(1, filters), by_outer)
    threads.deal(_pack, groups * vectors, weight, packed, np.array(sizes, np.int64), taps)
    return packed


def flat(picture: Array) -> Array:
    """A channels-last picture as one row of numbers.

    Numba compiles anew for arrays that are read-only or misaligned; they are rare, and copied instead.
    """
    row = picture.transpose(0, 2, 3, 1).reshape(-1)
    return row if row.flags.behaved else row.copy()


def flat_weight(weight: Array) -> Array:
    """The same for a weight (or bias), which lies in C order."""
    row = weight.reshape(-1)
    return row if row.flags.behaved and row.flags.c_contiguous else row.copy()


def padded_bias(bias: Array | None, groups: int, filters: int, dtype: Any) -> Array:
    """Each group's bias with zeros up to whole vectors; empty for none."""
    if bias is None:
        return np.empty(0, dtype)
    lanes = lanes_of(np.dtype(dtype).itemsize)
    padded = np.zeros((groups, -(-filters // lanes) * lanes), dtype)
    padded[:, :filters] = bias.reshape(groups, filters)
    return padded.reshape(-1)


def residue_taps(first: int, kernel: int, stride: int, padding: int, dilation: int) -> tuple[Array, int, int]:
    """Which taps reach the pixels first + stride·t of dx, and from where in g.

    Pixel t gets from tap u what g holds at t + (first + padding - u·dilation) / stride, if that is whole.

    Returns:
        The taps, that of the smallest place first; how far apart the places are; minus the smallest at t = 0.
    """
    every = stride // math.gcd(stride, dilation)
    taps = [u for u in range(kernel) if (first + padding - u * dilation) % stride == 0][::-1]
    least = (first + padding - taps[0] * dilation) // stride if taps else 0
    return np.array(taps, np.int64), every * dilation // stride, -least
