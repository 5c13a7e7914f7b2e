"""Softmax and its logarithm in one pass over memory (backend ``"numba"``).

The reference makes a pass over memory for each step: maximum, difference, exponential, sum, quotient. Here
the classes of 16 pixels are read into a small work space, and the result is written from there. Neither
backward needs a space of its own: it sums in a first run over the classes of its pixels and combines in a
second one, for which they are still in the cache. (``kernels/cpu/columns.py`` tells what a vector holds.)
Two classes that are neighbours in memory, what a segmenter of one kind of thing has channels-last, are not
gathered: a vector holds both of 8 pixels, and its neighbouring lanes are exchanged; many classes that are
neighbours have loops of their own (``softmax_rows.py``). The arithmetic is the same. The result has the
memory order of the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import threads
from minidl.kernels.cpu import compiled, softmax_rows
from minidl.kernels.cpu.columns import BLOCK, Grid, finite_or_zero, grid_in, load_apart, store_apart, swapped
from minidl.kernels.cpu.pointwise import PIECE, arranged, dense, empty_in, supported
from minidl.kernels.cpu.vector_math import exp, log1p
from minidl.kernels.cpu.vectors import fma, lanes, load, splat, store, where_equal, where_less
from minidl.kernels.reference import softmax as reference

Array = np.ndarray[Any, Any]


def forward(z: Array, axis: int) -> Array:
    """p = e^(z - max z) / Σ e^(z - max z)."""
    return _run_forward(z, axis, False) if supported(z) else reference.forward(z, axis)


def backward(g: Array, p: Array, axis: int) -> Array:
    """p ⊙ (g - Σ g p)."""
    return _run_backward(g, p, axis, False) if supported(g, p) else reference.backward(g, p, axis)


def log_forward(z: Array, axis: int) -> Array:
    """log p = (z - max z) - log Σ e^(z - max z)."""
    return _run_forward(z, axis, True) if supported(z) else reference.log_forward(z, axis)


def log_backward(g: Array, log_p: Array, axis: int) -> Array:
    """g - p Σ g."""
    return (
        _run_backward(g, log_p, axis, True) if supported(g, log_p) else reference.log_backward(g, log_p, axis)
    )


def _run_forward(z: Array, axis: int, log: bool) -> Array:
    z, order = dense(z)
    y, flat_y = empty_in(order, z.shape, z.dtype)
    if z.size:
        where = grid_in(z.shape, order, axis)
        pieces = where.groups * where.blocks
        if _are_pairs(where):
            threads.deal(_pairs_forward, pieces, arranged(z, order), flat_y, log)
        elif _are_rows(where):
            threads.deal(softmax_rows.forward, *_pieces_of_rows(where, arranged(z, order), flat_y), log)
        else:
            threads.deal(_forward, pieces, arranged(z, order), flat_y, *where, where.blocks, log)
    return y


def _run_backward(g: Array, y: Array, axis: int, log: bool) -> Array:
    y, order = dense(y)
    dz, flat_dz = empty_in(order, y.shape, y.dtype)
    if y.size:
        where = grid_in(y.shape, order, axis)
        arrays = arranged(g, order), arranged(y, order), flat_dz
        if _are_pairs(where):
            threads.deal(_pairs_backward, where.blocks, *arrays, log)
        elif _are_rows(where):
            threads.deal(softmax_rows.backward, *_pieces_of_rows(where, *arrays), log)
        else:
            threads.deal(_backward, where.groups * where.blocks, *arrays, *where, where.blocks, log)
    return dz


def _are_pairs(where: Grid) -> bool:
    return where.classes == 2 and where.class_step == 1


def _are_rows(where: Grid) -> bool:
    return where.classes >= softmax_rows.LEAST and where.class_step == 1


def _pieces_of_rows(where: Grid, *arrays: Array) -> tuple[Any, ...]:
    """How many pieces of work, and what the loops over rows want to know."""
    step = max(1, PIECE // where.classes)
    return -(-where.pixels // step), *arrays, where.pixels, where.classes, step


@compiled
def _pairs_forward(begin: int, end: int, worker: int, z: Array, y: Array, log: bool) -> None:
    """Blocks begin ... end-1 of pixels of two classes."""
    stop = min(end * 2 * BLOCK, z.size)
    for i in range(begin * 2 * BLOCK, stop, lanes(z)):
        value = load(z, i, stop - i)
        other = swapped(value)
        shifted = value - where_less(value, other, other, value)
        e = exp(shifted)
        other = swapped(e)  # one of the two is 1, the other the sum of what is not the largest
        others = where_less(e, other, e, other)
        if log:
            store(y, i, shifted - log1p(others), stop - i)
        else:
            store(y, i, e / (splat(z, 1) + others), stop - i)


@compiled
def _pairs_backward(begin: int, end: int, worker: int, g: Array, y: Array, dz: Array, log: bool) -> None:
    """Blocks begin ... end-1 of pixels of two classes; y is p, or its logarithm."""
    stop = min(end * 2 * BLOCK, g.size)
    for i in range(begin * 2 * BLOCK, stop, lanes(g)):
        value, own = load(g, i, stop - i), load(y, i, stop - i)
        term = value if log else value * own
        total = term + swapped(term)
        store(dz, i, value - exp(own) * total if log else own * (value - total), stop - i)


@compiled
def _forward(
    begin: int, end: int, worker: int, z: Array, y: Array, groups: int, pixels: int, classes: int,
    pixel_step: int, class_step: int, blocks: int, log: bool,
) -> None:  # fmt: skip
    """Blocks begin ... end-1 of pixels."""
    width = lanes(z)
    space = np.empty(classes * width, z.dtype)
    zero, one = splat(z, 0), splat(z, 1)
    for piece in range(begin, end):
        group, block = piece // blocks, piece % blocks
        stop = min(pixels, (block + 1) * BLOCK)
        for pixel in range(block * BLOCK, stop, width):
            count, base = stop - pixel, group * pixels * classes + pixel * pixel_step
            largest = load_apart(z, base, pixel_step, count)
            for k in range(classes):
                value = load_apart(z, base + k * class_step, pixel_step, count)
                store(space, k * width, value, width)
                largest = where_less(largest, value, value, largest)
            # The largest exponential, 1, is left out once: log(1 + others) keeps the digits of a small sum.
            others, lost, unseen = zero, zero, one
            for k in range(classes):
                shifted = load(space, k * width, width) - largest
                e = exp(shifted)
                is_largest = where_equal(shifted, zero, unseen, zero)
                unseen = unseen - is_largest
                # Kahan's sum: with thousands of classes a plain one loses digits.
                term = where_equal(is_largest, one, zero, e) + lost
                new = others + term
                lost, others = term - (new - others), new
                if log:
                    store(space, k * width, shifted, width)
                else:
                    store(space, k * width, e, width)
            below = log1p(others) if log else one + others
            for k in range(classes):
                value = load(space, k * width, width)
                value = value - below if log else value / below
                store_apart(y, base + k * class_step, pixel_step, value, count)


@compiled
def _backward(
    begin: int, end: int, worker: int, g: Array, y: Array, dz: Array, groups: int, pixels: int,
    classes: int, pixel_step: int, class_step: int, blocks: int, log: bool,
) -> None:  # fmt: skip
    """Blocks begin ... end-1 of pixels; y is p, or its logarithm."""
    for piece in range(begin, end):
        group, block = piece // blocks, piece % blocks
        stop = min(pixels, (block + 1) * BLOCK)
        for pixel in range(block * BLOCK, stop, lanes(g)):
            count, base = stop - pixel, group * pixels * classes + pixel * pixel_step
            total, lost = splat(g, 0), splat(g, 0)
            for k in range(classes):
                at = base + k * class_step
                value = load_apart(g, at, pixel_step, count)
                if log:
                    term = value + lost
                else:
                    term = fma(value, load_apart(y, at, pixel_step, count), lost)
                new = total + term
                lost, total = finite_or_zero(term - (new - total)), new
            for k in range(classes):
                at = base + k * class_step
                value, own = load_apart(g, at, pixel_step, count), load_apart(y, at, pixel_step, count)
                result = value - exp(own) * total if log else own * (value - total)
                store_apart(dz, at, pixel_step, result, count)
