"""Softmax cross-entropy in one pass over the logits (backend ``"numba"``).

The reference makes a dozen passes over arrays of the logits' size. Here the logits of 16 pixels are read
into a small work space, and everything that can be said about these pixels is computed there: the maximum,
exponentials, their sum, the loss, and, when a gradient will be asked for, the slope of the loss, p Σ t - t,
written where the reference's log p would be. All the backward has to do is to scale it. Targets are never
written out: which class is a pixel's own is compared on the way. (``kernels/cpu/columns.py`` tells what a
vector holds.)

The largest exponential is 1, and is left out of the sum: log Σ e^(z - max) = log(1 + the others), which
keeps the digits of a loss near 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.columns import BLOCK, Grid, finite_or_zero, grid, load_apart, store_apart
from minidl.kernels.cpu.pixels import DTYPES, load_integers
from minidl.kernels.cpu.vector_math import exp, log1p
from minidl.kernels.cpu.vectors import fma, lanes, load, splat, store, where_equal, where_less
from minidl.kernels.layout import to_c_order
from minidl.kernels.reference import cross_entropy as reference

Array = np.ndarray[Any, Any]

_NONE = np.zeros(0, np.uint8)


def forward(
    logits: Array, labels: Array, valid: Array | None, class_weights: Array, smoothing: float, slope: bool
) -> tuple[Array, Array | None]:
    """The losses (N, M) of logits (N, C, M), and with ``slope`` their derivatives by the logits (N, C, M).

    As the reference; the slope lies in memory as the logits do.
    """
    if logits.dtype not in DTYPES:
        return reference.forward(logits, labels, valid, class_weights, smoothing, slope)
    flat, shape, where = _arranged(logits)
    losses = memory.empty(labels.shape, logits.dtype)
    dz = memory.empty(flat.shape if slope else (0,), logits.dtype)
    # Without smoothing the sum does not matter, and an infinite weight in it must not make NaN out of 0.
    total = float(class_weights.sum(dtype=np.float64)) if smoothing > 0 else 0.0
    numbers = (float(1 - smoothing), float(smoothing / where.classes), total)
    threads.deal(
        _forward, where.groups * where.blocks, flat, _row(labels), _bytes(valid), _row(class_weights),
        losses.reshape(-1), dz, *where, where.blocks, *numbers, valid is not None, slope,
    )  # fmt: skip
    return losses, _shaped(dz, shape, where) if slope else None


def backward(g: Array, slope: Array, valid: Array | None) -> Array:
    """Cotangent g (N, M) of the losses to that of the logits: g · slope, 0 where a pixel does not count."""
    if slope.dtype not in DTYPES or g.dtype != slope.dtype:
        return reference.backward(g, slope, valid)
    flat, shape, where = _arranged(slope)
    dz = memory.empty(flat.shape, slope.dtype)
    same = not any(g.strides) and g.size > 0  # of a sum: one number seen as many
    row = np.full(1, g[0, 0]) if same else _row(g)
    threads.deal(
        _backward, where.groups * where.blocks, row, flat, _bytes(valid), dz, *where, where.blocks,
        0 if same else 1, valid is not None,
    )  # fmt: skip
    return _shaped(dz, shape, where)


def _arranged(logits: Array) -> tuple[Array, tuple[int, ...], Grid]:
    """Flat memory, its order (N, C, M) or (N, M, C) as a shape, and where the columns are."""
    n, c, m = logits.shape
    turned = logits.transpose(0, 2, 1)
    if turned.flags.c_contiguous:
        return _row(turned), (n, m, c), grid(n * m, c, 1)
    return _row(to_c_order(logits)), (n, m, c) if m == 1 else (n, c, m), grid(n, c, m)


def _shaped(flat: Array, shape: tuple[int, ...], where: Grid) -> Array:
    array = flat.reshape(shape)
    return array.transpose(0, 2, 1) if where.class_step == 1 else array


def _row(array: Array) -> Array:
    """In C order and writable: read-only arrays are other types for the compiler."""
    row = np.ascontiguousarray(array).reshape(-1)
    return row if row.flags.writeable and row.flags.aligned else row.copy()


def _bytes(valid: Array | None) -> Array:
    return _NONE if valid is None else _row(valid).view(np.uint8)


@compiled
def _forward(
    begin: int, end: int, worker: int, z: Array, labels: Array, valid: Array, weights: Array,
    losses: Array, slope: Array, groups: int, pixels: int, classes: int, pixel_step: int, class_step: int,
    blocks: int, kept: float, spread: float, weight_sum: float, some: bool, with_slope: bool,
) -> None:  # fmt: skip
    """Blocks begin ... end-1 of pixels."""
    width = lanes(z)
    space = np.empty(classes * width, z.dtype)
    zero, one = splat(z, 0), splat(z, 1)
    for piece in range(begin, end):
        group, block = piece // blocks, piece % blocks
        stop = min(pixels, (block + 1) * BLOCK)
        for pixel in range(block * BLOCK, stop, width):
            count, at = stop - pixel, group * pixels + pixel
            base = group * pixels * classes + pixel * pixel_step
            largest = load_apart(z, base, pixel_step, count)
            for k in range(classes):
                value = load_apart(z, base + k * class_step, pixel_step, count)
                store(space, k * width, value, width)
                largest = where_less(largest, value, value, largest)
            label = load_integers(z, labels, at, count)
            others, lost, unseen, own, weight, everywhere, left = zero, zero, one, zero, zero, zero, zero
            for k in range(classes):
                shifted = load(space, k * width, width) - largest
                e, number, class_weight = exp(shifted), splat(z, k), splat(z, weights[k])
                is_largest = where_equal(shifted, zero, unseen, zero)  # 1 at the first one
                unseen = unseen - is_largest
                # Kahan's sums: with thousands of classes plain ones lose digits.
                term = where_equal(is_largest, one, zero, e) + lost
                new = others + term
                lost, others = term - (new - others), new
                own = where_equal(label, number, shifted, own)
                weight = where_equal(label, number, class_weight, weight)
                if spread > 0:
                    term = fma(class_weight, shifted, left)
                    new = everywhere + term
                    left, everywhere = finite_or_zero(term - (new - everywhere)), new
                store(space, k * width, e, width)
            log_sum = log1p(others)
            loss = weight * (log_sum - own)
            if spread > 0:
                all_classes = everywhere - splat(z, weight_sum) * log_sum
                loss = loss * splat(z, kept) - all_classes * splat(z, spread)
            counts = load_integers(z, valid, at, count) if some else one
            store(losses, at, where_equal(counts, zero, zero, loss), count)
            if with_slope:
                target = weight * splat(z, kept)
                factor = (target + splat(z, spread * weight_sum)) / (one + others)
                for k in range(classes):
                    dz = load(space, k * width, width) * factor
                    if spread > 0:
                        dz = dz - splat(z, spread * weights[k])
                    dz = dz - where_equal(label, splat(z, k), target, zero)
                    dz = where_equal(counts, zero, zero, dz)
                    store_apart(slope, base + k * class_step, pixel_step, dz, count)


@compiled
def _backward(
    begin: int, end: int, worker: int, g: Array, slope: Array, valid: Array, dz: Array,
    groups: int, pixels: int, classes: int, pixel_step: int, class_step: int, blocks: int, g_step: int,
    some: bool,
) -> None:  # fmt: skip
    """Blocks begin ... end-1 of pixels."""
    zero = splat(g, 0)
    for piece in range(begin, end):
        group, block = piece // blocks, piece % blocks
        first, stop = block * BLOCK, min(pixels, (block + 1) * BLOCK)
        start = group * pixels * classes + first * pixel_step
        if g_step == 0 and not some and pixel_step != 1:  # one number times a stretch of memory
            last = start + (stop - first) * classes
            for i in range(start, last, lanes(g)):
                store(dz, i, splat(g, g[0]) * load(slope, i, last - i), last - i)
            continue
        for pixel in range(first, stop, lanes(g)):
            count, at = stop - pixel, group * pixels + pixel
            base = group * pixels * classes + pixel * pixel_step
            factor = load(g, at, count) if g_step else splat(g, g[0])
            counts = load_integers(g, valid, at, count) if some else splat(g, 1)
            for k in range(classes):
                value = factor * load_apart(slope, base + k * class_step, pixel_step, count)
                store_apart(
                    dz, base + k * class_step, pixel_step, where_equal(counts, zero, zero, value), count
                )
