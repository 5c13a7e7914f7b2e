"""Literal formulas of the element-wise operations: one value at a time, with Python floats and `math`.

Next to them what the hypotheses of their tests need: values that keep away from the places where a function
has a corner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from oracles.formulas import elementwise

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def away_from(*corners: float, reach: float = 6.0, gap: float = 0.1) -> Draw:
    """Draws values between -reach and reach that keep `gap` away from each corner."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        edges = [-reach, *sorted(corners), reach]
        pieces = list(itertools.pairwise(edges))
        chosen = rng.integers(0, len(pieces), shape)
        low, high = (np.array([p[side] for p in pieces])[chosen] for side in (0, 1))
        return np.asarray(rng.uniform(low + gap, high - gap))

    return draw


def distinct(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[Array]:
    """Several arrays in which no number comes twice: between -2 and 2, all equally far apart."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    ladder = rng.permutation((np.arange(sum(sizes)) + 0.5) * 4 / max(sum(sizes), 1) - 2)
    parts = np.split(ladder, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def gelu(x: Array, approximate: str = "none") -> Array:
    """x times the normal distribution's cumulative function, or times its approximation by tanh."""
    if approximate == "tanh":
        return elementwise(
            lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))), x
        )
    return elementwise(lambda v: v * 0.5 * math.erfc(-v / math.sqrt(2)), x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """The exponential's arc below zero, the straight line above."""
    return elementwise(lambda v: v if v > 0 else alpha * math.expm1(v), x)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """Two straight lines that meet at zero."""
    return elementwise(lambda v: v if v > 0 else slope * v, x)


def prelu(x: Array, weight: Array) -> Array:
    """As leaky_relu, with the slope that belongs to the element's channel."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        channel = index[1] if x.ndim > 1 and weight.size > 1 else 0
        v = float(x[index])
        y[index] = v if v > 0 else float(weight.ravel()[channel]) * v
    return y


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + e^(beta v)) / beta below the threshold."""
    return elementwise(lambda v: v if beta * v > threshold else math.log1p(math.exp(beta * v)) / beta, x)


def hardswish(x: Array) -> Array:
    """Zero, parabola, straight line."""

    def one(v: float) -> float:
        if v <= -3:
            return 0.0
        return v if v >= 3 else v * (v + 3) / 6

    return elementwise(one, x)


def silu(x: Array) -> Array:
    """v / (1 + e^-v)."""
    return elementwise(lambda v: v / (1 + math.exp(-v)), x)


def where(condition: NDArray[np.bool_], x: Array, y: Array) -> Array:
    """One or the other."""
    return elementwise(lambda c, a, b: a if c else b, condition.astype(np.float64), x, y)


def clamp(x: Array, low: Array | float | None, high: Array | float | None) -> Array:
    """Up to `low`, then down to `high`."""
    bounds = [np.asarray(b, np.float64) for b in (low, high) if b is not None]

    def one(v: float, *rest: float) -> float:
        numbers = list(rest)
        if low is not None:
            v = max(v, numbers.pop(0))
        return min(v, numbers.pop(0)) if high is not None else v

    return elementwise(one, x, *bounds)


# --- Philox 4x64-10, from the paper (Salmon et al. 2011), in Python's integers ---

_M = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_W = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """The four 64-bit words that belong to a 256-bit counter and a 128-bit key, least significant first."""
    c, k = list(counter), list(key)
    for _ in range(10):
        (high0, low0), (high1, low1) = (divmod(m * c[i], 2**64) for m, i in zip(_M, (0, 2), strict=True))
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(word + step) % 2**64 for word, step in zip(k, _W, strict=True)]
    return c


def philox_words(key: Sequence[int], first: int, count: int) -> list[int]:
    """Numbers `first` ... `first + count - 1` of the generator that counts up from 1, four in a block."""
    return [philox((n // 4 + 1, 0, 0, 0), key)[n % 4] for n in range(first, first + count)]


def philox_halves(key: Sequence[int], first: int, count: int) -> list[int]:
    """`count` 32-bit numbers from word `first` on: the low half of each word, then its high half."""
    words = philox_words(key, first, (count + 1) // 2)
    return [half for word in words for half in (word % 2**32, word // 2**32)][:count]
