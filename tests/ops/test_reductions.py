"""sum, mean, var, std, max: over all axes, one or several."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, shaping_loops, strategies
from oracles.checks import check_adjoint, check_op, run

LINEAR = {"sum": (ops.sum, formulas.total), "mean": (ops.mean, formulas.mean)}


@pytest.mark.parametrize("name", LINEAR)
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_linear_reductions(name, case, seed):
    fn, oracle = LINEAR[name]
    shape, dim, keepdim = case
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(
        lambda x: fn(x, dim, keepdim),
        lambda x: oracle(x, dim, keepdim),
        x,
        terms=256,
        seed=seed,
        second_order=True,
    )
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
        second_order=True,
    )
    indices = ops.max(minidl.tensor(x), dim, keepdim).indices
    assert indices.dtype == np.int64 and not indices.requires_grad
    np.testing.assert_array_equal(indices.numpy(), formulas.argmax(x, dim, keepdim))


@given(shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_max_of_everything(shape, seed):
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(ops.max, formulas.largest, x, seed=seed, second_order=True)


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


SPREAD = {"var": (ops.var, shaping_loops.var), "std": (ops.std, shaping_loops.std)}


@pytest.mark.parametrize("name", SPREAD)
@given(case=strategies.reductions(), correction=st.sampled_from([0, 1, 0.5, -1]), seed=strategies.seeds)
def test_variance_and_deviation(name, case, correction, seed):
    fn, oracle = SPREAD[name]
    shape, dim, keepdim = case
    count = math.prod(shape[d] for d in formulas.axes(dim, len(shape)))
    assume(count > max(correction, 1))  # the others are below: NaN and infinities
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: fn(x, dim, keepdim=keepdim, correction=correction),
        lambda x: oracle(x, dim, keepdim, correction),
        x,
        terms=256,
        seed=seed,
        second_order=True,
    )


@pytest.mark.parametrize("name", SPREAD)
def test_the_two_spellings_of_the_correction(name):
    fn, oracle = SPREAD[name]
    x = np.arange(6.0).reshape(2, 3) ** 2
    t = minidl.tensor(x)
    for actual, wanted in [
        (fn(t), oracle(x)),
        (fn(t, False), oracle(x, correction=0)),
        (fn(t, unbiased=False), oracle(x, correction=0)),
        (fn(t, 0, False, True), oracle(x, 0, True, 0)),
        (fn(t, (), True), oracle(x)),
        (getattr(t, name)(1, keepdim=True, correction=0), oracle(x, 1, True, 0)),
    ]:
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=1e-14)
    with pytest.raises(TypeError, match=f"{name}.*not both"):
        fn(t, 0, True, correction=1)
    with pytest.raises(TypeError, match=f"{name}.*floating-point.*int64"):
        fn(minidl.tensor([1, 2]))


def test_without_degrees_of_freedom_the_variance_is_nan_or_infinite():
    one, two = minidl.tensor([[1.0, 2.0]]), minidl.tensor([[1.0, 2.0], [1.0, 4.0]])
    assert np.isnan(ops.var(one, 0).numpy()).all()
    np.testing.assert_array_equal(ops.var(two, 0, correction=2).numpy(), [np.nan, np.inf])
    np.testing.assert_array_equal(ops.var(two, 0, correction=5).numpy(), [np.nan, np.inf])
    assert np.isnan(ops.var(minidl.tensor(np.zeros((0, 3))), 0).numpy()).all()


def test_where_nothing_deviates_the_deviation_is_0_and_so_is_its_gradient():
    # 0.1 is not on the grid of float32: the mean of many need not be 0.1, and no root of -1e-18 may be taken.
    for value in (1.0, 0.1, 1e30):
        x = np.full((2, 1000), value, np.float32)
        y, (gradient,) = run(lambda x: ops.std(x, 1), (x,), np.array([1.0, 2.0], np.float32))
        assert np.isfinite(y).all() and (y <= np.spacing(np.float32(value))).all()
        assert np.isfinite(gradient).all()
    _, (gradient,) = run(lambda x: ops.std(x, 0), (np.ones((3, 2)),), np.ones(2))
    np.testing.assert_array_equal(gradient, np.zeros((3, 2)))


def test_torch_and_numpy_names_of_the_arguments():
    x = minidl.tensor(np.arange(6.0).reshape(2, 3))
    for method in ("sum", "mean"):
        by_torch = getattr(x, method)(dim=1, keepdim=True).numpy()
        np.testing.assert_array_equal(getattr(x, method)(axis=1, keepdims=True).numpy(), by_torch)
        np.testing.assert_array_equal(getattr(x, method)(axis=1, keepdim=True).numpy(), by_torch)
        assert getattr(x, method)(axis=(0, 1)).shape == ()
        with pytest.raises(TypeError, match=method):
            getattr(x, method)(dim=1, axis=1)
        with pytest.raises(TypeError, match=method):
            getattr(x, method)(dim=1, keepdim=True, keepdims=False)


def test_dtypes_of_sums_and_means():
    for dtype in ("bool", "uint8", "int32", "int64"):
        total = ops.sum(minidl.tensor([1, 1, 1], dtype=dtype))
        assert total.item() == 3 and total.dtype == np.int64
    small = minidl.tensor([1, 2], dtype="float32")
    assert ops.sum(small, dtype="float64").dtype == ops.mean(small, dtype="float64").dtype == np.float64
    assert ops.mean(minidl.tensor([1, 2]), dtype="float32").item() == 1.5
    with pytest.raises(TypeError, match=r"mean.*int64"):
        ops.mean(minidl.tensor([1, 2]))


def test_no_dimension_at_all_means_every_dimension():
    x = minidl.tensor(np.arange(6.0).reshape(2, 3))
    assert ops.sum(x, ()).item() == 15 and ops.mean(x, ()).item() == 2.5
    assert ops.sum(x, (), keepdim=True).shape == (1, 1)


LONG = [
    ((4, 3, 256, 256), (0, 2, 3)),
    ((100_000, 4), 0),
    ((512, 3, 300), (0, 2)),
    ((2**18, 2, 4), (0, 2)),  # in C order, its last axis is reduced, and yet no pairwise sum
]


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


@pytest.mark.parametrize("fn", [ops.sum, ops.mean, ops.var, ops.std, ops.max])
def test_an_axis_that_is_not_there(fn):
    with pytest.raises((IndexError, ValueError)) as caught:
        fn(minidl.tensor(np.zeros((2, 3))), 2)
    assert fn.__name__ in str(caught.value) and "(2, 3)" in str(caught.value)


@pytest.mark.parametrize("fn", [ops.sum, ops.mean, ops.var, ops.std])
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
