"""where, clamp (clip), maximum, minimum: which value, and where its gradient goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import placed, strategies
from oracles import pointwise_formulas as pointwise
from oracles.checks import check_op, run
from oracles.formulas import elementwise

NAN, INF = math.nan, math.inf


@given(shapes=strategies.broadcastable(3), seed=strategies.seeds)
def test_where(shapes, seed):
    rng = np.random.default_rng(seed)
    condition = rng.random(shapes[0]) < 0.5
    x, y = strategies.generic(rng, shapes[1]), strategies.generic(rng, shapes[2])
    check_op(
        lambda x, y: ops.where(placed.array(condition), x, y),
        lambda x, y: pointwise.where(condition, x, y),
        x,
        y,
        terms=64,
        extremes=False,  # the condition is not cut with the arrays
        seed=seed,
        second_order=True,
    )


@given(shapes=strategies.broadcastable(2), number=st.sampled_from([0, 2.5]), seed=strategies.seeds)
def test_where_with_a_number_on_either_side(shapes, number, seed):
    rng = np.random.default_rng(seed)
    condition = rng.random(shapes[0]) < 0.5
    x, constant = strategies.generic(rng, shapes[1]), np.array(float(number))
    options = {"terms": 64, "extremes": False, "seed": seed, "second_order": True}
    check_op(
        lambda x: ops.where(placed.array(condition), x, number),
        lambda x: pointwise.where(condition, x, constant),
        x,
        **options,
    )
    check_op(
        lambda x: ops.where(minidl.tensor(condition), number, x),
        lambda x: pointwise.where(condition, constant, x),
        x,
        **options,
    )


def test_what_was_not_chosen_has_gradient_zero_whatever_it_holds():
    condition = np.array([True, False])
    x, y = np.array([1.0, NAN]), np.array([INF, 2.0])
    z, (dx, dy) = run(lambda x, y: ops.where(placed.array(condition), x, y), (x, y), np.array([INF, NAN]))
    np.testing.assert_array_equal(z, [1, 2])
    np.testing.assert_array_equal(dx, [INF, 0])
    np.testing.assert_array_equal(dy, [0, NAN])


WHERE_DTYPES = {
    "two whole numbers": (1, 2, np.int64),
    "two numbers": (1.0, 2, np.float32),
    "two bools": (True, False, np.bool_),
    "bool and whole number": (True, 1, np.int64),
    "integers and a float": (np.array([1, 2], np.int32), 2.5, np.float32),
    "float32 and a float": (np.array([1, 2], np.float32), 2.5, np.float32),
    "float32 and integers": (np.array([1, 2], np.float32), np.array([1, 2]), np.float32),
    "float32 and a float64 without dimensions": (np.array([1, 2], np.float32), np.array(2.0), np.float32),
}


def _beside(value):
    return placed.array(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", WHERE_DTYPES)
def test_the_dtype_of_a_choice(name):
    x, y, dtype = WHERE_DTYPES[name]
    for first, second in ((x, y), (y, x)):
        z = ops.where(minidl.tensor([True, False]), *(_beside(v) for v in (first, second)))
        assert z.dtype == dtype
        assert z.tolist() == [np.broadcast_to(first, 2)[0], np.broadcast_to(second, 2)[1]]


def test_conditions_that_are_none():
    x = minidl.tensor([1.0, 2.0])
    for condition in (x, np.array([1, 0]), True, [True, False]):
        with pytest.raises(TypeError, match="where: condition must be a bool tensor"):
            ops.where(condition, x, x)
    with pytest.raises(ValueError, match=r"where: shapes \(3,\) and \(2,\) and \(\) do not broadcast"):
        ops.where(placed.array([True, False, True]), x, 0)
    with pytest.raises(TypeError, match="where: operands"):
        ops.where(x > 1, x, "0")


BOUNDS = {"both": (-0.75, 0.5), "min": (-0.25, None), "max": (None, 0.25), "crossed": (0.5, -0.5)}


@pytest.mark.parametrize("name", BOUNDS)
@given(shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_clamp_to_numbers(name, shape, seed):
    low, high = BOUNDS[name]
    corners = [b for b in (low, high) if b is not None]
    x = pointwise.away_from(*corners, reach=1.5, gap=0.05)(np.random.default_rng(seed), shape)
    fn, oracle = (lambda x: ops.clamp(x, low, high)), (lambda x: pointwise.clamp(x, low, high))
    check_op(fn, oracle, x, seed=seed, second_order=name != "crossed")


@given(
    shapes=strategies.broadcastable(3), given_=st.sampled_from(["both", "min", "max"]), seed=strategies.seeds
)
def test_clamp_to_tensors(shapes, given_, seed):
    x, low, high = pointwise.distinct(np.random.default_rng(seed), *shapes)
    bounds = {"both": (low, high), "min": (low,), "max": (high,)}[given_]
    names = {"both": ("min", "max"), "min": ("min",), "max": ("max",)}[given_]

    def oracle(x, *b):
        named = dict(zip(names, b, strict=True))
        return pointwise.clamp(x, named.get("min"), named.get("max"))

    fn = lambda x, *b: ops.clamp(x, **dict(zip(names, b, strict=True)))  # noqa: E731
    check_op(fn, oracle, x, *bounds, terms=64, seed=seed, second_order=True)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@given(shapes=strategies.broadcastable(2), seed=strategies.seeds)
def test_greater_and_smaller(name, shapes, seed):
    x, y = pointwise.distinct(np.random.default_rng(seed), *shapes)
    formula = {"maximum": max, "minimum": min}[name]
    check_op(
        getattr(ops, name),
        lambda x, y: elementwise(formula, x, y),
        x,
        y,
        terms=64,
        seed=seed,
        second_order=True,
    )


def test_of_two_equal_values_each_gets_half_and_nan_gives_all_to_both():
    x, y = np.array([1.0, 2.0, NAN, 1.0, INF]), np.array([1.0, 3.0, 1.0, NAN, INF])
    g = np.array([2.0, 4.0, 6.0, 8.0, 10.0])
    z, (dx, dy) = run(ops.maximum, (x, y), g)
    np.testing.assert_array_equal(z, [1, 3, NAN, NAN, INF])
    np.testing.assert_array_equal(dx, [1, 0, 6, 8, 5])
    np.testing.assert_array_equal(dy, [1, 4, 6, 8, 5])
    z, (dx, dy) = run(ops.minimum, (x, y), g)
    np.testing.assert_array_equal(z, [1, 2, NAN, NAN, INF])
    np.testing.assert_array_equal(dx, [1, 4, 6, 8, 5])
    np.testing.assert_array_equal(dy, [1, 0, 6, 8, 5])


def test_at_the_bounds_the_gradient_passes():
    x, g = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, NAN]), np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    z, (dx,) = run(lambda x: ops.clamp(x, 0, 1), (x,), g)
    np.testing.assert_array_equal(z, [0, 0, 0.5, 1, 1, NAN])
    np.testing.assert_array_equal(dx, [0, 2, 3, 4, 0, 0])
    for bounds, wanted in (({"min": 0}, [0, 2, 3, 4, 5, 0]), ({"max": 1}, [1, 2, 3, 4, 0, 0])):
        _, (dx,) = run(lambda x, b=bounds: ops.clamp(x, **b), (x,), g)
        np.testing.assert_array_equal(dx, wanted)
    # Of crossed bounds the upper one wins, and gets the gradient of everything.
    low, high = np.full(6, 3.0), np.full(6, 1.0)
    z, (dx, dlow, dhigh) = run(ops.clamp, (x, low, high), g)
    np.testing.assert_array_equal(z, [1, 1, 1, 1, 1, NAN])
    np.testing.assert_array_equal(dx, np.zeros(6))
    np.testing.assert_array_equal(dlow, np.zeros(6))
    np.testing.assert_array_equal(dhigh, g)


def test_a_bound_of_nan_makes_everything_nan():
    x = minidl.tensor([1.0, 2.0])
    assert np.isnan(ops.clamp(x, NAN).numpy()).all() and np.isnan(ops.clamp(x, max=NAN).numpy()).all()


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 3, np.int64),
        (0.5, None, np.float32),
        (None, np.array([2.5, 2.5]), np.float64),
        (0, 2.5, np.float32),
    ],
)
def test_bounds_of_integers(low, high, dtype):
    z = ops.clamp(minidl.tensor([-4, 7]), low, _beside(high))
    assert z.dtype == dtype
    np.testing.assert_array_equal(z.numpy(), np.clip(np.array([-4, 7]), low, high))


def test_bad_bounds():
    x = minidl.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="clamp: at least one of min and max"):
        ops.clamp(x)
    with pytest.raises(ValueError, match=r"clamp: shapes \(2,\) and \(3,\) and \(\) do not broadcast"):
        ops.clamp(x, minidl.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(TypeError, match="clamp: input must be a tensor"):
        ops.clamp(1.0, 0, 1)
    with pytest.raises(TypeError, match="clamp: operands"):
        ops.clamp(x, "0")


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_bad_operands(name):
    fn, x = getattr(ops, name), minidl.tensor([1.0, 2.0])
    for pair in ((x, 1.0), (1, x), (x, None)):
        with pytest.raises(TypeError, match=f"{name}: input must be a tensor"):
            fn(*pair)
    with pytest.raises(ValueError, match=rf"{name}: shapes \(2,\) and \(3,\) do not broadcast"):
        fn(x, minidl.tensor([1.0, 2.0, 3.0]))
    assert fn(x, minidl.tensor([1, 5])).dtype == np.float32
    assert fn(minidl.tensor([1, 5]), minidl.tensor([2, 2])).dtype == np.int64


@pytest.mark.parametrize("fn", [lambda x: ops.clamp(x, 0, 1), lambda x: ops.where(x > 0, x, 0.0)])
def test_empty_tensors_pass_through(fn):
    y, (gradient,) = run(fn, (np.zeros((0, 3)),), None)
    assert y.shape == gradient.shape == (0, 3)
    y, (dx, _) = run(ops.maximum, (np.zeros((0, 3)), np.zeros((1, 3))), None)
    assert y.shape == dx.shape == (0, 3)
    y, (dx, _) = run(ops.minimum, (np.zeros((0, 3)), np.zeros((1, 3))), None)
    assert y.shape == dx.shape == (0, 3)


def test_methods_are_the_ops():
    x, y = minidl.tensor([-0.5, 1.5]), minidl.tensor([0.0, 0.0])
    assert ops.clip is ops.clamp
    assert x.clamp(0, 1).tolist() == x.clip(0, max=1).tolist() == [0.0, 1.0]
    assert x.maximum(y).tolist() == [0.0, 1.5] and x.minimum(y).tolist() == [-0.5, 0.0]
    assert x.where(x > 0, y - 1).tolist() == [-1.0, 1.5]


def test_at_a_bound_that_is_a_tensor_the_gradient_passes_to_the_input_alone():
    """As torch's. Where the bounds are equal, each gets the gradient of what lies beyond on its side only if
    that side is its own: below equal bounds nobody does."""
    x = np.array([0.0, 1.0, 2.0])
    g, one = np.array([1.0, 2.0, 3.0]), np.ones(3)
    _, (dx, dlow, dhigh) = run(ops.clamp, (x, one, 2 * one), g)
    assert (dx.tolist(), dlow.tolist(), dhigh.tolist()) == ([0, 2, 3], [1, 0, 0], [0, 0, 0])
    _, (dx, dlow, dhigh) = run(ops.clamp, (x, one, one), g)
    assert (dx.tolist(), dlow.tolist(), dhigh.tolist()) == ([0, 2, 0], [0, 0, 0], [0, 0, 3])
    _, (dx, dlow) = run(ops.clamp, (x, one), g)
    assert (dx.tolist(), dlow.tolist()) == ([0, 2, 3], [1, 0, 0])
    _, (dx, dhigh) = run(lambda x, b: ops.clamp(x, max=b), (x, one), g)
    assert (dx.tolist(), dhigh.tolist()) == ([1, 2, 0], [0, 0, 3])
