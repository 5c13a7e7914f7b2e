"""Literal loops for what selects, orders, moves and sums values: one output value at a time, in float64.

Nothing is shared with the library: these are the expected values. Where an operation only moves values, its
loop says for each element of the result which element of the input it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from oracles import formulas

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


# --- statistics ---


def var(x: Array, dim: formulas.Dim = None, keepdim: bool = False, correction: float = 1) -> Array:
    """Squared deviations from the mean, added up exactly, over the count less the correction."""

    def of_one(values: Sequence[float]) -> float:
        mu = math.fsum(values) / len(values)
        return math.fsum((v - mu) ** 2 for v in values) / (len(values) - correction)

    return formulas.reduce(of_one, x, dim, keepdim)


def std(x: Array, dim: formulas.Dim = None, keepdim: bool = False, correction: float = 1) -> Array:
    return np.asarray(np.sqrt(var(x, dim, keepdim, correction)))


def smallest(x: Array, dim: formulas.Dim = None, keepdim: bool = False) -> Array:
    return formulas.reduce(lambda values: sorted(values)[0], x, dim, keepdim)


def argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return formulas.reduce(lambda values: list(values).index(sorted(values)[0]), x, dim, keepdim)


# --- order ---


def _ranked(values: Sequence[float], descending: bool) -> list[int]:
    """Positions in order; NaN is the largest, equals keep their order (Python's sort is stable)."""

    def key(i: int) -> tuple[bool, float]:
        v = float(values[i])
        return (v != v) != descending, 0.0 if v != v else -v if descending else v

    return sorted(range(len(values)), key=key)


def sort(x: Array, dim: int, descending: bool = False, count: int | None = None) -> tuple[Array, Indices]:
    """The first `count` values in order along one axis, and where each came from."""
    axis = dim % x.ndim
    shape = list(x.shape)
    shape[axis] = x.shape[axis] if count is None else count
    values, indices = np.zeros(shape), np.zeros(shape, np.int64)
    for outer in np.ndindex(*x.shape[:axis], *x.shape[axis + 1 :]):
        line = (*outer[:axis], slice(None), *outer[axis:])
        for place, source in enumerate(_ranked(x[line].tolist(), descending)[: shape[axis]]):
            position = (*outer[:axis], place, *outer[axis:])
            values[position], indices[position] = x[line][source], source
    return values, indices


# --- selection ---


def gather(x: Array, dim: int, index: Indices) -> Array:
    """y[i, j, k] = x[i, index[i, j, k], k], here for dim 1."""
    y = np.zeros(index.shape)
    for position in np.ndindex(index.shape):
        source = list(position)
        source[dim] = int(index[position])
        y[position] = x[tuple(source)]
    return y


def scatter_add(x: Array, dim: int, index: Indices, src: Array) -> Array:
    """y = x, and then y[i, index[i, j, k], k] += src[i, j, k], here for dim 1."""
    y = x.copy()
    for position in np.ndindex(index.shape):
        target = list(position)
        target[dim] = int(index[position])
        y[tuple(target)] += src[position]
    return y


# --- shape ---


def moved(x: Array, shape: Sequence[int], source: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Array:
    """y of this shape, y[i] = x[source(i)]."""
    y = np.zeros(shape)
    for index in np.ndindex(*shape):
        y[index] = x[source(index)]
    return y


def flip(x: Array, dims: Sequence[int]) -> Array:
    axes = [d % x.ndim for d in dims]
    return moved(
        x,
        x.shape,
        lambda i: tuple(
            n - 1 - p if d in axes else p for d, (p, n) in enumerate(zip(i, x.shape, strict=True))
        ),
    )


def expand(x: Array, shape: Sequence[int]) -> Array:
    new = len(shape) - x.ndim
    return moved(x, shape, lambda i: tuple(0 if n == 1 else p for p, n in zip(i[new:], x.shape, strict=True)))


def stack(parts: Sequence[Array], dim: int) -> Array:
    axis = dim % (parts[0].ndim + 1)
    y = np.zeros((*parts[0].shape[:axis], len(parts), *parts[0].shape[axis:]))
    for k, part in enumerate(parts):
        for index in np.ndindex(part.shape):
            y[(*index[:axis], k, *index[axis:])] = part[index]
    return y


def piece(x: Array, sizes: Sequence[int], number: int, dim: int) -> Array:
    """The piece `number` of those of these extents along one axis."""
    axis, start = dim % x.ndim, sum(sizes[:number])
    shape = (*x.shape[:axis], sizes[number], *x.shape[axis + 1 :])
    return moved(x, shape, lambda i: (*i[:axis], i[axis] + start, *i[axis + 1 :]))


def diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    first, second = dim1 % x.ndim, dim2 % x.ndim
    rest = [d for d in range(x.ndim) if d not in (first, second)]
    places = [(r, r + offset) for r in range(x.shape[first]) if 0 <= r + offset < x.shape[second]]
    y = np.zeros((*(x.shape[d] for d in rest), len(places)))
    for *outer, k in np.ndindex(y.shape):
        source = [0] * x.ndim
        for d, i in zip(rest, outer, strict=True):
            source[d] = i
        source[first], source[second] = places[k]
        y[(*outer, k)] = x[tuple(source)]
    return y


def _beyond(i: int, n: int, before: int, after: int, mode: str) -> int:
    """Which of n pixels stands at position i, perhaps beyond the border, found one step at a time."""
    if mode == "replicate":
        return min(max(i, 0), n - 1)
    if mode == "circular":
        first, last = max(0, -before), n - max(0, -after)
        while i < first:
            i += last - first
        while i >= last:
            i -= last - first
        return i
    while not 0 <= i < n:  # a mirror stands on the first pixel, another on the last
        i = -i if i < 0 else 2 * (n - 1) - i
    return i


def pad(x: Array, amounts: Sequence[int], mode: str) -> Array:
    """Padding with the picture's own pixels, torch's order: (left, right) of the last axis first."""
    before, after = [0] * x.ndim, [0] * x.ndim
    for position in range(len(amounts) // 2):
        before[-1 - position], after[-1 - position] = amounts[2 * position], amounts[2 * position + 1]
    shape = [b + n + a for b, n, a in zip(before, x.shape, after, strict=True)]
    return moved(
        x,
        shape,
        lambda index: tuple(
            _beyond(i - b, n, b, a, mode) for i, b, n, a in zip(index, before, x.shape, after, strict=True)
        ),
    )


# --- products ---


def einsum(inputs: Sequence[str], output: str, *operands: Array) -> Array:
    """Every combination of the labels' values: the product of the operands there is added to the result.

    An extent of 1 is read at 0, whatever its label's value.
    """
    extents: dict[str, int] = {}
    for own, x in zip(inputs, operands, strict=True):
        for label, n in zip(own, x.shape, strict=True):
            extents[label] = n if extents.get(label, 1) == 1 else extents[label]
    labels = list(extents)
    y = np.zeros([extents[label] for label in output])
    for values in np.ndindex(*extents.values()):
        at = dict(zip(labels, values, strict=True))
        term = 1.0
        for own, x in zip(inputs, operands, strict=True):
            term *= x[tuple(0 if n == 1 else at[label] for label, n in zip(own, x.shape, strict=True))]
        y[tuple(at[label] for label in output)] += term
    return y
