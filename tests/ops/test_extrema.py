"""min, amax, amin, argmax, argmin, and max where it is not yet in test_reductions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, shaping_loops, strategies
from oracles.checks import check_op, run


@given(data=st.data(), shape=strategies.shapes(1, 4), keepdim=st.booleans(), seed=strategies.seeds)
def test_min_along_one_axis(data, shape, keepdim, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.min(x, dim, keepdim).values,
        lambda x: shaping_loops.smallest(x, dim, keepdim),
        x,
        seed=seed,
        second_order=True,
    )
    indices = minidl.tensor(x).min(dim, keepdim).indices
    assert indices.dtype == np.int64 and not indices.requires_grad
    np.testing.assert_array_equal(indices.numpy(), shaping_loops.argmin(x, dim, keepdim))


@given(shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_min_of_everything(shape, seed):
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(ops.min, shaping_loops.smallest, x, seed=seed, second_order=True)


MOST = {"amax": (ops.amax, formulas.largest), "amin": (ops.amin, shaping_loops.smallest)}


@pytest.mark.parametrize("name", MOST)
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_over_several_axes(name, case, seed):
    fn, oracle = MOST[name]
    shape, dim, keepdim = case
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: fn(x, dim, keepdim),
        lambda x: oracle(x, dim, keepdim),
        x,
        seed=seed,
        second_order=True,
    )


@pytest.mark.parametrize("name", MOST)
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_ties_share_the_gradient_evenly(name, case, seed):
    shape, dim, keepdim = case
    x = np.random.default_rng(seed).integers(0, 2, shape).astype(np.float64)
    y, _ = run(lambda x: getattr(x, name)(dim, keepdim), (x,), None)
    g = np.random.default_rng(seed + 1).normal(size=y.shape)
    _, (gradient,) = run(lambda x: getattr(x, name)(dim, keepdim), (x,), g)
    axes = formulas.axes(dim, len(shape))
    full = [1 if d in axes else n for d, n in enumerate(shape)]
    best, cotangent = MOST[name][1](x, dim, True).reshape(full), g.reshape(full)
    for index in np.ndindex(x.shape):
        group = tuple(slice(None) if d in axes else i for d, i in enumerate(index))
        own = tuple(0 if d in axes else i for d, i in enumerate(index))
        tied = int((x[group] == best[own]).sum())
        expected = cotangent[own] / tied if x[index] == best[own] else 0.0
        np.testing.assert_allclose(gradient[index], expected, rtol=1e-15, atol=0)


def test_min_along_an_axis_sends_the_gradient_to_the_first_of_equals():
    x = np.array([[3.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    _, (gradient,) = run(lambda x: x.min(1)[0], (x,), np.array([5.0, 7.0]))
    np.testing.assert_array_equal(gradient, [[0, 5, 0], [7, 0, 0]])


def test_nan_is_the_smallest_too_and_gets_the_gradient():
    x = np.array([1.0, np.nan, 3.0, np.nan])
    for fn in (ops.min, ops.amin, ops.amax):
        y, (gradient,) = run(fn, (x,), np.array(5.0))
        assert np.isnan(y)
        np.testing.assert_array_equal(gradient, [0, 2.5, 0, 2.5])
    y, (gradient,) = run(lambda x: ops.min(x, 0).values, (x,), np.array(5.0))
    np.testing.assert_array_equal(gradient, [0, 5, 0, 0])
    assert ops.argmin(minidl.tensor(x)).item() == ops.argmax(minidl.tensor(x), 0).item() == 1


ARGUMENTS = {"argmax": (ops.argmax, formulas.argmax), "argmin": (ops.argmin, shaping_loops.argmin)}


@pytest.mark.parametrize("name", ARGUMENTS)
@given(
    data=st.data(),
    shape=strategies.shapes(1, 4),
    keepdim=st.booleans(),
    order=st.sampled_from(["C", "fortran", "sliced", "reversed"]),
    seed=strategies.seeds,
)
def test_positions(name, data, shape, keepdim, order, seed):
    fn, oracle = ARGUMENTS[name]
    dim = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float32)  # ties: the first one counts
    moved = minidl.Tensor({"C": x, **strategies.memory_orders(x)}[order])
    expected = oracle(x, dim, keepdim)
    for actual in (fn(moved, dim, keepdim), getattr(moved, name)(dim, keepdim=keepdim)):
        assert actual.dtype == np.int64 and not actual.requires_grad
        np.testing.assert_array_equal(actual.numpy(), expected)


def test_in_place_of_the_dimension_another_tensor():
    a, b = np.array([1.0, 5.0]), np.array([[3.0, 2.0]])
    np.testing.assert_array_equal(ops.max(minidl.tensor(a), minidl.tensor(b)).numpy(), [[3.0, 5.0]])
    np.testing.assert_array_equal(minidl.tensor(a).min(minidl.tensor(b)).numpy(), [[1.0, 2.0]])


def test_integers_bools_and_tensors_without_dimensions():
    assert ops.min(minidl.tensor([3, 1, 2])).item() == 1
    assert ops.max(minidl.tensor([False, True])).item() is True
    scalar = minidl.tensor(2.5, requires_grad=True)
    values, indices = ops.min(scalar, 0)
    assert values.item() == 2.5 and indices.item() == 0 and indices.dtype == np.int64
    values.backward()
    assert scalar.grad.item() == 1.0
    assert ops.argmax(scalar).item() == ops.argmin(scalar, -1).item() == 0


def test_changed_indices_are_noticed():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    values, indices = ops.min(x, 0, keepdim=True)
    indices[0] = 1
    with pytest.raises(RuntimeError, match=r"min: .*changed in place"):
        values.sum().backward()


NAMES = ["max", "min", "amax", "amin", "argmax", "argmin"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_choose_from(name):
    fn, empty = getattr(ops, name), minidl.tensor(np.zeros((0, 3)))
    for dims in ((), (0,)):
        with pytest.raises(IndexError, match=rf"{name}.*\(0, 3\)"):
            fn(empty, *dims)
    along = fn(empty, 1)
    assert (along[0] if isinstance(along, tuple) else along).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_dimensions_that_are_not_there(name):
    with pytest.raises(IndexError, match=rf"{name}.*\(2, 3\)"):
        getattr(ops, name)(minidl.tensor(np.zeros((2, 3))), 2)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_one_dimension_only(name):
    with pytest.raises(TypeError, match=name):
        getattr(ops, name)(minidl.tensor(np.zeros((2, 3))), (0, 1))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_bools_have_no_order(name):
    with pytest.raises(TypeError, match=rf"{name}.*bool"):
        getattr(ops, name)(minidl.tensor([True, False]))


def test_an_axis_named_twice():
    with pytest.raises(RuntimeError, match="amax"):
        ops.amax(minidl.tensor(np.zeros((2, 3))), (0, -2))
