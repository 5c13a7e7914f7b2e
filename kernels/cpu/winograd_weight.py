"""The gradient of the weights by Winograd's minimal filtering: dW = Gᵀ [ Σ_tiles (Bᵀ X B) ⊙ (A G_y Aᵀ) ] G.

See ``winograd.py`` for the method and ``winograd_tiles.py`` for what lies where in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.cook_toom import at_one, transpose
from minidl.kernels.cpu.products import VECTORS, tile_product
from minidl.kernels.cpu.transforms import transform, transform_passed
from minidl.kernels.cpu.vectors import VECTOR_BYTES, lanes, lanes_of, load, splat, store
from minidl.kernels.cpu.winograd import block_sizes, flat_of, pieces_of, plane_of, vectors_of
from minidl.kernels.cpu.winograd_tiles import F2, F4, fill_patch, tiles_in

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

_A4, _A2 = transpose(F4.AT), transpose(F2.AT)
_cotangent4, _cotangent2 = transform(_A4, _A4), transform(_A2, _A2)
_cotangent4_passed, _cotangent2_passed = transform_passed(_A4, _A4), transform_passed(_A2, _A2)
_G4T, _G2T = transpose(F4.G), transpose(F2.G)
_gradient4, _gradient2 = transform(_G4T, _G4T), transform(_G2T, _G2T)
#: What the planes of a transformed cotangent add up to with these factors is the sum of the tile.
_SUMS4, _SUMS2 = (np.array([float(a * b) for a in s for b in s]) for s in (at_one(4), at_one(2)))
#: Rows of a tile of the weights' gradient: channels, so many that they divide a vector of either dtype.
GRADIENT_ROWS = VECTOR_BYTES // 8
_gradient_tile, _gradient_narrow = tile_product(GRADIENT_ROWS, VECTORS), tile_product(GRADIENT_ROWS, 1)


def backward_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    padding: Pair,
    m: int,
    z: Array | None = None,
    second: Array | None = None,
    doubled: bool = False,
) -> tuple[Array, Array] | None:
    """Cotangent g (N, K, OH, OW) and x (N, C, H, W) to those of the weight (K, C, 3, 3) and of the bias (K).

    z, second, doubled: as above. None if a result is not finite.
    """
    dw, db = memory.empty(weight_shape, x.dtype), np.empty(weight_shape[0], x.dtype)
    for first, last in pieces_of(weight_shape[0], (m + 2) ** 2 * weight_shape[1] * x.itemsize):
        _weight_piece((g, z), (x, second), dw, db, (first, last), padding, m, doubled)
    return (dw, db) if np.isfinite(dw).all() and np.isfinite(db).all() else None


def _weight_piece(
    cotangents: tuple[Array, Array | None],
    pictures: tuple[Array, Array | None],
    dw: Array,
    db: Array,
    piece: Pair,
    padding: Pair,
    m: int,
    doubled: bool,
) -> None:
    """Fill dw and db of filters piece[0] ... piece[1] - 1."""
    (g, z), (x, second), dtype = cotangents, pictures, dw.dtype
    k, whole = piece[1] - piece[0], g.shape[1]
    parts = (x.shape[1], 0 if second is None else second.shape[1], k, 0)
    lanes = lanes_of(dtype.itemsize)
    vectors, k_vectors = vectors_of(parts[:2], lanes), vectors_of((k,), lanes)
    workers, planes = threads.get_num_threads(), (m + 2) ** 2
    # Many channels are cut into a chunk for each thread, few tiles into shares, whose sums are added at the
    # end.
    chunk = -(-vectors // workers) if vectors >= 8 * workers else vectors
    chunks = -(-vectors // chunk)
    sizes = block_sizes(
        *(m, x.shape, g.shape, padding, parts, (whole, 0), doubled, z, chunk + k_vectors, lanes),
        dtype.itemsize,
    )
    shares = min(-(-workers // chunks), int(sizes[2]))
    if not shares:  # an empty batch
        dw[...], db[...] = 0, 0
        return
    block = planes * (lanes + sum(plane_of(sizes[1], v, lanes) for v in (chunk, k_vectors)))
    works = memory.work_space((workers, block), dtype)
    dU = memory.work_space((shares, planes * k_vectors * vectors * lanes * lanes), dtype)
    totals = np.zeros((shares, k), np.float64)
    flat = (
        flat_of(x),
        flat_of(second, x),
        flat_of(g)[piece[0] :],
        flat_of(z, x)[piece[0] :],
    )
    threads.deal(
        *(weight_products, chunks * shares, sizes, *flat, dU, totals, shares, chunk, works),
        parts=chunks * shares,
    )
    sums = memory.empty((workers, (planes + 9) * lanes), dtype)
    target, counts = dw[piece[0] : piece[1]].reshape(-1), np.array(parts, np.int64)
    threads.deal(weights_back, k_vectors, m, dU, target, counts, sums)
    db[piece[0] : piece[1]] = totals.sum(axis=0)


@compiled
def _cotangents_in(
    D: Array, plane: int, T: int, g: Array, z: Array, passed: bool, OH: int, OW: int, S: int, K: int, m: int,
    first: int, last: int, TH: int, TW: int, patch: Array,
) -> None:  # fmt: skip
    """A g Aᵀ of the m x m cotangents of each tile: what the backward multiplies in the transformed world.

    K channels of pixels that are S apart.
    """
    L, n = lanes(g), m + 2
    for tile in range(first, last):
        picture, inside = divmod(tile, TH * TW)
        y0, x0 = inside // TW * m, inside % TW * m
        at = picture * OH * OW * S
        interior = y0 + m <= OH and x0 + m <= OW
        for k in range(0, K, L):
            to = (k // L * T + tile - first) * L
            if interior and k + L <= K:
                place = at + (y0 * OW + x0) * S + k
                if m == 4:
                    if passed:
                        _cotangent4_passed(D, to, n * plane, plane, g, place, OW * S, S, z)
                    else:
                        _cotangent4(D, to, n * plane, plane, g, place, OW * S, S)
                elif passed:
                    _cotangent2_passed(D, to, n * plane, plane, g, place, OW * S, S, z)
                else:
                    _cotangent2(D, to, n * plane, plane, g, place, OW * S, S)
            else:
                fill_patch(patch, g, z, passed, at, y0, x0, m, OH, OW, S, K, k)
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
    (m, T, tiles, TH, TW, H, W, pad_y, pad_x, OH, OW, C0, C1, K0, _, S0, _, doubled, passed) = sizes
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
                tiles_in(V, in_plane, zero, T, x0, z, no, no, H, W, C0, begin_v * L, min(C0, end_v * L), m,
                          pad_y, pad_x, first, last, TH, TW, patch)  # fmt: skip
            if end_v > CV0:
                from_v = max(begin_v, CV0)
                tiles_in(V, in_plane, from_v - begin_v, T, x1, z, no, halved, H // half, W // half, C1,
                          (from_v - CV0) * L, min(C1, (end_v - CV0) * L), m, pad_y, pad_x, first, last, TH,
                          TW, patch)  # fmt: skip
            _cotangents_in(D, out_plane, T, g, z, passed != 0, OH, OW, S0, K0, m, first, last, TH, TW,
                           patch)  # fmt: skip
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
