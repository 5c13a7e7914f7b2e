"""Results at the ends of a format's range, where squares and products on the way would leave it.

In float32 the square of 1e-25 is 0 and that of 1e20 infinite; the deviation of such numbers and its gradient
are neither. What must come out is computed in decimals (oracles/exact.py), or it is written down.
"""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import grad
from oracles import exact
from oracles.exact import NUMBERS, SIZES, leaf, near

CASES = [(dtype, size) for dtype, sizes in SIZES.items() for size in sizes]
every_size = pytest.mark.parametrize(("dtype", "size"), CASES, ids=[f"{d.__name__} {s:g}" for d, s in CASES])


@every_size
def test_the_deviation_and_its_derivatives(dtype, size):
    x = leaf(NUMBERS * size, dtype)
    values = exact.decimals(x.detach().numpy())
    variance, deviation, of_variance, of_deviation = exact.deviation(values)
    y, v = x.std(), x.var()
    near(y.detach().numpy(), float(deviation), dtype)
    near(v.detach().numpy(), float(variance), dtype)
    (first,) = grad(y, x, create_graph=True)
    for gradient in (first, *grad(y, x, retain_graph=True)):
        near(gradient.detach().numpy(), exact.rounded(of_deviation, x.shape), dtype)
    along = exact.decimals([1.0, -2.0, 3.0, 0.5, 1.0, 2.0])
    direction = np.array([float(a) for a in along])
    if 1 / size < float(np.finfo(dtype).max) / 4:  # the gradient's own derivative is in range
        (second,) = grad(first, x, minidl.tensor(direction.astype(dtype)))
        near(second.numpy(), exact.rounded(exact.deviation_twice(values, along), x.shape), dtype)
    (slope,) = grad(v, x, create_graph=True)
    for gradient in (slope, *grad(v, x, retain_graph=True)):
        near(gradient.detach().numpy(), exact.rounded(of_variance, x.shape), dtype)
    # The variance's second derivative is the same for numbers of any size: 2/(n-1) (v - mean v).
    (second,) = grad(slope, x, minidl.tensor(direction.astype(dtype)))
    near(second.numpy(), 2 / 5 * (direction - direction.mean()), dtype)


#: How four groups of six numbers lie in an array, over what they are reduced, and how they are found again.
LAYOUTS = {
    "rows": (lambda r: r, 1, lambda g: g),
    "columns": (lambda r: r.T, 0, lambda g: g.T),
    "both sides": (
        lambda r: r.reshape(4, 2, 3).transpose(1, 0, 2),
        (0, 2),
        lambda g: g.transpose(1, 0, 2).reshape(4, 6),
    ),
}


@pytest.mark.parametrize("correction", [0, 1, 2.5])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_deviations_of_groups_of_any_size_side_by_side(layout, keepdim, correction):
    """Each has a scale of its own: what is tiny beside a huge one keeps its digits."""
    arranged, dim, groups = LAYOUTS[layout]
    rows = np.outer((1e-30, 1.0, 1e37, 1e-42), NUMBERS).astype(np.float32)
    x = leaf(arranged(rows), np.float32)
    y = x.std(dim, keepdim=keepdim, correction=correction)
    y.backward(minidl.tensor(np.ones(y.shape, np.float32)))
    for row, value, slope in zip(rows, y.detach().numpy().ravel(), groups(x.grad.numpy()), strict=True):
        _, deviation, _, expected = exact.deviation(exact.decimals(row), correction)
        near(np.asarray(value), float(deviation), np.float32)
        near(slope, exact.rounded(expected, slope.shape), np.float32)


def test_a_sum_of_squares_may_be_too_large_where_their_mean_is_not():
    x = np.resize(np.array([1e19, -1e19], np.float32), (3, 1000))
    np.testing.assert_allclose(ops.var(minidl.tensor(x), 1, correction=0).numpy(), 1e38, rtol=1e-6)


@pytest.mark.parametrize("dtype", SIZES)
def test_equal_numbers_do_not_deviate_however_large(dtype):
    x = leaf(np.full(7, np.finfo(dtype).max), dtype)
    y = x.std()
    y.backward()
    assert y.item() == 0.0
    np.testing.assert_array_equal(x.grad.numpy(), 0.0)


def test_infinities_and_nan_spoil_their_own_group_and_no_other():
    x = leaf([[np.inf, 1.0], [np.nan, 1.0], [1e30, -1e30], [np.inf, -np.inf]], np.float32)
    for y in (x.std(1, correction=0), x.var(1, correction=0)):
        np.testing.assert_array_equal(np.isnan(y.detach().numpy()), [True, True, False, True])
        (g,) = grad(y, x, minidl.tensor(np.ones(4, np.float32)))
        np.testing.assert_array_equal(np.isnan(g.numpy()).any(axis=1), [True, True, False, True])
