"""Batch, instance, group and layer normalisation, channels-last (backend ``"numba"``).

What is different from ``kernels/reference/normalize.py``, and why it is faster:

* Statistics in *one* pass over memory: a block of 64 rows is read once, for its deviations from the mean of
  the block before it, and once more, from the cache, only where that mean is far off. The blocks' results are
  merged in float64 by the exact rule (Chan, Golub and LeVeque 1979), so nothing cancels, however far the mean
  is from zero, and the sums of float32 have 64 terms at most.
* y = γ x̂ + β in a second pass, and nothing else: x̂ is never written. The backward takes two passes, one for
  the sums Σ g and Σ g (x - μ) of every channel, from which all else follows, and one for dx.
* Vectors run along the channels, which is how activations lie; other orders are converted (and counted).
  Where there are few channels, several pixels are taken for one with more, so that vectors are full.
* Rows that are normalised on their own (M = 1: layer normalisation) are read from memory once: statistics and
  result, or sums and gradient, while the row is in the cache.

Where σ² + ε leaves the range of the format, or s is so far from 1 that products of such factors may, the
reference computes instead.

The work is cut by the shape alone, and what the pieces give is added up in one order: the bits of a result do
not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels import memory
from minidl.kernels.cpu import normalize_images as images
from minidl.kernels.cpu import normalize_loops as loops
from minidl.kernels.cpu import normalize_rows as alone
from minidl.kernels.cpu.pointwise import DTYPES, PIECE
from minidl.kernels.cpu.streams import is_far
from minidl.kernels.layout import contiguous
from minidl.kernels.reference import normalize as reference
from minidl.kernels.reference.normalize import Needed
from minidl.kernels.threads import deal, get_num_threads

Array = np.ndarray[Any, Any]
Gradients = tuple[Array | None, Array | None, Array | None]

#: With an ε above this no square that underflows matters, in float32 either.
LEAST = 1e-30
#: Squares of s and 1/s up to here are none of the ends of the range.
MOST = 2.0**30
#: Where s itself is smaller, values and their products with cotangents are near the end of float32's range.
SMALLEST = 2.0**-100


def forward(
    x: Array, weight: Array | None, bias: Array | None, groups: int | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """y, μ, σ² and s of x (N, C, M)."""
    if not x.size or x.dtype not in DTYPES:
        return reference.forward(x, weight, bias, groups, eps)
    if groups is not None and x.shape[2] == 1:
        return _rows_forward(x, weight, bias, groups, eps)
    flat, plan = _pixels(x), _plan(x.shape, groups)
    y, affine = memory.empty(flat.shape, x.dtype), _given(weight, bias, x)
    means, squares = plan.of_pieces(), plan.of_pieces()
    results = [np.empty(plan.images * plan.groups, x.dtype) for _ in range(3)]  # μ, σ², s
    factors = plan.of_channels(3, x.dtype)
    options, far = (plan.groups, float(eps)), is_far(y, plan.sizes[-1])
    if plan.images_at_once:
        deal(
            images.forward, plan.images, flat, y, *affine, means, squares, *results, *factors, *options,
            far, *plan.sizes,
        )  # fmt: skip
    else:
        deal(loops.statistics, plan.pieces, flat, means, squares, *plan.sizes)
        images.merge(
            0, plan.images, 0, means, squares, *affine, *results, *factors, *options, *plan.sizes
        )  # fmt: skip
        deal(loops.affine, plan.pieces, flat, y, *factors, far, *plan.sizes)
    mean, var, inv_std = results
    if not _in_range(var, eps):
        return reference.forward(x, weight, bias, groups, eps)
    return plan.shaped(y, x.shape), mean, var, inv_std


def backward(
    g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, groups: int | None, needed: Needed
) -> Gradients:
    """Cotangents of x, γ and β, those that are needed."""
    if not x.size or x.dtype not in DTYPES:
        return reference.backward(g, x, weight, mean, inv_std, groups, needed)
    if groups is not None and x.shape[2] == 1:
        return _rows_backward(g, x, weight, mean, inv_std, groups, needed)
    if not _near_one(inv_std):
        return reference.backward(g, x, weight, mean, inv_std, groups, needed)
    plan = _plan(x.shape, groups)
    gamma, _ = _given(weight, None, x)
    g, x, shape = _pixels(g), _pixels(x), x.shape
    totals, moments = plan.of_pieces(), plan.of_pieces()
    centre, factors = plan.folded(plan.spread(mean), x.dtype), plan.of_channels(3, x.dtype)
    total, moment = (np.empty(plan.images * plan.channels) for _ in range(2))
    spread = (gamma, np.ascontiguousarray(inv_std), total, moment, *factors, plan.groups)
    dx = memory.empty(x.shape, x.dtype) if needed[0] else None
    if dx is not None and plan.images_at_once:
        far = is_far(dx, plan.sizes[-1])
        deal(
            images.backward, plan.images, g, x, dx, centre, totals, moments, *spread, far, *plan.sizes
        )  # fmt: skip
    else:
        deal(loops.sums, plan.pieces, g, x, centre, totals, moments, *plan.sizes)
        images.gather(0, plan.images, 0, totals, moments, *spread, *plan.sizes)
        if dx is not None:
            far = is_far(dx, plan.sizes[-1])
            deal(loops.gradient, plan.pieces, g, x, dx, centre, *factors, far, *plan.sizes)
    s = plan.spread(inv_std).astype(np.float64)
    return (
        None if dx is None else plan.shaped(dx, shape),
        (s * moment.reshape(s.shape)).sum(axis=0).astype(x.dtype) if needed[1] else None,
        total.reshape(s.shape).sum(axis=0).astype(x.dtype) if needed[2] else None,
    )


def forward_given(x: Array, weight: Array | None, bias: Array | None, mean: Array, inv_std: Array) -> Array:
    """y with a given μ and s for each channel."""
    if not x.size or x.dtype not in DTYPES or not _near_one(inv_std):
        return reference.forward_given(x, weight, bias, mean, inv_std)
    plan = _plan(x.shape, None)
    scale = inv_std if weight is None else inv_std * weight
    return plan.shaped(_affine(_pixels(x), plan, mean, scale, bias), x.shape)


def backward_given(
    g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, needed: Needed
) -> Gradients:
    """Cotangents of x, γ and β, those that are needed, where μ and s do not depend on x."""
    if not x.size or x.dtype not in DTYPES or not _near_one(inv_std):
        return reference.backward_given(g, x, weight, mean, inv_std, needed)
    plan, flat = _plan(x.shape, None), _pixels(g)
    dx = dweight = dbias = None
    if needed[1] or needed[2]:
        total, moment = _sums(flat, _pixels(x), plan, mean.reshape(1, -1))
        dweight = (inv_std * moment[0]).astype(x.dtype) if needed[1] else None
        dbias = total[0].astype(x.dtype) if needed[2] else None
    if needed[0]:
        scale = inv_std if weight is None else inv_std * weight
        dx = plan.shaped(_affine(flat, plan, np.zeros_like(scale), scale, None), x.shape)
    return dx, dweight, dbias


def _in_range(var: Array, eps: float) -> bool:
    """Whether σ² + ε is in the range of the format, and of its squares, in every group."""
    if eps > LEAST:
        return bool(np.add.reduce(var) < math.inf)  # quicker; an infinite sum only asks the reference
    return bool(reference.in_range(var + var.dtype.type(eps)).all())


def _near_one(inv_std: Array) -> bool:
    """Whether s² times anything of an ordinary size is in the range of float32; False for NaN."""
    return bool(np.maximum.reduce(inv_std) < MOST and np.minimum.reduce(inv_std) > 1 / MOST)


# --- how the work is cut ------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """(images, rows, C) in memory, cut into chunks of rows; statistics of ``groups`` groups in each image.

    Batch normalisation has one "image", the whole batch.
    """

    images: int
    rows: int
    channels: int
    groups: int
    fold: int  #: so many neighbouring rows are taken for one row of fold · C channels
    chunk: int  #: folded rows in a piece

    @property
    def chunks(self) -> int:
        return -(-(self.rows // self.fold) // self.chunk)

    @property
    def pieces(self) -> int:
        return self.images * self.chunks

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """What the compiled loops are told: chunks of an image, rows of a chunk, rows and channels."""
        return self.chunks, self.chunk, self.rows // self.fold, self.channels * self.fold

    @property
    def images_at_once(self) -> bool:
        """Whether threads take whole images: there are enough of them that all threads have about as many."""
        threads = get_num_threads()
        return self.images >= 4 * threads or self.images % threads == 0

    def of_pieces(self) -> Array:
        """New memory for a value of each piece and folded channel."""
        return np.empty(self.pieces * self.channels * self.fold)

    def of_channels(self, count: int, dtype: Any) -> list[Array]:
        """Memory for so many values of each image and folded channel."""
        return [np.empty(self.images * self.channels * self.fold, dtype) for _ in range(count)]

    def spread(self, values: Array) -> Array:
        """A value for each group to one for each channel, (images, C)."""
        return np.repeat(values.reshape(self.images, self.groups), self.channels // self.groups, axis=1)

    def folded(self, values: Array, dtype: Any) -> Array:
        """Values (images or 1, C) as the loops take them: flat, in one dtype, for each folded channel."""
        values = np.broadcast_to(values, (self.images, self.channels))
        return np.tile(values.astype(dtype), (1, self.fold)).reshape(-1)

    def shaped(self, y: Array, shape: tuple[int, ...]) -> Array:
        """Flat memory as (N, C, M) by shape."""
        n, c, m = shape
        return y.reshape(n, m, c).transpose(0, 2, 1)


def _plan(shape: tuple[int, ...], groups: int | None) -> _Plan:
    n, c, m = shape
    images, rows = (1, n * m) if groups is None else (n, m)
    fold = 1
    while fold * c < 64 and rows % (2 * fold) == 0:
        fold *= 2
    return _Plan(images, rows, c, groups or c, fold, max(64, 2 * PIECE // (c * fold)))


def _pixels(x: Array) -> Array:
    """The flat memory of x (N, C, M) as (N, M, C): its own, or a counted copy."""
    turned = x.transpose(0, 2, 1)
    if not (turned.flags.c_contiguous and turned.flags.behaved):
        turned = contiguous(turned)
    return turned.reshape(-1)


def _given(weight: Array | None, bias: Array | None, x: Array) -> tuple[Array, Array]:
    """γ and β; 1 and 0 where there are none."""
    c = x.shape[1]
    return (
        np.ones(c, x.dtype) if weight is None else np.ascontiguousarray(weight),
        np.zeros(c, x.dtype) if bias is None else np.ascontiguousarray(bias),
    )


# --- pixels with channels -----------------------------------------------------------------------------------


def _affine(x: Array, plan: _Plan, mean: Array, scale: Array, bias: Array | None) -> Array:
    """(x - mean) scale + bias; mean and scale (images or 1, C)."""
    y = memory.empty(x.shape, x.dtype)
    shift = np.zeros(1) if bias is None else bias
    factors = (plan.folded(f, x.dtype) for f in (mean, scale, shift))
    deal(loops.affine, plan.pieces, x, y, *factors, is_far(y, plan.sizes[-1]), *plan.sizes)
    return y


def _sums(g: Array, x: Array, plan: _Plan, mean: Array) -> tuple[Array, Array]:
    """Σ g and Σ g (x - mean) for each image and channel, (images, C) in float64."""
    places = (plan.images, plan.chunks, plan.fold, plan.channels)
    total, moment = np.empty(places), np.empty(places)
    means = plan.folded(mean, x.dtype)
    deal(loops.sums, plan.pieces, g, x, means, total.reshape(-1), moment.reshape(-1), *plan.sizes)
    return total.sum(axis=(1, 2)), moment.sum(axis=(1, 2))


# --- rows on their own --------------------------------------------------------------------------------------


def _contiguous(x: Array) -> Array:
    return _pixels(x)  # with one pixel, (N, 1, C) is C order


def _rows_forward(
    x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
) -> tuple[Array, Array, Array, Array]:
    n, c, _ = x.shape
    flat = _contiguous(x)
    y = memory.empty(flat.shape, x.dtype)
    mean, var, inv_std = (np.empty(n * groups, x.dtype) for _ in range(3))
    gamma, beta = _given(weight, bias, x)
    size = c // groups
    step = max(1, PIECE // size)  # rows in a piece
    rows = n * groups
    sizes = (size, groups, step, rows, float(eps))
    deal(alone.rows_forward, -(-rows // step), flat, y, gamma, beta, mean, var, inv_std, *sizes)
    if not _in_range(var, eps):
        return reference.forward(x, weight, bias, groups, eps)
    return y.reshape(x.shape), mean, var, inv_std


def _rows_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, groups: int, needed: Needed
) -> Gradients:
    if not np.minimum.reduce(inv_std) > SMALLEST:
        return reference.backward(g, x, weight, mean, inv_std, groups, needed)
    n, c, _ = x.shape
    # Each piece sums for γ and β on its own; so few pieces that these sums stay small beside x.
    pieces = min(n, max(4, min(64, 2**20 // c)), max(1, x.size // (4 * PIECE)))
    gamma, _ = _given(weight, None, x)
    dx = memory.empty((x.size,), x.dtype)
    sums = np.empty((pieces, 2, c))
    sizes = (c // groups, groups, pieces, n)
    deal(
        alone.rows_backward, pieces, _contiguous(g), _contiguous(x), dx, gamma, mean, inv_std,
        sums.reshape(-1), *sizes,
    )  # fmt: skip
    totals = sums.sum(axis=0)
    return (
        dx.reshape(x.shape) if needed[0] else None,
        # Each in memory of its own, so that as a gradient it need not be copied.
        totals[0].astype(x.dtype) if needed[1] else None,
        totals[1].astype(x.dtype) if needed[2] else None,
    )
