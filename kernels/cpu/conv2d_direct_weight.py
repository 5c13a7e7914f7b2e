"""The gradient of a convolution's weights, directly: products over pixels, out of registers.

    dW[(u, v, c), k] = Σ_j x[j·s + (u, v, c)] · g[j, k]

Six inputs (v, c) by 64 filters are summed in registers while the pixels j of a block go by. A block has
some two hundred pixels: few enough for its cotangents (one panel of filters) to stay near the core,
enough for the sums' trips to memory not to matter.

The sum over the batch is cut into *shares*, and filters and taps into *chunks* where there are few pixels;
both depend on the problem only, not on the number of threads, and so does the result.

The last rows of a tile of inputs could reach beyond the image. Elsewhere they read neighbours, whose
products land in places that nobody looks at; the last row of pixels of the batch is copied to a work
space with room to spare.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_cuts import PRODUCTS, Work, cuts
from minidl.kernels.cpu.conv2d_tiles import copy_padded, flat, panel_width, tall_tiles
from minidl.kernels.cpu.products import ROWS, WIDE, tile_product
from minidl.kernels.cpu.vectors import REGISTERS, VECTOR_BYTES, lanes, lanes_of, load, store

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Output pixels of a block, about; the most that a block of image may take, in bytes; its rows at least.
BLOCK_PIXELS, BLOCK_BYTES, LEAST_ROWS = 384, 512 * 1024, 3
#: Panels of cotangents are copied for more inputs than that (times taps): they are read once for every six.
FEW_INPUTS = 100
#: Tiles of sums reach so many rows beyond the last at most.
BEYOND = 8
#: Heights of the tiles of WIDE, 2 and 1 vectors.
_HIGH, _PAIR_HIGH, _SINGLE_HIGH = 6, ROWS, 16 if REGISTERS == 32 else 12
_LOW, _PAIR_LOW, _SINGLE_LOW = 4, ROWS // 3, 8


_wide, _wide_low = tile_product(_HIGH, WIDE, 4), tile_product(_LOW, WIDE, 4)
_pair, _pair_low = tile_product(_PAIR_HIGH, 2, 4), tile_product(_PAIR_LOW, 2, 4)
_single, _single_low = tile_product(_SINGLE_HIGH, 1, 4), tile_product(_SINGLE_LOW, 1, 4)


@compiled
def heights(vectors: int) -> tuple[int, int]:
    """Of the taller and the lower tiles that are so many vectors wide."""
    if vectors == WIDE:
        return _HIGH, _LOW
    return (_PAIR_HIGH, _PAIR_LOW) if vectors == 2 else (_SINGLE_HIGH, _SINGLE_LOW)


@compiled
def gradient_rows(
    x: Array, x_at: int, x_row: int, x_pixel: int, length: int, g: Array, g_at: int, g_pixel: int,
    vectors: int, dw: Array, at: int, row: int, rows: int, pixels: int, accumulate: bool,
) -> None:  # fmt: skip
    """``length`` inputs by a panel of filters, summed over rows of pixels; writes up to BEYOND rows more."""
    L = lanes(x)
    tall, low = heights(vectors)
    talls = tall_tiles(length, tall, low)
    r = 0
    while r < length:
        a, c = x_at + r, at + r * row
        high = talls > 0
        if vectors == WIDE:
            if high:
                _wide(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels, accumulate)
            else:
                _wide_low(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels,
                          accumulate)  # fmt: skip
        elif vectors == 2:
            if high:
                _pair(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels, accumulate)
            else:
                _pair_low(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels,
                          accumulate)  # fmt: skip
        elif high:
            _single(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels, accumulate)
        else:
            _single_low(x, a, 1, x_row, x_pixel, g, g_at, g_pixel, L, dw, c, row, L, rows, pixels,
                        accumulate)  # fmt: skip
        r += tall if high else low
        talls -= 1


@compiled
def _products(
    x: Array, at: int, line: int, pixel: int, C: int, K: int, sy: int, sx: int, dy: int, dx: int, kh: int,
    kw: int, groups: int, rows: int, pixels: int, g: Array, g_at: int, dw: Array, begin: int, end: int,
    accumulate: bool, near: Array,
) -> None:  # fmt: skip
    """Units begin..end-1 of dw (+)= Xᵀ g over ``rows`` rows of ``pixels`` pixels. C, K: of a group.

    A unit is a run of taps of one panel of filters; those of a panel follow each other. The panel of g is
    copied to ``near`` first, unless inputs are few: its vectors lie far apart, with many filters all in the
    same few lines of the first-level cache; and there it ends with whole vectors.
    """
    L = lanes(dw)
    KV = (K + L - 1) // L
    panels = (KV + WIDE - 1) // WIDE
    merged = groups == 1 and dx == 1
    runs, length = (kh, kw * C) if merged else (kh * kw, C)
    room, zero = length + BEYOND, begin * 0
    for panel in range(begin // runs, (end + runs - 1) // runs):
        group, v = panel // panels, panel % panels * WIDE
        first_run, last_run = max(0, begin - panel * runs), min(runs, end - panel * runs)
        last = min(KV, v + WIDE)
        while v < last:
            vectors = panel_width(last - v)
            width = vectors * L
            beside = width == K and groups == 1  # nothing to gather, or not worth it
            beside = beside or (K % L == 0 and runs * length <= FEW_INPUTS)
            for j in range(0 if beside else rows * pixels):
                for w in range(vectors):
                    left = K - (v + w) * L
                    store(near, j * width + w * L, load(g, g_at + j * K * groups + group * K + (v + w) * L,
                          left), L)  # fmt: skip
            cotangents, start, step = near, zero, width
            if beside:
                cotangents, start, step = g, g_at + group * K + v * L, K * groups
            for run in range(first_run, last_run):
                u, t = (run, 0) if merged else (run // kw, run % kw)
                place = at + group * C + u * dy * line + t * dx * pixel
                to = (group * runs + run) * room * KV * L + v * L
                gradient_rows(x, place, sy * line, sx * pixel, length, cotangents, start, step, vectors,
                              dw, to, KV * L, rows, pixels, accumulate)  # fmt: skip
            v += vectors


@compiled
def _weights(
    begin: int,
    end: int,
    worker: int,
    sizes: Array,
    x: Array,
    g: Array,
    dw: Array,
    works: Array,
) -> None:
    """Pieces (share, chunk of units): sums over the blocks of the share."""
    (N, H, W, C, OH, OW, K, sy, sx, dy, dx, kh, kw, py, px, groups, rows, shares, chunks, units, copied,
     careful, room) = sizes  # fmt: skip
    high_blocks = (OH + rows - 1) // rows
    blocks = N * high_blocks
    work = works[worker]
    patch, near, zero = work[:room], work[room:], begin * 0
    for piece in range(begin, end):
        share, chunk = divmod(piece, chunks)
        first, last = chunk * units // chunks, (chunk + 1) * units // chunks
        sums = dw[share]
        accumulate = (
            end < begin
        )  # False, but not a constant: Numba compiles a function anew for each of those
        for block in range(share * blocks // shares, (share + 1) * blocks // shares):
            n, i0 = block // high_blocks, block % high_blocks * rows
            i1 = min(OH, i0 + rows)
            apart = careful and n == N - 1 and i1 == OH  # the last row: see this file's text
            for part in range(2):
                begin_row, end_row = (i0, i1 - apart) if part == 0 else (i1 - apart, i1)
                if begin_row == end_row:
                    continue
                g_at = (n * OH + begin_row) * OW * K
                top, left = begin_row * sy - py, -px
                inner = copied or part == 1
                high, wide = (
                    (end_row - begin_row - 1) * sy + (kh - 1) * dy + 1,
                    (OW - 1) * sx + (kw - 1) * dx + 1,
                )
                if inner:
                    copy_padded(patch, zero, high, wide, x, n * H * W * C, H, W, C, top, left)
                source = patch if inner else x
                line, at = (wide * C, 0) if inner else (W * C, ((n * H + top) * W + left) * C)
                _products(source, at, line, C, C // groups, K // groups, sy, sx, dy, dx, kh, kw, groups,
                          end_row - begin_row, OW, g, g_at, sums, first, last, accumulate, near)  # fmt: skip
                accumulate = end > begin


@compiled
def gather_weights(
    begin: int,
    end: int,
    worker: int,
    sizes: Array,
    sums: Array,
    dw: Array,
    works: Array,
) -> None:
    """Vectors of filters of dw (K, C/groups, kh, kw): the shares of sums[share, group, run, row, k] added."""
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
    dw = memory.empty(weight_shape, dtype)
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
    size = groups * runs * (length + BEYOND) * vectors * lanes
    need = tuple(
        (o - 1) * s + (q - 1) * d + 1 for o, s, q, d in zip(out, stride, (kh, kw), dilation, strict=True)
    )
    copied = max(padding) > 0 or need[0] > h or need[1] > w
    careful = not copied and _reaches_beyond(length, vectors)
    panels = groups * -(-vectors // WIDE)
    most = min(BLOCK_PIXELS // out[1], BLOCK_BYTES // max(1, need[1] * c * stride[0] * dtype.itemsize))
    work = Work(
        rows=n * out[0],
        high=out[0],
        most=max(1, min(most, out[0])),
        least=LEAST_ROWS if copied else 1,
        window=(kh - 1) * dilation[0] + 1,
        stride=stride[0],
        panels=panels,
        runs=runs,
        x=x.nbytes if copied else 0,
        g=0 if groups == 1 and k in (lanes, 2 * lanes, WIDE * lanes) else g.nbytes,
        sums=size * dtype.itemsize,
        products=2 * n * out[0] * out[1] * runs * length * groups * vectors * VECTOR_BYTES / PRODUCTS,
    )
    rows, shares, chunks = cuts(work)
    patch = ((rows - 1) * stride[0] + work.window) * need[1] * c + BEYOND
    room = patch if copied or careful else 0
    near = max(rows * out[1], 1) * WIDE * lanes
    works = memory.empty((threads.get_num_threads(), room + near + 64), dtype)
    sums = memory.empty((shares, size), dtype)
    sizes = (n, h, w, c, *out, k, *stride, *dilation, kh, kw, *padding, groups, rows, shares, chunks,
             panels * runs, copied, careful, room)  # fmt: skip
    arrays = (np.array(sizes, np.int64), flat(x), flat(g), sums, works)
    threads.deal(_weights, shares * chunks, *arrays, parts=shares * chunks)
    extents = np.array((per_group, k // groups, runs, length, length + BEYOND), np.int64)
    lines = memory.empty((threads.get_num_threads(), lanes), dtype)
    threads.deal(gather_weights, groups * vectors, extents, sums, dw.reshape(-1), lines)
    return dw


def _reaches_beyond(length: int, vectors: int) -> bool:
    """Whether the last tile of sums has more rows than there are."""
    widths = {WIDE} if vectors >= WIDE else set()
    widths |= {1 << bit for bit in range(2) if vectors % WIDE >> bit & 1}
    for tall, low in map(heights.py_func, widths):  # type: ignore[attr-defined]
        talls = tall_tiles.py_func(length, tall, low)  # type: ignore[attr-defined]
        if max(0, length - talls * tall) % low or talls * tall > length:
            return True
    return False
