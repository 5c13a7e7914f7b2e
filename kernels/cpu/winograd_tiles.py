"""The compiled half of Winograd's convolution: tiles of pictures to and from their transforms.

See ``winograd.py`` for the method. Here: which pixels a tile covers, what lies where in memory, and the
loops.

Names: m outputs of a tile along each axis (2 or 4), n = m + 2 its inputs, L numbers in a vector, T tiles in a
block. Transformed tiles are kept as n·n *planes*; in a plane, for each vector of channels, the T tiles one
after the other: number (plane, channel vector v, tile t, lane) is at plane·stride + (v·T + t)·L + lane. So
the products read and write memory in order, and the transforms write whole vectors. The stride is an odd
number of cache lines: were it a power of two, the n·n places that a transform writes would all fall into the
same few lines of the first-level cache.

Pictures may come in two parts, the channels of one after those of the other, so that nothing need be
concatenated; the second may be half as large, each of its pixels standing for 2x2 (nearest upsampling). Then
the transform of the repeated pixels is Bᵀ R applied to the small picture, with R the matrix of repetition;
and in the backward the sums over 2x2 pixels are S Aᵀ instead of Aᵀ.

One thing about Numba: it compiles a function anew for every combination of *constants* in calls of it (0 and
False are types of their own). ``zero`` and ``no`` below are their values without being constants, which
halves the time of compilation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.cook_toom import derive, product, repeats, transpose
from minidl.kernels.cpu.products import ROWS, VECTORS, tile_product
from minidl.kernels.cpu.transforms import transform, transform_back, transform_passed
from minidl.kernels.cpu.vectors import lanes, load, splat, store, where_at_most

Array = np.ndarray[Any, Any]

F2, F4 = derive(2, 3), derive(4, 3)
_S2, _S4 = transpose(repeats(2, 0)), transpose(repeats(4, 0))  # sums over pairs: repetition's adjoint

_in4, _in2 = transform(F4.BT, F4.BT), transform(F2.BT, F2.BT)
_in4_passed, _in2_passed = transform_passed(F4.BT, F4.BT), transform_passed(F2.BT, F2.BT)
_B4R, _B2R = product(F4.BT, repeats(6, -1)), product(F2.BT, repeats(4, -1))
_in4_doubled, _in2_doubled = transform(_B4R, _B4R), transform(_B2R, _B2R)
_out4, _out2 = transform_back(F4.AT, F4.AT), transform_back(F2.AT, F2.AT)
_S4A, _S2A = product(_S4, F4.AT), product(_S2, F2.AT)
_out4_halved, _out2_halved = transform_back(_S4A, _S4A), transform_back(_S2A, _S2A)
_weight4, _weight2 = transform(F4.G, F4.G), transform(F2.G, F2.G)

_tile, _narrow = tile_product(ROWS, VECTORS), tile_product(ROWS, 1)


@compiled
def fill_patch(
    patch: Array, x: Array, z: Array, passed: bool, at: int, y0: int, x0: int, size: int, H: int, W: int,
    S: int, C: int, c: int,
) -> None:  # fmt: skip
    """Pixels (y0..., x0...), size x size of them, of channels c... of a picture that begins at x[at].

    Pixels are S apart. 0 outside the picture and, with ``passed``, where z is not above 0; lanes beyond
    channel C-1 are 0.
    """
    L = lanes(x)
    zero = splat(x, 0)
    for i in range(size):
        for j in range(size):
            row, column = y0 + i, x0 + j
            value = zero
            if 0 <= row < H and 0 <= column < W:
                place = at + (row * W + column) * S + c
                value = load(x, place, C - c)
                if passed:
                    value = where_at_most(load(z, place, C - c), zero, zero, value)
            store(patch, (i * size + j) * L, value, L)


@compiled
def tiles_in(
    V: Array, plane: int, v0: int, T: int, x: Array, z: Array, passed: bool, doubled: bool, H: int, W: int,
    C: int, c0: int, c1: int, m: int, pad_y: int, pad_x: int, first: int, last: int, TH: int, TW: int,
    patch: Array,
) -> None:  # fmt: skip
    """Tiles first..last-1 of the batch, channels c0..c1-1 of one part, to V from channel vector v0 on."""
    L, n, no = lanes(x), m + 2, m < 0
    for tile in range(first, last):
        picture, inside = divmod(tile, TH * TW)
        y0, x0 = inside // TW * m - pad_y, inside % TW * m - pad_x
        at = picture * H * W * C
        interior = y0 >= 0 and x0 >= 0 and y0 + n <= H and x0 + n <= W
        for c in range(c0, c1, L):
            to = ((v0 + (c - c0) // L) * T + tile - first) * L
            if doubled:
                size = n // 2 + 1
                fill_patch(patch, x, z, no, at, (y0 - 1) // 2, (x0 - 1) // 2, size, H, W, C, C, c)
                if m == 4:
                    _in4_doubled(V, to, n * plane, plane, patch, 0, size * L, L)
                else:
                    _in2_doubled(V, to, n * plane, plane, patch, 0, size * L, L)
            elif interior and c + L <= C:
                place = at + (y0 * W + x0) * C + c
                if m == 4:
                    if passed:
                        _in4_passed(V, to, n * plane, plane, x, place, W * C, C, z)
                    else:
                        _in4(V, to, n * plane, plane, x, place, W * C, C)
                elif passed:
                    _in2_passed(V, to, n * plane, plane, x, place, W * C, C, z)
                else:
                    _in2(V, to, n * plane, plane, x, place, W * C, C)
            else:
                fill_patch(patch, x, z, passed, at, y0, x0, n, H, W, C, C, c)
                if m == 4:
                    _in4(V, to, n * plane, plane, patch, 0, n * L, L)
                else:
                    _in2(V, to, n * plane, plane, patch, 0, n * L, L)


@compiled
def _tiles_out(
    y: Array, M: Array, plane: int, v0: int, T: int, halved: bool, OH: int, OW: int, S: int, K: int, m: int,
    first: int, last: int, TH: int, TW: int, bias: Array, low: float, seen: Array, patch: Array,
) -> None:  # fmt: skip
    """M from channel vector v0 on to K channels of the output, tiles first..last-1; halved: sums of 2x2.

    The output's pixels are S apart.
    """
    L, zero = lanes(y), m * 0
    step = m // 2 if halved else m
    for tile in range(first, last):
        picture, inside = divmod(tile, TH * TW)
        y0, x0 = inside // TW * step, inside % TW * step
        at = ((picture * OH + y0) * OW + x0) * S
        fits = y0 + step <= OH and x0 + step <= OW
        for k in range(0, K, L):
            v = v0 + k // L
            source, whole = (v * T + tile - first) * L, fits and k + L <= K
            if whole:
                _back(y, at + k, OW * S, S, M, source, plane, m, halved, bias, v * L, low, seen)
            else:
                _back(patch, zero, step * L, zero + L, M, source, plane, m, halved, bias, v * L, low, seen)
                for i in range(min(step, OH - y0)):
                    for j in range(min(step, OW - x0)):
                        value = load(patch, (i * step + j) * L, L)
                        store(y, at + (i * OW + j) * S + k, value, K - k)


@compiled
def _back(
    y: Array, at: int, row: int, column: int, M: Array, source: int, plane: int, m: int, halved: bool,
    bias: Array, bias_at: int, low: float, seen: Array,
) -> None:  # fmt: skip
    """One tile of one channel vector from its n·n planes to the picture."""
    n = m + 2
    if m == 4:
        if halved:
            _out4_halved(y, at, row, column, M, source, n * plane, plane, bias, bias_at, low, seen)
        else:
            _out4(y, at, row, column, M, source, n * plane, plane, bias, bias_at, low, seen)
    elif halved:
        _out2_halved(y, at, row, column, M, source, n * plane, plane, bias, bias_at, low, seen)
    else:
        _out2(y, at, row, column, M, source, n * plane, plane, bias, bias_at, low, seen)


@compiled
def convolve(begin: int, end: int, worker: int, sizes: Array, x0: Array, x1: Array, z: Array, U: Array,
             bias: Array, low: float, y0: Array, y1: Array, works: Array) -> None:  # fmt: skip
    """Blocks begin..end-1 of T tiles: transform, n·n products with U, transform back (winograd._sizes)."""
    (m, T, tiles, TH, TW, H, W, pad_y, pad_x, OH, OW, C0, C1, K0, K1, S0, S1, doubled, passed) = sizes
    L, planes = lanes(x0), (m + 2) * (m + 2)
    CV0, KV0 = (C0 + L - 1) // L, (K0 + L - 1) // L
    CV, KV = CV0 + (C1 + L - 1) // L, KV0 + (K1 + L - 1) // L
    in_plane, out_plane = (CV * T | 1) * L, (KV * T | 1) * L
    work = works[worker]
    patch, seen = work[: planes * L], work[planes * L : (planes + 1) * L]
    V = work[(planes + 1) * L :]
    M = V[planes * in_plane :]
    # The second part of a picture is half as large where it is doubled: so is the part of an output.
    half, halved, zero, no = (2 if doubled else 1), doubled != 0, m * 0, m < 0
    for block in range(begin, end):
        first = block * T
        last = min(first + T, tiles)
        tiles_in(V, in_plane, zero, T, x0, z, passed != 0, no, H, W, C0, zero, C0, m, pad_y, pad_x, first,
                  last, TH, TW, patch)  # fmt: skip
        if C1:
            tiles_in(V, in_plane, CV0, T, x1, z, no, halved, H // half, W // half, C1, zero, C1, m, pad_y,
                      pad_x, first, last, TH, TW, patch)  # fmt: skip
        _products(M, out_plane, V, in_plane, U, planes, CV, KV, T, last - first)
        if K0:
            _tiles_out(y0, M, out_plane, zero, T, no, OH, OW, S0, K0, m, first, last, TH, TW, bias, low, seen,
                       patch)  # fmt: skip
        if K1:
            _tiles_out(y1, M, out_plane, KV0, T, halved, OH // half, OW // half, S1, K1, m, first, last, TH,
                       TW, bias, low, seen, patch)  # fmt: skip


@compiled
def _products(
    M: Array,
    out_plane: int,
    V: Array,
    in_plane: int,
    U: Array,
    planes: int,
    CV: int,
    KV: int,
    T: int,
    used: int,
) -> None:
    """M = V U in every plane, of the tiles in use (rounded up to whole tiles of sums)."""
    L = lanes(M)
    for p in range(planes):
        weights = p * KV * CV * L * L
        for k in range(0, KV, VECTORS):
            u = weights + k * CV * L * L
            for t in range(0, used, ROWS):
                a, c = p * in_plane + t * L, p * out_plane + (k * T + t) * L
                if k + VECTORS <= KV:
                    _tile(V, a, L, T * L, 1, U, u, L, CV * L * L, M, c, L, T * L, CV, L, False)
                else:
                    _narrow(V, a, L, T * L, 1, U, u, L, CV * L * L, M, c, L, T * L, CV, L, False)


@compiled
def transform_weights(begin: int, end: int, worker: int, m: int, w: Array, U: Array, parts: Array,
                      strides: Array, works: Array) -> None:  # fmt: skip
    """Output channel vectors begin..end-1 of U = G w Gᵀ, as (plane, k vector, c, lane); padding channels are
    0.

    parts: C0, C1, K0, K1. strides of w: of an output channel, of an input channel; and the last tap (8) where
    the filter is to be flipped, else 0.
    """
    C0, C1, K0, K1 = parts
    by_k, by_c, last_tap = strides
    L, n = lanes(w), m + 2
    CV0, KV0 = (C0 + L - 1) // L, (K0 + L - 1) // L
    CV, KV = CV0 + (C1 + L - 1) // L, KV0 + (K1 + L - 1) // L
    taps, plane = works[worker], KV * CV * L * L
    for kv in range(begin, end):
        k0, k_left = (
            (kv * L, K0 - kv * L) if kv < KV0 else (K0 + (kv - KV0) * L, K0 + K1 - K0 - (kv - KV0) * L)
        )
        for place in range(CV * L):
            c = place if place < CV0 * L else C0 + place - CV0 * L
            real = place < C0 or CV0 * L <= place < CV0 * L + C1
            for tap in range(9):
                j = last_tap - tap if last_tap else tap
                for lane in range(L):
                    inside = real and lane < k_left
                    taps[tap * L + lane] = w[(k0 + lane) * by_k + c * by_c + j] if inside else 0
            to = (kv * CV * L + place) * L
            if m == 4:
                _weight4(U, to, n * plane, plane, taps, 0, 3 * L, L)
            else:
                _weight2(U, to, n * plane, plane, taps, 0, 3 * L, L)
