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
from minidl.kernels.cpu.cook_toom import at_one, derive, product, repeats, transpose
from minidl.kernels.cpu.products import ROWS, VECTORS, tile_product
from minidl.kernels.cpu.transforms import transform, transform_back, transform_passed
from minidl.kernels.cpu.vectors import VECTOR_BYTES, lanes, load, splat, store, where_at_most

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
_A4, _A2 = transpose(F4.AT), transpose(F2.AT)
_cotangent4, _cotangent2 = transform(_A4, _A4), transform(_A2, _A2)
_cotangent4_passed, _cotangent2_passed = transform_passed(_A4, _A4), transform_passed(_A2, _A2)
_weight4, _weight2 = transform(F4.G, F4.G), transform(F2.G, F2.G)
_G4T, _G2T = transpose(F4.G), transpose(F2.G)
_gradient4, _gradient2 = transform(_G4T, _G4T), transform(_G2T, _G2T)
#: What the planes of a transformed cotangent add up to with these factors is the sum of the tile.
_SUMS4, _SUMS2 = (np.array([float(a * b) for a in s for b in s]) for s in (at_one(4), at_one(2)))

_tile, _narrow = tile_product(ROWS, VECTORS), tile_product(ROWS, 1)
#: Rows of a tile of the weights' gradient: channels, so many that they divide a vector of either dtype.
GRADIENT_ROWS = VECTOR_BYTES // 8
_gradient_tile, _gradient_narrow = tile_product(GRADIENT_ROWS, VECTORS), tile_product(GRADIENT_ROWS, 1)


@compiled
def _fill(
    patch: Array, x: Array, z: Array, passed: bool, at: int, y0: int, x0: int, size: int, H: int, W: int,
    C: int, c: int,
) -> None:  # fmt: skip
    """Pixels (y0..., x0...), size x size of them, of channels c... of a picture that begins at x[at].

    0 outside the picture and, with ``passed``, where z is not above 0; lanes beyond channel C-1 are 0.
    """
    L = lanes(x)
    zero = splat(x, 0)
    for i in range(size):
        for j in range(size):
            row, column = y0 + i, x0 + j
            value = zero
            if 0 <= row < H and 0 <= column < W:
                place = at + (row * W + column) * C + c
                value = load(x, place, C - c)
                if passed:
                    value = where_at_most(load(z, place, C - c), zero, zero, value)
            store(patch, (i * size + j) * L, value, L)


@compiled
def _tiles_in(
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
                _fill(patch, x, z, no, at, (y0 - 1) // 2, (x0 - 1) // 2, size, H, W, C, c)
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
                _fill(patch, x, z, passed, at, y0, x0, n, H, W, C, c)
                if m == 4:
                    _in4(V, to, n * plane, plane, patch, 0, n * L, L)
                else:
                    _in2(V, to, n * plane, plane, patch, 0, n * L, L)


@compiled
def _tiles_out(
    y: Array, M: Array, plane: int, v0: int, T: int, halved: bool, OH: int, OW: int, K: int, m: int,
    first: int, last: int, TH: int, TW: int, bias: Array, low: float, seen: Array, patch: Array,
) -> None:  # fmt: skip
    """M from channel vector v0 on to K channels of the output, tiles first..last-1; halved: sums of 2x2."""
    L, zero = lanes(y), m * 0
    step = m // 2 if halved else m
    for tile in range(first, last):
        picture, inside = divmod(tile, TH * TW)
        y0, x0 = inside // TW * step, inside % TW * step
        at = ((picture * OH + y0) * OW + x0) * K
        fits = y0 + step <= OH and x0 + step <= OW
        for k in range(0, K, L):
            v = v0 + k // L
            source, whole = (v * T + tile - first) * L, fits and k + L <= K
            if whole:
                _back(y, at + k, OW * K, K, M, source, plane, m, halved, bias, v * L, low, seen)
            else:
                _back(patch, zero, step * L, zero + L, M, source, plane, m, halved, bias, v * L, low, seen)
                for i in range(min(step, OH - y0)):
                    for j in range(min(step, OW - x0)):
                        value = load(patch, (i * step + j) * L, L)
                        store(y, at + (i * OW + j) * K + k, value, K - k)


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
    (m, T, tiles, TH, TW, H, W, pad_y, pad_x, OH, OW, C0, C1, K0, K1, doubled, passed) = sizes
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
        _tiles_in(V, in_plane, zero, T, x0, z, passed != 0, no, H, W, C0, zero, C0, m, pad_y, pad_x, first,
                  last, TH, TW, patch)  # fmt: skip
        if C1:
            _tiles_in(V, in_plane, CV0, T, x1, z, no, halved, H // half, W // half, C1, zero, C1, m, pad_y,
                      pad_x, first, last, TH, TW, patch)  # fmt: skip
        _products(M, out_plane, V, in_plane, U, planes, CV, KV, T, last - first)
        _tiles_out(y0, M, out_plane, zero, T, no, OH, OW, K0, m, first, last, TH, TW, bias, low, seen, patch)
        if K1:
            _tiles_out(y1, M, out_plane, KV0, T, halved, OH // half, OW // half, K1, m, first, last, TH, TW,
                       bias, low, seen, patch)  # fmt: skip


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


@compiled
def _cotangents_in(
    D: Array, plane: int, T: int, g: Array, z: Array, passed: bool, OH: int, OW: int, K: int, m: int,
    first: int, last: int, TH: int, TW: int, patch: Array,
) -> None:  # fmt: skip
    """A g Aᵀ of the m x m cotangents of each tile: what the backward multiplies in the transformed world."""
    L, n = lanes(g), m + 2
    for tile in range(first, last):
        picture, inside = divmod(tile, TH * TW)
        y0, x0 = inside // TW * m, inside % TW * m
        at = picture * OH * OW * K
        interior = y0 + m <= OH and x0 + m <= OW
        for k in range(0, K, L):
            to = (k // L * T + tile - first) * L
            if interior and k + L <= K:
                place = at + (y0 * OW + x0) * K + k
                if m == 4:
                    if passed:
                        _cotangent4_passed(D, to, n * plane, plane, g, place, OW * K, K, z)
                    else:
                        _cotangent4(D, to, n * plane, plane, g, place, OW * K, K)
                elif passed:
                    _cotangent2_passed(D, to, n * plane, plane, g, place, OW * K, K, z)
                else:
                    _cotangent2(D, to, n * plane, plane, g, place, OW * K, K)
            else:
                _fill(patch, g, z, passed, at, y0, x0, m, OH, OW, K, k)
                if m == 4:
                    _cotangent4(D, to, n * plane, plane, patch, 0, m * L, L)
                else:
                    _cotangent2(D, to, n * plane, plane, patch, 0, m * L, L)


@compiled
def weight_products(begin: int, end: int, worker: int, sizes: Array, x0: Array, x1: Array, g: Array, z: Array,
                    dU: Array, db: Array, shares: int, chunk: int, works: Array) -> None:  # fmt: skip
    """Pieces begin..end-1 of dU = Vᵀ (A g Aᵀ): a piece is a share of the tiles and a chunk of channel
    vectors.

    dU: (share, plane, k vector, c, lane). db: (share, k) in float64, the sums of g.
    """
    (m, T, tiles, TH, TW, H, W, pad_y, pad_x, OH, OW, C0, C1, K0, _, doubled, passed) = sizes
    L, planes = lanes(x0), (m + 2) * (m + 2)
    CV0, KV = (C0 + L - 1) // L, (K0 + L - 1) // L
    CV = CV0 + (C1 + L - 1) // L
    in_plane, out_plane = (min(chunk, CV) * T | 1) * L, (KV * T | 1) * L
    patch, V = works[worker][: planes * L], works[worker][planes * L :]
    D = V[planes * in_plane :]
    half, halved, zero, no = (2 if doubled else 1), doubled != 0, m * 0, m < 0
    for piece in range(begin, end):
        share, begin_v = piece % shares, piece // shares * chunk
        end_v = min(begin_v + chunk, CV)
        begin_tile, end_tile = share * tiles // shares, (share + 1) * tiles // shares
        for first in range(begin_tile, end_tile, T):
            last = min(first + T, end_tile)
            if begin_v < CV0:
                _tiles_in(V, in_plane, zero, T, x0, z, no, no, H, W, C0, begin_v * L, min(C0, end_v * L), m,
                          pad_y, pad_x, first, last, TH, TW, patch)  # fmt: skip
            if end_v > CV0:
                from_v = max(begin_v, CV0)
                _tiles_in(V, in_plane, from_v - begin_v, T, x1, z, no, halved, H // half, W // half, C1,
                          (from_v - CV0) * L, min(C1, (end_v - CV0) * L), m, pad_y, pad_x, first, last, TH,
                          TW, patch)  # fmt: skip
            _cotangents_in(D, out_plane, T, g, z, passed != 0, OH, OW, K0, m, first, last, TH, TW, patch)
            _weight_block(dU[share], begin_v, end_v, CV, KV, V, in_plane, D, out_plane, planes, T,
                          last - first, first > begin_tile)  # fmt: skip
            if begin_v == 0:
                _add_sums(db[share], D, out_plane, T, last - first, KV, K0, m, patch)


@compiled
def _add_sums(
    db: Array, D: Array, out_plane: int, T: int, used: int, KV: int, K0: int, m: int, patch: Array
) -> None:
    """db += the sums of the ``used`` tiles of a block, the bias's gradient, out of their transforms."""
    L = lanes(D)
    factors = _SUMS4 if m == 4 else _SUMS2
    for p in range(factors.size):
        if factors[p] != 0:
            for v in range(KV):
                total = splat(D, 0)
                for t in range(used):
                    total = total + load(D, p * out_plane + (v * T + t) * L, L)
                store(patch, 0, total, L)
                for lane in range(min(L, K0 - v * L)):
                    db[v * L + lane] += factors[p] * patch[lane]


@compiled
def _weight_block(
    dU: Array, begin_v: int, end_v: int, CV: int, KV: int, V: Array, in_plane: int, D: Array, out_plane: int,
    planes: int, T: int, used: int, accumulate: bool,
) -> None:  # fmt: skip
    """dU (+)= Vᵀ D over the ``used`` tiles of one block, for channel vectors begin_v..end_v-1."""
    L = lanes(V)
    for p in range(planes):
        for v in range(begin_v, end_v):
            for row in range(0, L, GRADIENT_ROWS):
                a = p * in_plane + (v - begin_v) * T * L + row
                for k in range(0, KV, VECTORS):
                    b, c = p * out_plane + k * T * L, ((p * KV + k) * CV * L + v * L + row) * L
                    if k + VECTORS <= KV:
                        _gradient_tile(
                            V, a, 1, 0, L, D, b, L, T * L, dU, c, L, CV * L * L, 1, used, accumulate
                        )
                    else:
                        _gradient_narrow(
                            V, a, 1, 0, L, D, b, L, T * L, dU, c, L, CV * L * L, 1, used, accumulate
                        )


@compiled
def weights_back(begin: int, end: int, worker: int, m: int, dU: Array, dw: Array, parts: Array,
                 works: Array) -> None:  # fmt: skip
    """Output channel vectors begin..end-1 of dw (K, C, 3, 3) = Gᵀ dU G, the shares of dU added up first."""
    C0, C1, K0, _ = parts
    L, n = lanes(dw), m + 2
    CV0, KV = (C0 + L - 1) // L, (K0 + L - 1) // L
    CV, C, planes = CV0 + (C1 + L - 1) // L, C0 + C1, n * n
    sums = works[worker]
    taps = sums[planes * L :]
    for kv in range(begin, end):
        for place in range(CV * L):
            if C0 <= place < CV0 * L or place >= CV0 * L + C1:
                continue
            c = place if place < C0 else C0 + place - CV0 * L
            at = (kv * CV * L + place) * L
            for p in range(planes):
                total = load(dU[0], p * KV * CV * L * L + at, L)
                for share in range(1, dU.shape[0]):
                    total = total + load(dU[share], p * KV * CV * L * L + at, L)
                store(sums, p * L, total, L)
            if m == 4:
                _gradient4(taps, 0, 3 * L, L, sums, 0, n * L, L)
            else:
                _gradient2(taps, 0, 3 * L, L, sums, 0, n * L, L)
            for tap in range(9):
                for lane in range(min(L, K0 - kv * L)):
                    dw[((kv * L + lane) * C + c) * 9 + tap] = taps[tap * L + lane]
