"""float32 sums over about a million values far from zero, in every memory order, against exact sums.

Notation: u = eps/2 is the rounding of one operation, n the number of terms. Added pairwise, blocks of 128 by
eight running sums (as NumPy does along contiguous memory), each term passes through at most

    depth(n) = 16 + 3 + log2(n / 128) = log2(n) + 12

additions, so a sum is off by depth(n) u Σ|x|; a sum in float64 by its last rounding only. One after the other
it passes through up to n, which the last test measures: it is what these bounds must be able to tell apart.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import strategies

U = float(np.finfo(np.float32).eps) / 2
MEAN = 1000.0
ORDERS = ["C", "fortran", "channels_last", "sliced", "reversed"]


def depth(n: int) -> float:
    """Additions that one term goes through, at most."""
    return math.log2(n) + 12


def values(shape, seed=0):
    """Mean 1000, deviation 1, in float32."""
    return (MEAN + np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def in_order(x, order):
    """The same values in another memory order."""
    return x if order == "C" else strategies.memory_orders(x)[order]


@cache
def exact_moments(shape, axes):
    """(sums, sums of squared deviations) of `values(shape)`, one for each that is kept, added up exactly.

    The exact mean is divided out in float64, which is exact to 1e-16: nothing beside u.
    """
    rows = columns(values(shape), axes)
    sums = np.array([math.fsum(row) for row in rows])
    means = (sums / len(rows[0])).tolist()
    return sums, np.array([math.fsum((v - m) ** 2 for v in row) for row, m in zip(rows, means, strict=True)])


def columns(x, axes):
    """The values of each sum as a list of Python floats: exact in float64."""
    kept = [d for d in range(x.ndim) if d not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[d] for d in kept), -1).astype(np.float64)
    return rows.reshape(-1, rows.shape[-1]).tolist()


CASES = [
    ((4, 2, 256, 512), (0, 2, 3)),
    ((4, 2, 256, 512), (0, 1, 2, 3)),
    ((2**18, 2, 2), (0, 2)),
    ((2, 2**19, 1), (1,)),
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_sum_mean_variance_and_deviation(shape, axes, order):
    x = values(shape)
    n = math.prod(shape[a] for a in axes)
    sums, squares = exact_moments(shape, axes)
    variances = squares / (n - 1)
    t = minidl.Tensor(in_order(x, order))
    # Of the variance every term (x - m)² is rounded three times, the mean of the deviations is taken out, and
    # the quotient is rounded; the root halves that.
    expected = {
        "sum": (sums, 0),
        "mean": (sums / n, 1),
        "var": (variances, 6),
        "std": (np.sqrt(variances), 6),
    }
    for name, (exact, more) in expected.items():
        actual = getattr(ops, name)(t, axes).numpy()
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual.ravel(), exact, rtol=(depth(n) + more) * U, err_msg=name)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("shape", "dim"), [((1, 2**17, 2, 2), 1), ((2**18, 2, 1), 0), ((2, 1, 2**18), 2)])
def test_the_normaliser_of_softmax(shape, dim, order):
    x = values(shape)
    n = shape[dim]
    lines = np.moveaxis(x, dim, -1).reshape(-1, n).astype(np.float64)
    powers = np.exp(lines - lines.max(1, keepdims=True))
    exact = powers / np.array([[math.fsum(row)] for row in powers.tolist()])
    t = minidl.Tensor(in_order(x, order))
    p, log_p = (
        np.moveaxis(fn(t, dim).numpy(), dim, -1).reshape(-1, n) for fn in (ops.softmax, ops.log_softmax)
    )
    # z - max z is exact (both lie between 512 and 2048), the exponential good to 4 u, the quotient to u.
    np.testing.assert_allclose(p, exact, rtol=(depth(n) + 8) * U)
    # A relative error of the sum is an absolute one of its logarithm, which is itself rounded.
    largest = float(-np.log(exact).min())
    np.testing.assert_allclose(log_p, np.log(exact), rtol=0, atol=(depth(n) + 8 + 4 * largest) * U)
    # And the backward: g - p Σ g along the same lines.
    x32 = minidl.Tensor(in_order(x, order), requires_grad=True)
    g = values(shape, seed=1)
    ops.log_softmax(x32, dim).backward(minidl.Tensor(in_order(g, order)))
    rows = np.moveaxis(g, dim, -1).reshape(-1, n).astype(np.float64)
    totals = np.array([[math.fsum(row)] for row in rows.tolist()])
    gradient = np.moveaxis(x32.grad.numpy(), dim, -1).reshape(-1, n)
    bound = (2 * depth(n) + 16 + 4 * largest) * U * (exact * totals).max() + U * np.abs(rows).max()
    np.testing.assert_allclose(gradient, rows - exact * totals, rtol=0, atol=2 * bound)


NORMS = {
    "batch_norm": (lambda t: ops.batch_norm(t, None, None, training=True), (0, 2, 3)),
    "group_norm": (lambda t: ops.group_norm(t, 1), (1, 2, 3)),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NORMS)
def test_the_statistics_of_the_norms(name, order):
    fn, axes = NORMS[name]
    x = values((4, 2, 256, 512))
    n = math.prod(x.shape[a] for a in axes)
    exact = x.astype(np.float64)
    shape = [1 if a in axes else e for a, e in enumerate(x.shape)]
    sums, squares = exact_moments(x.shape, axes)
    exact = (exact - (sums / n).reshape(shape)) / np.sqrt((squares / n).reshape(shape) + 1e-5)
    y = fn(minidl.Tensor(in_order(x, order))).numpy()
    # The mean is off by depth u 1000 and rounded, which shifts every value by that over the deviation, 1; the
    # shift squared is in the variance, whose own rounding scales the values.
    shift = (depth(n) + 1) * U * MEAN
    bound = shift + float(np.abs(exact).max()) * ((depth(n) + 8) * U + shift**2)
    np.testing.assert_allclose(y, exact, rtol=0, atol=bound)


def test_one_after_the_other_is_outside_of_these_bounds():
    """What NumPy does across its contiguous axis, done here by name, has to fail."""
    x = values((2**20,))
    exact = math.fsum(x.tolist())
    one_by_one = float(np.add.accumulate(x)[-1])
    assert abs(one_by_one - exact) > 2 * depth(2**20) * U * exact
    # And the variance as E[x²] - E[x]², or with the mean of that sum, would be no variance at all.
    squares = float(np.square(x).mean(dtype=np.float32)) - float(x.mean(dtype=np.float32)) ** 2
    assert abs(squares - 1) > 0.01
