"""Exponentials and logarithms on vectors: units in the last place against 50 decimal digits, and edges."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from minidl.kernels.cpu import compiled, vector_math
from minidl.kernels.cpu.vectors import lanes, load, store

DTYPES = [np.float32, np.float64]


def kernel(function):
    def run(x, y):
        for i in range(0, x.size, lanes(x)):
            store(y, i, function(load(x, i, x.size - i)), x.size - i)

    return compiled(run)


KERNELS = {name: kernel(getattr(vector_math, name)) for name in ("exp", "expm1", "log", "log1p")}

#: The same functions in decimal arithmetic, which shares nothing with binary floating point.
EXACT = {
    "exp": Decimal.exp,
    "expm1": lambda x: x.exp() - 1 if abs(x) > Decimal("1e-20") else x + x * x / 2,
    "log": Decimal.ln,
    "log1p": lambda x: (1 + x).ln() if abs(x) > Decimal("1e-20") else x - x * x / 2,
}
#: The promise of the module's text.
UNITS = {"exp": 1, "log": 1, "expm1": 2, "log1p": 2}


def apply(name, x):
    y = np.empty_like(x)
    KERNELS[name](x, y)
    return y


def arguments(name, dtype, count):
    """Numbers of all sizes for which the result is finite, most of them near where the formulas change."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    top = math.log(info.max)
    near = rng.normal(size=count) * np.exp(rng.uniform(-20, 1, count))
    if name in ("exp", "expm1"):
        far = rng.uniform(math.log(info.smallest_subnormal) if name == "exp" else -40, top, count)
        return np.concatenate([near, far]).astype(dtype)
    far = np.exp(rng.uniform(math.log(info.smallest_subnormal), top, count))
    if name == "log":
        return np.abs(np.concatenate([1 + near, far, np.exp2(rng.uniform(-1, 1, count))])).astype(dtype)
    near = near[near > -0.99]
    return np.concatenate([near, far]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_units_in_the_last_place(name, dtype):
    x = arguments(name, dtype, 2000)
    y = apply(name, x)
    worst = 0.0
    with localcontext(prec=50):
        for argument, result in zip(x.tolist(), y.tolist(), strict=True):
            exact = EXACT[name](Decimal(argument))
            unit = Decimal(float(np.spacing(dtype(abs(float(exact))))))
            worst = max(worst, float(abs(Decimal(result) - exact) / unit))
    assert worst <= UNITS[name]


@pytest.mark.parametrize("name", KERNELS)
def test_units_in_the_last_place_of_many_float32(name):
    x = arguments(name, np.float32, 200_000)
    exact = getattr(np, name)(x.astype(np.float64))
    error = np.abs(apply(name, x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert error.max() <= UNITS[name]


@pytest.mark.parametrize("dtype", DTYPES)
def test_edges(dtype):
    info, inf, nan = np.finfo(dtype), np.inf, np.nan
    top = math.log(info.max)
    rows = {
        "exp": [(0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (nan, nan), (top * 1.01, inf), (info.max, inf),
                (-info.max, 0), (info.tiny, 1), (math.log(info.smallest_subnormal) - 1, 0)],
        "expm1": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -1), (nan, nan), (top * 1.01, inf),
                  (info.max, inf), (-info.max, -1), (info.smallest_subnormal, info.smallest_subnormal)],
        "log": [(1, 0), (0, -inf), (-0.0, -inf), (inf, inf), (-inf, nan), (-1, nan), (nan, nan),
                (-info.smallest_subnormal, nan)],
        "log1p": [(0, 0), (-0.0, -0.0), (-1, -inf), (-1.5, nan), (inf, inf), (-inf, nan), (nan, nan),
                  (info.smallest_subnormal, info.smallest_subnormal)],
    }  # fmt: skip
    for name, pairs in rows.items():
        x, expected = np.array(pairs, dtype).T.copy()
        y = apply(name, x)
        np.testing.assert_array_equal(y, expected, name)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(expected)[known], name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_up_to_the_largest_number_and_down_to_the_smallest(dtype):
    """Both ends of the range, where 2^k in one factor would be no number any more."""
    info = np.finfo(dtype)
    ends = np.array([math.log(info.max) * (1 - 1e-6), math.log(info.tiny) - 5], dtype)
    exact = np.exp(ends.astype(np.longdouble))
    np.testing.assert_allclose(apply("exp", ends)[0], exact[0], rtol=float(info.eps))
    assert abs(apply("exp", ends)[1] - exact[1]) <= info.smallest_subnormal


def test_the_derived_polynomial_meets_its_function():
    """A polynomial of the degree asked for comes out as it is; a function is met to Chebyshev's error."""
    cubic = vector_math.chebyshev_polynomial(lambda x: 2 - x + 3 * x**3, -1, 2, 4)
    np.testing.assert_allclose(cubic, [2, -1, 0, 3], rtol=1e-12, atol=1e-12)
    series = vector_math.chebyshev_polynomial(lambda x: x.exp(), -1, 1, 8)
    x = np.linspace(-1, 1, 101)
    bound = math.e / (math.factorial(8) * 2**7)  # max |f⁽⁸⁾| / (8! 2⁷)
    assert np.abs(np.polynomial.polynomial.polyval(x, series) - np.exp(x)).max() <= bound
