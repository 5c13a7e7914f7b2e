"""What the algorithms of convolution share: products of pixels, packed weights, padded pictures.

A product here is (pixels x depth) times (depth x channels out). The first matrix is read where the pixels
lie (see ``products.py``); the second, the weights, is *packed* once per call in the order in which the
inner loop reads it: for every panel of a few vectors of outputs, the vectors of one tap and one input
channel after those of the one before.

Panels are WIDE vectors wide, the last ones 2 or 1. Pixels come in tiles of two heights, so many of each
that few pixels are computed twice (:func:`tall_tiles`): the last tile of a row is moved to the left until
it ends with the row, and none beyond the row is ever touched.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.products import ROWS, WIDE, packed_product
from minidl.kernels.cpu.vectors import REGISTERS, lanes, lanes_of, load, splat, store

Array = np.ndarray[Any, Any]

#: Rows of the tiles of sums: 12, 8, 4 with AVX-512's registers, 6, 4, 2 with AVX2's.
HEIGHTS = TALL, MIDDLE, LOW = ROWS, ROWS * 2 // 3, ROWS // 3

#: Below so many numbers, waking threads costs more than packing the weights.
PACK_ALONE = 16 * 1024
#: Heights of the tiles of WIDE vectors, and of the narrower ones.
WIDE_HIGH, WIDE_LOW, HIGH, FLAT = 6, 4, (16 if REGISTERS == 32 else 12), 8
#: Pixels that the lowest tile may read where a row has fewer; room for the largest tile, in vectors.
LOWEST, SUMS = FLAT, 24

_wide_high, _wide_low = packed_product(WIDE_HIGH, WIDE), packed_product(WIDE_LOW, WIDE)
_pair_high, _pair_low = packed_product(ROWS, 2), packed_product(MIDDLE, 2)
_high, _flat = packed_product(HIGH, 1), packed_product(FLAT, 1)


@compiled
def panel_width(vectors: int) -> int:
    """How wide the next panel is, where so many vectors are left."""
    if vectors >= WIDE:
        return WIDE
    return 2 if vectors >= 2 else 1


@compiled
def pixel_heights(vectors: int) -> tuple[int, int]:
    """Of the taller and the lower tiles of pixels that are so many vectors wide."""
    if vectors == WIDE:
        return WIDE_HIGH, WIDE_LOW
    return (ROWS, MIDDLE) if vectors == 2 else (HIGH, FLAT)


@compiled
def tall_tiles(count: int, tall: int, low: int) -> int:
    """How many of the tiles that cover ``count`` rows are tall; the others are low.

    One that ends beyond the last row is better tall if a low one would not do, and one tall tile fewer
    may give two low ones that fit better.
    """
    talls = count // tall
    rest = count - talls * tall
    if rest > low:
        return talls + 1
    if rest and talls and tall + rest <= 2 * low:
        return talls - 1
    return talls


@compiled
def pixels_product(
    a: Array, a_at: int, a_row: int, a_outer: int, outers: int, a_segment: int, segments: int, depth: int,
    b: Array, b_at: int, vectors: int, bias: Array, bias_at: int, y: Array, y_at: int, y_row: int, left: int,
    count: int, sums: Array,
) -> None:  # fmt: skip
    """y[j, k] = bias[k] + Σ_o Σ_s Σ_d a[j, o, s, d] · b[o, s, d, k] for ``count`` pixels j and a panel of k.

    Only the first ``left`` channels k are written; the bias has whole vectors. ``sums`` has room for a tile.
    With fewer pixels than :data:`LOWEST`, a is read (not used) as if there were as many.
    """
    L = lanes(y)
    width = vectors * L
    tall, low = pixel_heights(vectors)
    talls = 0 if count < tall else tall_tiles(count, tall, low)
    done = 0
    while done < count:
        height = tall if talls > 0 else low
        talls -= 1
        j = max(0, min(done, count - height))
        whole = width <= left and j + height <= count
        target, at, row = (y, y_at + j * y_row, y_row) if whole else (sums, 0, width)
        here = a_at + j * a_row
        if vectors == WIDE:
            if height == WIDE_HIGH:
                _wide_high(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias,
                           bias_at, target, at, row)  # fmt: skip
            else:
                _wide_low(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias, bias_at,
                          target, at, row)  # fmt: skip
        elif vectors == 2:
            if height == ROWS:
                _pair_high(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias,
                           bias_at, target, at, row)  # fmt: skip
            else:
                _pair_low(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias, bias_at,
                          target, at, row)  # fmt: skip
        elif height == HIGH:
            _high(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias, bias_at, target,
                  at, row)  # fmt: skip
        else:
            _flat(a, here, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, bias, bias_at, target,
                  at, row)  # fmt: skip
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
def _pack(
    begin: int,
    end: int,
    worker: int,
    w: Array,
    packed: Array,
    sizes: Array,
    taps: Array,
) -> None:
    """Vectors of outputs: at once where outputs are neighbours, else in L loads of a constant stride."""
    C, K, by_group, by_c, by_k, inner, by_outer = sizes
    L = lanes(w)
    KV = (K + L - 1) // L
    for piece in range(begin, end):
        group, kv = divmod(piece, KV)
        panel, width = 0, panel_width(KV)
        while panel + width <= kv:
            panel += width
            width = panel_width(KV - panel)
        at, step = (
            (group * KV + panel) * taps.size * C * L + (kv - panel) * L,
            width * L,
        )
        start, count = (
            group * by_group + kv * L % inner * by_k + kv * L // inner * by_outer,
            min(L, K - kv * L),
        )
        if count == L and kv * L % inner + L <= inner:
            for t in range(taps.size):
                for c in range(C):
                    place, to = start + c * by_c + taps[t], at + (t * C + c) * step
                    if by_k == 1:
                        store(packed, to, load(w, place, L), L)
                    else:
                        for lane in range(L):
                            packed[to + lane] = w[place + lane * by_k]
            continue
        for lane in range(L):
            k = kv * L + lane
            place = group * by_group + k % inner * by_k + k // inner * by_outer
            for t in range(taps.size):
                for c in range(C):
                    to = at + (t * C + c) * step + lane
                    if lane < count:
                        packed[to] = w[place + c * by_c + taps[t]]
                    else:
                        packed[to] = 0


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
    sizes = (
        channels,
        filters,
        by_group,
        by_channel,
        by_filter,
        inner or max(1, filters),
        by_outer,
    )
    arguments = (weight, packed, np.array(sizes, np.int64), taps)
    if packed.size < PACK_ALONE:
        _pack(0, groups * vectors, 0, *arguments)
    else:
        threads.deal(_pack, groups * vectors, *arguments)
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
    """Each group's bias with zeros up to whole vectors; only zeros for none."""
    lanes = lanes_of(np.dtype(dtype).itemsize)
    padded = np.zeros((groups, -(-filters // lanes) * lanes), dtype)
    if bias is not None:
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
