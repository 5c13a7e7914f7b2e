"""Formulas in decimal numbers of 60 digits, whose exponents have no ends that matter: what comes out where
squares, sums and products of floats would leave their range."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minidl

EXACT = Context(prec=60, Emin=-(10**6), Emax=10**6)


def decimals(values: Any) -> list[Decimal]:
    """The exact values of floats."""
    return [Decimal(float(v)) for v in np.ravel(values)]


def rounded(values: Sequence[Decimal], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The nearest float64 numbers."""
    return np.array([float(v) for v in values]).reshape(shape)


def deviation(
    values: Sequence[Decimal], correction: float = 1
) -> tuple[Decimal, Decimal, list[Decimal], list[Decimal]]:
    """Of numbers: variance, deviation, and the gradients of both."""
    with localcontext(EXACT):
        mean = sum(values) / len(values)
        apart = [v - mean for v in values]
        freedom = len(values) - Decimal(correction)
        variance = sum(d * d for d in apart) / freedom
        root = variance.sqrt()
        return (
            variance,
            root,
            [2 * d / freedom for d in apart],
            [d / (freedom * root) for d in apart],
        )


def deviation_twice(values: Sequence[Decimal], along: Sequence[Decimal]) -> list[Decimal]:
    """The derivative along a direction v of the gradient of the deviation s (correction 1):

    ((v - mean v) - d Σ d v / ((n - 1) s²)) / ((n - 1) s), d being what the numbers deviate by.
    """
    with localcontext(EXACT):
        n, mean = len(values), sum(values) / len(values)
        apart, middle = [v - mean for v in values], sum(along) / len(along)
        squares = sum(d * d for d in apart)
        product = sum(d * v for d, v in zip(apart, along, strict=True))
        root = (squares / (n - 1)).sqrt()
        return [
            ((v - middle) - d * product / squares) / ((n - 1) * root)
            for d, v in zip(apart, along, strict=True)
        ]


def standardised(
    values: Sequence[Decimal], g: Sequence[Decimal], eps: float
) -> tuple[list[Decimal], list[Decimal]]:
    """x̂ = (x - mean) / √(σ² + ε) of one group, and dx of the cotangent g of x̂."""
    with localcontext(EXACT):
        n, mean = len(values), sum(values) / len(values)
        apart = [v - mean for v in values]
        inverse = 1 / (sum(d * d for d in apart) / n + Decimal(eps)).sqrt()
        xhat = [d * inverse for d in apart]
        mean_g, mean_gx = sum(g) / n, sum(a * b for a, b in zip(g, xhat, strict=True)) / n
        return xhat, [inverse * (a - mean_g - b * mean_gx) for a, b in zip(g, xhat, strict=True)]


def norm(values: Sequence[Decimal], order: float) -> Decimal:
    """(Σ |v|^p)^(1/p)."""
    with localcontext(EXACT):
        return sum(abs(v) ** Decimal(order) for v in values if v) ** (1 / Decimal(order))


# --- what the tests of such numbers share -------------------------------------------------------------------

NUMBERS = np.array([1.0, -2.0, 3.0, 0.5, -1.5, 0.75])
#: Powers of ten for each format; the largest number and its sums with others of that size stay finite.
SIZES: dict[Any, tuple[float, ...]] = {
    np.float32: (1e-44, 1e-40, 1e-37, 1e-25, 1e-15, 1e15, 1e20, 1e25, 1e37, 1.1e38),
    np.float64: (5e-322, 1e-310, 1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300, 5e307),
}


def near(actual: NDArray[Any], expected: Any, dtype: Any, ulps: int = 16) -> None:
    """Equal relative to the largest, up to some roundings; infinite where the number is too large."""
    limits = np.finfo(dtype)
    with np.errstate(over="ignore"):
        expected = np.asarray(expected, np.float64).astype(dtype).astype(np.float64)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))
    finite = np.isfinite(expected)
    largest = float(np.abs(expected[finite]).max(initial=0.0))
    allowed = ulps * limits.eps * largest + float(limits.smallest_subnormal)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=0, atol=allowed)


def leaf(values: Any, dtype: Any) -> minidl.Tensor:
    """A tensor that requires a gradient."""
    return minidl.tensor(np.asarray(values).astype(dtype), requires_grad=True)
