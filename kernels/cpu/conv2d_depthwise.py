"""Depthwise convolution: each channel by its own filters, vectors over channels.

With as many groups as channels there is no sum over channels, and so no product of matrices; but with the
channels last in memory, neighbouring channels are a vector, and every tap is one multiply-add of whole
vectors:

    forward          y[j, k]  = β[k] + Σ_t x[j·s + t, k] · w[t, k]
    backward_data    the same with g and the flipped taps, one residue class of pixels after the other
    backward_weight  dw[t, k] = Σ_j x[j·s + t, k] · g[j, k]            (``conv2d_depthwise_weight.py``)

Eight pixels are computed at a time, so each weight is loaded once for eight multiply-adds; the gradient of
the weights keeps the sums of nine taps in registers, so each cotangent is loaded once for nine. All of it
waits for memory, not for arithmetic.

**Borders.** Taps beyond the image are left out: of whole rows by fewer rows of the filter, of the few columns
at either end pixel by pixel. Nothing is copied between zeros. The last vector of channels begins early enough
to end with the last channel, so all vectors are whole; fewer channels than a vector are filled up.

With a *multiplier* M (K = M·C filters), filter k reads channel ⌊k / M⌋: the rows that a block of output needs
are copied with every channel written M times, and the gradient of the data is summed over M neighbours before
it is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_tiles import flat, residue_taps
from minidl.kernels.cpu.tap_products import tap_product
from minidl.kernels.cpu.vectors import lanes, lanes_of
from minidl.kernels.layout import to_channels_last

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bytes of the rows that a block works on.
BLOCK_BYTES = 128 * 1024


#: Pixels that are computed at a time.
PIXELS = 8

_eight, _one = tap_product(PIXELS), tap_product(1)


@compiled
def spread_rows(
    patch: Array, first: int, last: int, x: Array, start: int, W: int, C: int, M: int,
) -> None:  # fmt: skip
    """Rows first..last-1 of the image at x[start], every channel M times."""
    at = 0
    for place in range(start + first * W * C, start + last * W * C):
        for _ in range(M):
            patch[at] = x[place]
            at += 1


@compiled
def inside(first: int, step: int, count: int, size: int) -> tuple[int, int]:
    """The range of t in 0..count-1 for which first + t·step lies in 0..size-1."""
    begin = min(count, max(0, -(first // step)))
    return begin, max(begin, min(count, (size - 1 - first) // step + 1))


@compiled
def _row(
    x: Array, at: int, H: int, W: int, K: int, top: int, sx: int, dy: int, dx: int, px: int, w: Array,
    kh: int, kw: int, table: Array, bias: Array, y: Array, y_at: int, y_pixel: int, OW: int,
) -> None:  # fmt: skip
    """One row of OW output pixels, whose windows begin in row ``top`` of the image at x[at]."""
    L = lanes(x)
    u0, u1 = inside(top, dy, kh, H)
    j0, _ = inside(-px, sx, OW, W)  # from here on windows begin inside, up to j1 they end inside
    _, j1 = inside((kw - 1) * dx - px, sx, OW, W)
    j1 = max(j0, j1)
    pixel, taps, j = sx * K, kh * kw, 0
    row = at + top * W * K
    while j < OW:
        many = j0 <= j < j1 and j1 - j0 >= PIXELS
        if many:
            j = min(j, j1 - PIXELS)
        left = j * sx - px
        place, to, first, count = row + left * K, y_at + j * y_pixel, u0 * kw, (u1 - u0) * kw
        v0, v1 = inside(left, dx, kw, W)
        if v1 - v0 < kw:  # a table of the taps that are inside
            first, count = taps, 0
            for u in range(u0, u1):
                for v in range(v0, v1):
                    table[2 * (taps + count)] = table[2 * (u * kw + v)]
                    table[2 * (taps + count) + 1] = table[2 * (u * kw + v) + 1]
                    count += 1
        for start in range(0, K, L):
            k = min(start, K - L)
            # What the next row of windows reads anew and where it writes arrives while this one is computed.
            further = start * (PIXELS if many else 1)
            ahead, y_ahead = place + kh * dy * W * K + further, to + OW * y_pixel + further
            if many:
                _eight(x, place + k, pixel, table, first, count, w, k, bias, k, y, to + k, y_pixel, ahead,
                     y_ahead)  # fmt: skip
            else:
                _one(x, place + k, pixel, table, first, count, w, k, bias, k, y, to + k, y_pixel, ahead,
                     y_ahead)  # fmt: skip
        j += PIXELS if many else 1


@compiled
def _convolve(begin: int, end: int, worker: int, sizes: Array, x: Array, w: Array, bias: Array, y: Array,
              works: Array) -> None:  # fmt: skip
    """Blocks of ``rows`` output rows. spread: x has so few channels, each read so often; fold: y the same."""
    (_, H, W, K, OH, OW, sy, sx, dy, dx, kh, kw, py, px, rows, spread, fold, y_at, y_image, y_row, y_pixel,
     room) = sizes  # fmt: skip
    work = works[worker]
    patch, folded = work[:room], work[room:]
    blocks, C = (OH + rows - 1) // rows, K // spread
    source = patch if spread > 1 else x
    table = np.empty(4 * kh * kw, np.int64)  # where the taps lie in x and in w; room for a choice of them
    for t in range(kh * kw):
        table[2 * t], table[2 * t + 1] = (t // kw * dy * W + t % kw * dx) * K, t * K
    for piece in range(begin, end):
        n, i0 = piece // blocks, piece % blocks * rows
        i1 = min(OH, i0 + rows)
        first, last, at = 0, H, n * H * W * K
        if spread > 1:
            first = min(H, max(0, i0 * sy - py))
            last = max(first, min(H, (i1 - 1) * sy - py + (kh - 1) * dy + 1))
            spread_rows(patch, first, last, x, n * H * W * C, W, C, spread)
            at = 0
        for i in range(i0, i1):
            to = y_at + n * y_image + i * y_row
            target, place, step = (y, to, y_pixel) if fold == 1 else (folded, begin * 0, K)
            _row(source, at, last - first, W, K, i * sy - py - first, sx, dy, dx, px, w, kh, kw, table, bias,
                 target, place, step, OW)  # fmt: skip
            if fold > 1:
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
    """Flat x to ``out`` pixels of flat y; ``places``: where pixel (0, 0) lies, how far things are apart."""
    n, _, h, w = x_shape
    rows, room = rows_of_block(out, w, channels, kernel, stride, dilation, x.itemsize)
    room = room if spread > 1 else 0
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
        room,
    )
    pieces = n * -(-out[0] // rows)
    threads.deal(_convolve, pieces, np.array(sizes, np.int64), x, weights, bias, y, works)


def rows_of_block(
    out: Pair, width: int, channels: int, kernel: Pair, stride: Pair, dilation: Pair, itemsize: int
) -> tuple[int, int]:
    """Output rows of a block, and how many numbers the rows of the image take that they need."""
    rows = max(1, min(out[0], BLOCK_BYTES // max(1, width * channels * stride[0] * itemsize)))
    return rows, ((rows - 1) * stride[0] + max(0, kernel[0] - 1) * dilation[0] + 1) * width * channels


def filled(picture: Array, multiplier: int) -> Array:
    """With zeros for missing channels, where multiplier · channels are fewer than a vector has lanes."""
    n, c, h, w = picture.shape
    wanted = -(-lanes_of(picture.itemsize) // multiplier)
    if c >= wanted:
        return picture
    more = np.zeros((n, h, w, wanted), picture.dtype).transpose(0, 3, 1, 2)
    more[:, :c] = picture
    return more


def filled_cotangents(g: Array, multiplier: int) -> Array:
    """g (N, M·C, OH, OW) with zeros for the channels that :func:`filled` adds."""
    wanted = -(-lanes_of(g.itemsize) // multiplier) * multiplier
    if g.shape[1] >= wanted:
        return g
    more = np.zeros((g.shape[0], *g.shape[2:], wanted), g.dtype).transpose(0, 3, 1, 2)
    more[:, : g.shape[1]] = g
    return more


def _filled_filters(weight: Array, multiplier: int) -> Array:
    """The same for weights (or cotangents' channels): (M·C, ...) with zeros up to whole groups of M."""
    k, wanted = weight.shape[0], -(-lanes_of(weight.itemsize) // multiplier) * multiplier
    if k >= wanted:
        return weight
    return np.concatenate([weight, np.zeros((wanted - k, *weight.shape[1:]), weight.dtype)])


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
    filters, multiplier = weight.shape[0], weight.shape[0] // groups
    x, weight = filled(x, multiplier), _filled_filters(weight, multiplier)
    k, _, kh, kw = weight.shape
    y = memory.empty_channels_last((x.shape[0], k, *out), x.dtype)
    by_tap = np.ascontiguousarray(weight.reshape(k, kh * kw).T).reshape(-1)
    start = np.zeros(k, x.dtype)
    if bias is not None:
        start[:filters] = bias
    places = (0, out[0] * out[1] * k, out[1] * k, k)
    _run(
        *(flat(x), x.shape, by_tap, start, flat(y), places, out, k, (kh, kw), stride, padding, dilation),
        multiplier,
    )
    return y if k == filters else to_channels_last(y[:, :filters])


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
    multiplier, channels = weight.shape[0] // groups, x_shape[1]
    g = filled_cotangents(g, multiplier)
    weight = _filled_filters(weight, multiplier)
    k, _, kh, kw = weight.shape
    c, h, w = k // multiplier, *x_shape[2:]
    dx = memory.empty_channels_last((x_shape[0], c, h, w), g.dtype)
    none = np.zeros(k, g.dtype)
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
                *(kernel, (1, 1), (py, px), (dy, dx_), 1, multiplier),
            )
    return dx if c == channels else to_channels_last(dx[:, :channels])
