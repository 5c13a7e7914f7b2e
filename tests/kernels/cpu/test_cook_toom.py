"""Minimal filtering, exactly: with fractions the identity must hold without any rounding."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import cook_toom
from minidl.kernels.cpu.cook_toom import derive, repeats, times_linear, transpose

fractions = st.builds(Fraction, st.integers(-6, 6), st.integers(1, 4))


def filters(method):
    """Whether Σ_j AT[i][j] G[j][k] BT[j][q] is 1 for q = i + k, else 0: y[i] = Σ_k w[k] x[i + k]."""
    places = product(range(method.m), range(method.r), range(method.n))
    return all(
        sum(method.AT[i][j] * method.G[j][k] * method.BT[j][q] for j in range(method.n)) == (q == i + k)
        for i, k, q in places
    )


@pytest.mark.parametrize("m", sorted(cook_toom.POINTS))
def test_the_methods_in_use_are_exact(m):
    method = derive(m, 3)
    assert (method.n, len(method.AT), len(method.G), len(method.BT)) == (m + 2, m, m + 2, m + 2)
    assert filters(method)


@given(data=st.data(), m=st.integers(1, 5), r=st.integers(1, 5))
def test_any_different_points_are_exact(data, m, r):
    points = data.draw(st.lists(fractions, min_size=m + r - 2, max_size=m + r - 2, unique=True))
    assert filters(derive(m, r, points))


def test_f23_is_the_one_in_the_literature():
    """Lavin and Gray 2015, equation 5, up to the signs that BT and G share."""
    method = derive(2, 3)
    half = Fraction(1, 2)
    assert method.AT == [[1, 1, 1, 0], [0, 1, -1, 1]]
    published_G = [[1, 0, 0], [half, half, half], [half, -half, half], [0, 0, 1]]
    published_BT = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]
    products = list(zip(method.G, method.BT, published_G, published_BT, strict=True))
    for g, b, known_g, known_b in products[:3]:
        assert [[x * y for y in b] for x in g] == [[x * y for y in known_b] for x in known_g]
    # At infinity the sign has moved into AT's last entry there; Lavin and Gray have -1.
    assert [-x for x in products[3][1]] == published_BT[3] and products[3][0] == published_G[3]


def test_inputs_are_transformed_by_numbers_that_float32_holds_exactly():
    for m in cook_toom.POINTS:
        assert all(Fraction(float(np.float32(value))) == value for row in derive(m, 3).BT for value in row)


@pytest.mark.parametrize("m", sorted(cook_toom.POINTS))
def test_the_value_at_one_is_the_sum(m):
    s, evaluations = cook_toom.at_one(m), transpose(derive(m, 3).AT)
    for i in range(m):
        assert sum(a * row[i] for a, row in zip(s, evaluations, strict=True)) == 1


@pytest.mark.parametrize("points", [[0, 1], [0, 1, -1, 2], [0, 1, 1], []])
def test_too_few_too_many_or_equal_points(points):
    with pytest.raises(ValueError, match=r"F\(2, 3\) needs 3 different finite points"):
        derive(2, 3, [Fraction(p) for p in points])


@given(coefficients=st.lists(fractions, min_size=1, max_size=6), root=fractions, x=fractions)
def test_a_linear_factor(coefficients, root, x):
    def value(polynomial):
        return sum(c * x**i for i, c in enumerate(polynomial))

    assert value(times_linear(coefficients, root)) == value(coefficients) * (x - root)


@given(data=st.data())
def test_products_and_transposes(data):
    rows, inner, columns = (data.draw(st.integers(1, 4)) for _ in range(3))
    a, b = (
        [[data.draw(fractions) for _ in range(width)] for _ in range(height)]
        for height, width in ((rows, inner), (inner, columns))
    )
    c = cook_toom.product(a, b)
    assert c == [[sum(a[i][k] * b[k][j] for k in range(inner)) for j in range(columns)] for i in range(rows)]
    assert transpose(c) == cook_toom.product(transpose(b), transpose(a))


@pytest.mark.parametrize("first", [-1, 0, -3, 2])
@pytest.mark.parametrize("n", range(1, 8))
def test_repeated_pixels(n, first):
    """The doubled picture's pixel p shows the small one's pixel p // 2."""
    matrix = repeats(n, first)
    small = [first // 2 + q for q in range(len(matrix[0]))]
    assert [sum(int(v) * s for v, s in zip(row, small, strict=True)) for row in matrix] == [
        (first + i) // 2 for i in range(n)
    ]
    assert all(any(row[q] for row in matrix) for q in range(len(small)))  # none is loaded in vain
