"""sum, mean, max: over all axes, one or several."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_adjoint, check_op, run

LINEAR = {"sum": (ops.sum, formulas.total), "mean": (ops.mean, formulas.mean)}


@pytest.mark.parametrize("name", LINEAR)
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_linear_reductions(name, case, seed):
    fn, oracle = LINEAR[name]
    shape, dim, keepdim = case
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(lambda x: fn(x, dim, keepdim), lambda x: oracle(x, dim, keepdim), x, terms=256, seed=seed)
    check_adjoint(lambda x: fn(x, dim=dim, keepdim=keepdim), x, terms=256, seed=seed)


@given(shape=strategies.shapes(1, 4), axis=st.integers(-4, 3), keepdim=st.booleans(), seed=strategies.seeds)
def test_max_along_one_axis(shape, axis, keepdim, seed):
    dim = axis % len(shape) - (len(shape) if axis < 0 else 0)
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.max(x, dim, keepdim).values,
        lambda x: formulas.largest(x, dim, keepdim),
        x,
        seed=seed,
    )
    indices = ops.max(minidl.tensor(x), dim, keepdim).indices
    assert indices.dtype == np.int64 and not indices.requires_grad
    np.testing.assert_array_equal(indices.numpy(), formulas.argmax(x, dim, keepdim))


@given(shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_max_of_everything(shape, seed):
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(ops.max, formulas.largest, x, seed=seed)


def test_max_along_an_axis_sends_the_gradient_to_the_first_of_equals():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    _, (gradient,) = run(lambda x: ops.max(x, 1)[0], (x,), np.array([5.0, 7.0]))
    np.testing.assert_array_equal(gradient, [[0, 5, 0], [7, 0, 0]])


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran", "reversed", "sliced"])
@pytest.mark.parametrize("name", LINEAR)
def test_float32_sums_are_accurate_in_every_memory_order(name, order):
    """A NumPy sum over N, H, W of channels-last memory adds one after the other: errors grow with the count.

    Pairwise (or float64) accumulation keeps them near eps times log2(count); twice that is allowed.
    """
    fn, _ = LINEAR[name]
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (4, 3, 96, 96)).astype(np.float32)
    moved = {"C": x, **strategies.memory_orders(x)}[order]
    exact = np.array([math.fsum(x[:, c].ravel().astype(np.float64)) for c in range(3)])
    count = x[:, 0].size
    if name == "mean":
        exact /= count
    actual = fn(minidl.Tensor(moved), (0, 2, 3)).numpy()
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, exact, rtol=float(np.finfo(np.float32).eps) * 2 * math.log2(count))


@pytest.mark.parametrize("fn", [ops.sum, ops.mean, ops.max])
def test_an_axis_that_is_not_there(fn):
    with pytest.raises((IndexError, ValueError)) as caught:
        fn(minidl.tensor(np.zeros((2, 3))), 2)
    assert fn.__name__ in str(caught.value) and "(2, 3)" in str(caught.value)


@pytest.mark.parametrize("fn", [ops.sum, ops.mean])
def test_an_axis_named_twice(fn):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        fn(minidl.tensor(np.zeros((2, 3))), (1, -1))
    assert fn.__name__ in str(caught.value)


def test_max_of_nothing_is_an_error_and_sum_of_nothing_is_zero():
    empty = minidl.tensor(np.zeros((0, 3)))
    assert ops.sum(empty).item() == 0.0
    np.testing.assert_array_equal(ops.sum(empty, 0).numpy(), np.zeros(3))
    with pytest.raises((ValueError, RuntimeError, IndexError), match="max"):
        ops.max(empty)


def test_integers_can_be_summed():
    assert ops.sum(minidl.tensor(np.array([1, 2, 3]))).item() == 6
