"""Explicit vectors: every function beside NumPy, at every number of lanes left over, at any address.

Loads and stores of part of a vector must not touch what lies behind: the arrays end there, and others begin.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import compiled, vectors
from minidl.kernels.cpu.vectors import (
    fma,
    lanes,
    lanes_of,
    load,
    splat,
    store,
    total,
    where_at_most,
    where_equal,
    where_less,
)
from oracles import strategies

DTYPES = [np.float32, np.float64]


@compiled
def copy(y, y_at, x, x_at, n):
    for i in range(0, n, lanes(x)):
        store(y, y_at + i, load(x, x_at + i, n - i), n - i)


@compiled
def partial_load(y, x, at, count):
    store(y, 0, load(x, at, count), lanes(x))


@compiled
def arithmetic(y, a, b, c, number, n):
    """Rows of y: sums, differences, products, quotients, fused, and a number everywhere."""
    for i in range(0, n, lanes(a)):
        u, v, w, left = load(a, i, n - i), load(b, i, n - i), load(c, i, n - i), n - i
        store(y[0], i, u + v, left)
        store(y[1], i, u - v, left)
        store(y[2], i, u * v, left)
        store(y[3], i, u / v, left)
        store(y[4], i, fma(u, v, w), left)
        store(y[5], i, splat(a, number), left)


@compiled
def comparisons(y, a, b, n):
    for i in range(0, n, lanes(a)):
        u, v, left = load(a, i, n - i), load(b, i, n - i), n - i
        one, two = splat(a, 1), splat(a, 2)
        store(y[0], i, where_less(u, v, one, two), left)
        store(y[1], i, where_at_most(u, v, one, two), left)
        store(y[2], i, where_equal(u, v, one, two), left)


@compiled
def sum_of_lanes(x):
    return total(load(x, 0, lanes(x)))


@compiled
def lanes_in_compiled_code(x):
    return lanes(x)


def numbers(draw, n, dtype):
    rng = np.random.default_rng(draw(strategies.seeds))
    return rng.normal(size=n).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_fill_a_register(dtype):
    x = np.zeros(1, dtype)
    assert lanes(x) == lanes_of(x.itemsize) == lanes_in_compiled_code(x) == vectors.VECTOR_BYTES // x.itemsize
    assert vectors.VECTOR_BYTES in (16, 32, 64)
    assert vectors.REGISTERS == (16 if vectors.VECTOR_BYTES == 32 else 32)


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_copying_from_any_place_to_any_place_touches_nothing_else(data, dtype):
    n, x_at, y_at = (data.draw(st.integers(0, 40)) for _ in range(3))
    x = numbers(data.draw, x_at + n, dtype)  # it ends with the last number that may be read
    y = np.full(y_at + n + 40, -7, dtype)
    expected = y.copy()
    expected[y_at : y_at + n] = x[x_at:]
    copy(y, y_at, x, x_at, n)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_that_were_not_loaded_are_zero(dtype):
    width = lanes(np.zeros(1, dtype))
    x = np.arange(1, width + 1, dtype=dtype)
    for count in (-3, *range(width + 1), width + 5):
        y = np.full(width, np.nan, dtype)
        partial_load(y, x, 0, count)
        loaded = min(max(count, 0), width)
        np.testing.assert_array_equal(y, [*x[:loaded], *[0] * (width - loaded)])


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_arithmetic_is_numpys_to_the_bit(data, dtype):
    n = data.draw(st.integers(1, 40))
    a, b, c = (numbers(data.draw, n, dtype) for _ in range(3))
    number = dtype(data.draw(st.floats(-9, 9, width=32)))
    y = np.zeros((6, n), dtype)
    arithmetic(y, a, b, c, number, n)
    for row, expected in zip(y, (a + b, a - b, a * b, a / b), strict=False):
        np.testing.assert_array_equal(row, expected)
    np.testing.assert_array_equal(y[5], np.full(n, number))


def test_a_fused_product_and_sum_is_rounded_once():
    """(1 + ε)(1 - ε) - 1 is -ε²; rounded in between, the product would be 1 and the result 0."""
    for dtype in DTYPES:
        eps = np.finfo(dtype).eps
        y = np.zeros((6, 1), dtype)
        arithmetic(y, *(np.array([v], dtype) for v in (1 + eps, 1 - eps, -1)), dtype(0), 1)
        assert y[4, 0] == -(eps**2) and y[2, 0] == 1


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_are_false_where_one_is_nan(dtype):
    a, b = (grid.ravel().astype(dtype) for grid in np.meshgrid(SPECIAL, SPECIAL))
    y = np.zeros((3, a.size), dtype)
    comparisons(y, a, b, a.size)
    for row, holds in zip(y, (a < b, a <= b, a == b), strict=True):
        np.testing.assert_array_equal(row, np.where(holds, 1, 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinities_travel_through_arithmetic(dtype):
    a, b = (grid.ravel().astype(dtype) for grid in np.meshgrid(SPECIAL, SPECIAL))
    y = np.zeros((6, a.size), dtype)
    arithmetic(y, a, b, np.ones_like(a), dtype(0), a.size)
    with np.errstate(all="ignore"):
        for row, expected in zip(y, (a + b, a - b, a * b, a / b, a * b + 1), strict=False):
            np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum_of_the_lanes_adds_halves_to_halves(dtype):
    x = np.random.default_rng(0).normal(size=lanes(np.zeros(1, dtype))).astype(dtype)
    halves = x
    while halves.size > 1:
        halves = halves[: halves.size // 2] + halves[halves.size // 2 :]
    assert sum_of_lanes(x) == halves[0]


@pytest.mark.parametrize(
    ("variables", "width"),
    [
        ({"MINIDL_VECTOR_BYTES": "16"}, 16),
        ({"MINIDL_VECTOR_BYTES": "32", "cpu": "skylake-avx512"}, 32),
        ({"cpu": "haswell"}, 32),
        ({"cpu": "skylake-avx512", "features": "+avx2,+avx512f"}, 64),
        ({"host": {"avx512f": True, "avx2": True}}, 64),
        ({"host": {"avx512f": False, "avx2": True}}, 32),
        ({"host": {}}, 16),
    ],
)
def test_the_width_is_that_of_the_cpu_that_code_is_made_for(monkeypatch, variables, width):
    monkeypatch.delenv("MINIDL_VECTOR_BYTES", raising=False)
    if given_width := variables.get("MINIDL_VECTOR_BYTES"):
        monkeypatch.setenv("MINIDL_VECTOR_BYTES", given_width)
    monkeypatch.setattr(vectors.config, "CPU_NAME", variables.get("cpu"))
    monkeypatch.setattr(vectors.config, "CPU_FEATURES", variables.get("features"))
    monkeypatch.setattr(vectors.binding, "get_host_cpu_features", lambda: variables.get("host", {}))
    assert vectors._vector_bytes() == width
