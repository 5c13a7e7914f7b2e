"""add, sub, mul, div, neg, pow: element by element, with broadcasting undone in the backward."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_adjoint, check_op, run

BINARY = {
    "add": (ops.add, operator.add, strategies.generic),
    "sub": (ops.sub, operator.sub, strategies.generic),
    "mul": (ops.mul, operator.mul, strategies.generic),
    "div": (ops.div, operator.truediv, strategies.away_from_zero),
}


@pytest.mark.parametrize("name", BINARY)
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_binary(name, shapes, seed):
    fn, scalar, second = BINARY[name]
    rng = np.random.default_rng(seed)
    a, b = strategies.generic(rng, shapes[0]), second(rng, shapes[1])
    check_op(fn, lambda a, b: formulas.elementwise(scalar, a, b), a, b, terms=64, seed=seed)


@pytest.mark.parametrize("name", BINARY)
def test_operators_take_python_numbers_on_either_side_and_keep_float32(name):
    _, scalar, _ = BINARY[name]
    x = np.array([0.5, -2.0, 4.0], np.float32)
    for fn in (lambda t: scalar(t, 2.5), lambda t: scalar(2.5, t), lambda t: scalar(t, 2)):
        result = fn(minidl.tensor(x))
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result.numpy(), fn(x.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize("name", BINARY)
def test_operators_take_arrays_on_the_left(name):
    _, scalar, _ = BINARY[name]
    left, right = np.array([[1.0], [3.0]]), np.array([2.0, 4.0, 8.0])
    result = scalar(left, minidl.tensor(right))
    assert isinstance(result, minidl.Tensor)
    np.testing.assert_array_equal(result.numpy(), scalar(left, right))


@pytest.mark.parametrize("name", BINARY)
def test_shapes_that_do_not_broadcast_are_named(name):
    fn, _, _ = BINARY[name]
    with pytest.raises((ValueError, RuntimeError)) as caught:
        fn(minidl.tensor(np.zeros((2, 3))), minidl.tensor(np.zeros((4, 3))))
    message = str(caught.value)
    assert name in message and "(2, 3)" in message and "(4, 3)" in message


@given(shape=strategies.shapes(), seed=strategies.seeds)
def test_neg(shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(ops.neg, lambda x: formulas.elementwise(operator.neg, x), x, seed=seed)
    check_adjoint(ops.neg, x, terms=1, seed=seed)


@given(
    shape=strategies.shapes(), seed=strategies.seeds, exponent=st.sampled_from([2, 3, 1, 0.5, -1, -1.5, 2.0])
)
def test_power_with_a_number(shape, seed, exponent):
    x = strategies.positive(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.pow(x, exponent),
        lambda x: formulas.elementwise(lambda v: v**exponent, x),
        x,
        terms=64,
        seed=seed,
    )


@given(shape=strategies.shapes(1), seed=strategies.seeds, exponent=st.sampled_from([2, 3]))
def test_whole_powers_of_negative_numbers(shape, seed, exponent):
    x = strategies.generic(np.random.default_rng(seed), shape)
    oracle = {2: lambda v: v * v, 3: lambda v: v * v * v}[exponent]
    check_op(lambda x: x**exponent, lambda x: formulas.elementwise(oracle, x), x, terms=64, seed=seed)


@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_power_of_two_tensors(shapes, seed):
    rng = np.random.default_rng(seed)
    base, exponent = strategies.positive(rng, shapes[0]), strategies.generic(rng, shapes[1])
    check_op(
        ops.pow, lambda a, b: formulas.elementwise(operator.pow, a, b), base, exponent, terms=256, seed=seed
    )


def test_power_at_zero_has_the_polynomials_derivative():
    # d(x^2)/dx = 2 x^1 and d(x^1)/dx = 1 x^0 = 1, at 0 too: nothing is divided by x.
    for exponent, slope in ((1, 1.0), (2, 0.0), (3, 0.0)):
        _, (gradient,) = run(lambda x, e=exponent: x**e, (np.zeros(3),), np.array([1.0, -2.0, 3.0]))
        np.testing.assert_array_equal(gradient, slope * np.array([1.0, -2.0, 3.0]))


def test_power_of_two_tensors_at_zero_and_at_negative_bases():
    # 0^y: the slope along x is 0, 1 and 0 for y = 2, 1 and 0; along y it is the limit 0. (-2)^3: 3·4 along x.
    base, exponent = np.array([0.0, 0.0, 0.0]), np.array([2.0, 1.0, 0.0])
    y, (of_base, of_exponent) = run(ops.pow, (base, exponent), np.array([3.0, 5.0, 7.0]))
    np.testing.assert_array_equal(y, [0, 0, 1])
    np.testing.assert_array_equal(of_base, [0, 5, 0])
    np.testing.assert_array_equal(of_exponent, [0, 0, 0])
    cubes = np.array([3.0])
    _, (of_base,) = run(
        lambda x: x ** minidl.tensor(cubes.astype(x.dtype)), (np.array([-2.0]),), np.array([10.0])
    )
    np.testing.assert_array_equal(of_base, [120.0])


def test_one_tensor_as_both_operands_gets_both_gradients():
    x = minidl.tensor(np.array([3.0, -2.0]), requires_grad=True)
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, -40.0])
