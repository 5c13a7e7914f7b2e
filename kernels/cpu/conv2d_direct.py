"""Direct convolution out of registers ("implicit GEMM"): no matrix of columns, no multiplication by zero.

With the channels last in memory, the pixels under one row of a filter are one contiguous segment of the
image. So

    forward          y[j, k]  = Σ_u Σ_(v,c)  x[j·s + (u, v, c)] · w[(u, v, c), k]

is a product of matrices whose left factor is read from the image itself: neighbouring output pixels are
rows that begin s pixels apart, filter rows are segments (with groups or a dilation, each tap is one). Six
pixels by 64 filters are summed in registers at a time; the packed weights of 64 filters stay in the
second-level cache while the pixels of a block of rows go by.

**Borders.** Where windows reach beyond the image, the few rows that a block of output rows needs are
first copied between zeros, into a work space of each thread. That is a copy for every k·k·K
multiplications of a number; the batch is never padded as a whole.

**backward_data.** The pixels of dx whose row is ρ modulo the stride get contributions from every
(s / gcd(s, d))th filter row only, and from neighbouring rows of g: a dense convolution of stride 1 with a
part of the filter, flipped. There are s·s such residue classes; each is computed by the forward's code,
which writes every sth pixel, and the blocks of all of them are dealt out together.
Nothing is multiplied by the zeros that the textbook puts between the values of g. Where the filter is as
wide as the stride (2x2, stride 2), the classes of one row are neighbours in memory: their pixels are
taken for further channels.

**backward_weight.** dW[(u, v, c), k] = Σ_j x[j·s + (u, v, c)] · g[j, k]: the same product with the left
factor transposed, which costs nothing, since its strides are free. The sum over pixels is cut into shares
that depend on the problem only, so the result is the same for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.conv2d_few import few_product, few_steps, lines_of, pack_few, pays
from minidl.kernels.cpu.conv2d_tiles import (
    LOWEST,
    SUMS,
    copy_padded,
    flat,
    flat_weight,
    pack,
    padded_bias,
    panel_width,
    pixels_product,
    residue_taps,
)
from minidl.kernels.cpu.vectors import VECTOR_BYTES, lanes, lanes_of

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bytes of image that a block of output rows reads: it stays in the second-level cache beside the weights.
BLOCK_BYTES = 256 * 1024
#: Output pixels that a piece of a pointwise convolution covers; fewer where they are few, but about a
#: multiple of that, whole tiles of any width. Output rows of a piece at least, where images are few.
POINTWISE, LEAST_POINTWISE, LEAST_ROWS = 384, 24, 3


@compiled
def _convolve(begin: int, end: int, worker: int, jobs: Array, few: bool, x: Array, packed: Array, bias: Array,
              y: Array, works: Array, tables: Array) -> None:  # fmt: skip
    """Blocks of output rows of one job after the other; :func:`_job` puts the numbers of a job together.

    ``few``: outputs are few (``conv2d_few.py``), and packed for that.
    """
    L, job = lanes(y), 0
    work = works[worker]
    sums, patch = work[: SUMS * L], work[SUMS * L :]
    for piece in range(begin, end):
        while piece >= jobs[job, 0]:
            job += 1
        (last_piece, pieces, N, H, W, C, OH, OW, K, sy, sx, dy, dx, kh, kw, py, px, groups, images, rows,
         y_at, y_image, y_row, y_pixel, copied, tail, packed_at) = jobs[job]  # fmt: skip
        pixel, C, K = C, C // groups, K // groups
        KV, taps = (K + L - 1) // L, kh * kw
        merged = groups == 1 and dx == 1
        outers, segments, depth = (1, kh, kw * C) if merged else (kh, kw, C)
        source = patch if copied else x
        blocks, number = (OH + rows - 1) // rows, piece - last_piece + pieces
        n0, i0 = number // blocks * images, number % blocks * rows
        n1, i1 = min(N, n0 + images), min(OH, i0 + rows)
        line, image = W * pixel, H * W * pixel
        at0 = n0 * image + (i0 * sy - py) * line - px * pixel
        if copied:
            high, wide = (
                (i1 - i0 - 1) * sy + (kh - 1) * dy + 1,
                (OW - 1) * sx + (kw - 1) * dx + 1,
            )
            line, image, at0 = wide * pixel, high * wide * pixel, 0
            for n in range(n0, n1):
                copy_padded(patch, (n - n0) * image, high, wide, x, n * H * W * pixel, H, W, pixel,
                            i0 * sy - py, -px)  # fmt: skip
        a_outer, a_segment = (0, dy * line) if merged else (dy * line, dx * pixel)
        count = OW + (tail if n1 == N and i1 == OH else 0)
        for group in range(groups):
            v = 0
            if few:
                v = KV
                steps = few_steps(tables[worker], x, a_outer, outers, a_segment, segments, depth)
                for n in range(n0, n1):
                    for i in range(i0, i1):
                        at = at0 + (n - n0) * image + (i - i0) * sy * line + group * C
                        to = y_at + n * y_image + i * y_row + group * K
                        few_product(source, at, sx * pixel, tables[worker], steps, packed,
                                    packed_at + group * K * steps * L, bias, group * KV * L, y, to, y_pixel,
                                    K, count)  # fmt: skip
            while v < KV:
                panel, vectors = group * KV + v, panel_width(KV - v)
                for n in range(n0, n1):
                    for i in range(i0, i1):
                        at = at0 + (n - n0) * image + (i - i0) * sy * line + group * C
                        to = y_at + n * y_image + i * y_row + group * K + v * L
                        pixels_product(source, at, sx * pixel, a_outer, outers, a_segment, segments, depth,
                                       packed, packed_at + panel * taps * C * L, vectors, bias, panel * L, y,
                                       to, y_pixel, K - v * L, count, sums)  # fmt: skip
                v += vectors


def _job(
    x_shape: tuple[int, ...],
    itemsize: int,
    places: tuple[int, int, int, int],
    out: Pair,
    filters: int,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    packed_at: int,
) -> tuple[tuple[int, ...], int, int]:
    """From x of shape (N, C, H, W) to ``out`` pixels of y.

    Args:
        places: in y, where pixel (0, 0) lies and how far images, rows and pixels are apart.
        padding: may be negative: the window of pixel 0 begins inside the image.
        packed_at: where the weights begin.

    Returns:
        The numbers that the compiled code wants, how many pieces of work, the room that copies take.
    """
    n, c, h, w = x_shape
    tail, pointwise, copied = 0, False, _needs_copy((h, w), out, kernel, stride, padding, dilation)
    if kernel == (1, 1) and stride == (1, 1) and padding == (0, 0) and out == (h, w) and not copied:
        start, image, row, pixel = places
        if row == w * pixel and image == h * row:  # all pixels of the batch are one long row
            pixels, pointwise = n * h * w, True
            step = _round_up(-(-pixels // _pieces_wanted()), LEAST_POINTWISE)
            step = min(POINTWISE, step)
            h = max(1, pixels // step)
            if 1 < h < 4 * _pieces_wanted():  # as many for each thread
                h = _round_up(h, threads.get_num_threads())
                step = pixels // h
            n, w = 1, pixels if h == 1 else step
            tail, out, places = pixels - h * w, (h, w), (start, 0, w * pixel, pixel)
    need = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    line = ((out[1] - 1) * stride[1] + need[1]) * c
    images, rows = (1, 1) if pointwise else _block(n, out, line * stride[0] * itemsize)
    room = (
        images * ((rows - 1) * stride[0] + max(1, need[0])) * line + LOWEST * stride[1] * c if copied else 0
    )
    numbers = (n, h, w, c, *out, filters, *stride, *dilation, *kernel, *padding, groups, images, rows)
    return (
        (*numbers, *places, copied, tail, packed_at),
        -(-n // images) * -(-out[0] // rows),
        room,
    )


def _run(
    jobs: list[tuple[tuple[int, ...], int, int]],
    x: Array,
    packed: Array,
    bias: Array,
    y: Array,
    few: bool,
) -> None:
    """All pieces of all jobs on all threads; flat arrays."""
    rows, total = [], 0
    for numbers, pieces, _ in jobs:
        total += pieces
        rows.append((total, pieces, *numbers))
    count = SUMS * lanes_of(x.itemsize) + max(room for _, _, room in jobs)
    works = memory.empty((threads.get_num_threads(), _aligned(count, x)), x.dtype)
    steps = packed.size // lanes_of(x.itemsize) if few else 0  # at most
    tables = np.empty((threads.get_num_threads(), 2 * steps), np.int64)
    threads.deal(_convolve, total, np.array(rows, np.int64), few, x, packed, bias, y, works, tables)


def _needs_copy(size: Pair, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> bool:
    """Whether a window reaches beyond the image, or a row has fewer pixels than the lowest tile."""
    if 0 in kernel:
        return False
    ends = (
        (o - 1) * s + (k - 1) * d - p < extent
        for extent, o, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True)
    )
    return max(padding) > 0 or out[1] < LOWEST or not all(ends)


def _block(n: int, out: Pair, row_bytes: int) -> Pair:
    """Images and output rows that are worked on at once; several images only where they fit whole."""
    rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    if rows < out[0]:
        # Some pieces for each thread, of nearly equal height, so that the few rows between blocks are
        # copied rarely.
        return 1, -(-out[0] // -(-out[0] // rows))
    pieces = _pieces_wanted()
    if n < pieces:
        return 1, -(-out[0] // max(1, min(-(-pieces // max(1, n)), out[0] // LEAST_ROWS)))
    return max(1, min(n // pieces, rows // max(1, out[0]))), out[0]


def _pieces_wanted() -> int:
    """So many that no thread is idle for long at the end. (No bit of a result depends on them.)"""
    return 4 * threads.get_num_threads()


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _aligned(count: int, like: Array) -> int:
    """``count`` rounded up to whole lines of the cache, so that threads do not share one."""
    step = VECTOR_BYTES // like.itemsize
    return _round_up(count, step) + step


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
    y = memory.empty_channels_last((x.shape[0], k, *out), x.dtype)
    area, filters, row = kh * kw, k // groups, flat_weight(weight)
    few = pays(filters, *lines_of((kh, kw), c, dilation, groups), x.itemsize)
    if few:
        taps = row.reshape(groups, filters, c, kh, kw).transpose(0, 1, 3, 4, 2)
        packed = pack_few(taps, dilation, lanes_of(x.itemsize))
    else:
        packed = pack(row, groups, c, filters, np.arange(area), filters * c * area, area, c * area)
    places = (0, out[0] * out[1] * k, out[1] * k, k)
    job = _job(x.shape, x.itemsize, places, out, k, (kh, kw), stride, padding, dilation, groups, 0)
    _run([job], flat(x), packed, padded_bias(bias, groups, filters, x.dtype), flat(y), few)
    return y


def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array | None:
    """Cotangent g (N, K, OH, OW) to that of x (N, C, H, W), by residue classes of pixels.

    None where a weight is not finite: the zeros around g would become NaN, where the gradient has no term.
    """
    if not np.isfinite(weight).all():
        return None
    _, c, h, w = x_shape
    dx = memory.empty_channels_last(x_shape, g.dtype)
    k, per_group, kh, kw = weight.shape
    area, row = kh * kw, flat_weight(weight)
    by = (k // groups * per_group * area, per_group * area, area)
    taps_of_class = (-(-kh // stride[0]), -(-kw // stride[1]))
    few = pays(per_group, *lines_of(taps_of_class, k // groups, dilation, groups), g.itemsize)
    patches = kw == stride[1] and padding[1] == 0 and dilation[1] == 1 and g.shape[3] * kw == w
    patches = patches and groups == 1 and not few
    outputs = kw * c if patches else c
    by_tap = row.reshape(groups, k // groups, per_group, kh, kw).transpose(0, 2, 3, 4, 1)
    jobs, weights, size = [], [], 0
    for first_row in range(min(stride[0], h)):
        us, dy, py = residue_taps(first_row, kh, stride[0], padding[0], dilation[0])
        rows = -(-(h - first_row) // stride[0])
        for first in range(1 if patches else min(stride[1], w)):
            if patches:
                vs, dx_, px, columns = np.zeros(1, np.int64), 1, 0, g.shape[3]
                packed = pack(row, 1, k, kw * c, us * kw, 0, *by[1:], inner=c, by_outer=1)
                places = (first_row * w * c, h * w * c, stride[0] * w * c, kw * c)
            else:
                vs, dx_, px = residue_taps(first, kw, stride[1], padding[1], dilation[1])
                columns = -(-(w - first) // stride[1])
                if few:
                    packed = pack_few(by_tap[:, :, us[:, None], vs], (dy, dx_), lanes_of(g.itemsize))
                else:
                    taps = (us[:, None] * kw + vs).reshape(-1)
                    packed = pack(row, groups, k // groups, per_group, taps, *by)
                places = ((first_row * w + first) * c, h * w * c, stride[0] * w * c, stride[1] * c)
            kernel = (us.size, vs.size) if us.size * vs.size else (0, 0)
            geometry = (kernel, (1, 1), (py, px), (dy, dx_), groups)
            jobs.append(_job(g.shape, g.itemsize, places, (rows, columns), outputs, *geometry, size))
            weights.append(packed)
            size += packed.size
    if jobs:
        packed = weights[0] if len(weights) == 1 else np.concatenate(weights)
        _run(jobs, flat(g), packed, padded_bias(None, groups, outputs // groups, g.dtype), flat(dx), few)
    return dx
