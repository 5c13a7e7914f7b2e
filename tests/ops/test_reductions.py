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


def test_max_of_everything_is_shared_by_equals_as_in_torch():
    x = np.array([[1.0, 3.0], [3.0, 0.0], [3.0, 2.0]])
    _, (gradient,) = run(ops.max, (x,), np.array(6.0))
    np.testing.assert_array_equal(gradient, [[0, 2], [2, 0], [2, 0]])


def test_nan_is_the_maximum_and_gets_the_gradient():
    x = np.array([1.0, np.nan, 3.0])
    for fn in (ops.max, lambda x: ops.max(x, 0).values):
        y, (gradient,) = run(fn, (x,), np.array(5.0))
        assert np.isnan(y)
        np.testing.assert_array_equal(gradient, [0, 5, 0])


LONG = [((4, 3, 256, 256), (0, 2, 3)), ((100_000, 4), 0), ((512, 3, 300), (0, 2))]


@pytest.mark.parametrize(("shape", "dims"), LONG)
@pytest.mark.parametrize("name", LINEAR)
def test_float32_sums_are_accurate_in_every_memory_order(name, shape, dims):
    """Added one after the other, as NumPy does across its fastest axis, errors grow with the count: on these
    shapes x.sum() is off by up to 140 eps in some orders. Pairwise (or float64) sums keep below eps times
    log2(count).
    """
    fn, _ = LINEAR[name]
    x = np.random.default_rng(5).uniform(0, 1, shape).astype(np.float32)
    columns = np.moveaxis(x, 1, 0).reshape(shape[1], -1).astype(np.float64)
    count = columns.shape[1]
    exact = np.array([math.fsum(column) for column in columns]) / (count if name == "mean" else 1)
    for order, moved in {"C": x, **strategies.memory_orders(x)}.items():
        actual = fn(minidl.Tensor(moved), dims).numpy()
        assert actual.dtype == np.float32
        bound = float(np.finfo(np.float32).eps) * math.log2(count)
        np.testing.assert_allclose(actual, exact, rtol=bound, err_msg=order)


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
