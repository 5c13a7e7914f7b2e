"""add, sub, mul, div, neg, pow, cast: element by element, with broadcasting undone in the backward."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, placed, strategies
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
    check_op(
        fn, lambda a, b: formulas.elementwise(scalar, a, b), a, b, terms=64, seed=seed, second_order=True
    )


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
    result = scalar(placed.array(left), minidl.tensor(right))
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
    check_op(ops.neg, lambda x: formulas.elementwise(operator.neg, x), x, seed=seed, second_order=True)
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
        second_order=True,
    )


@given(shape=strategies.shapes(1), seed=strategies.seeds, exponent=st.sampled_from([2, 3]))
def test_whole_powers_of_negative_numbers(shape, seed, exponent):
    x = strategies.generic(np.random.default_rng(seed), shape)
    oracle = {2: lambda v: v * v, 3: lambda v: v * v * v}[exponent]
    check_op(
        lambda x: x**exponent,
        lambda x: formulas.elementwise(oracle, x),
        x,
        terms=64,
        seed=seed,
        second_order=True,
    )


@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_power_of_two_tensors(shapes, seed):
    rng = np.random.default_rng(seed)
    base, exponent = strategies.positive(rng, shapes[0]), strategies.generic(rng, shapes[1])
    oracle = lambda a, b: formulas.elementwise(operator.pow, a, b)  # noqa: E731
    check_op(ops.pow, oracle, base, exponent, terms=256, seed=seed, second_order=True)


@given(shape=strategies.shapes(), seed=strategies.seeds, base=st.sampled_from([2, 0.5, 1.5, 1]))
def test_power_of_a_number(shape, seed, base):
    y = strategies.generic(np.random.default_rng(seed), shape)
    oracle = lambda y: formulas.elementwise(lambda v: base**v, y)  # noqa: E731
    check_op(lambda y: base**y, oracle, y, terms=64, seed=seed, second_order=True)


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


NAN, INF = math.nan, math.inf


def test_limits_of_powers():
    """What torch has, value by value: NaN only where there is no limit."""
    base = np.array([0.0, 0.0, 0.0, 0.0, -2.0, -2.0, NAN, 1.0])
    exponent = np.array([0.0, 1.0, 2.0, -1.0, 2.0, 0.5, 0.0, NAN])
    y, (of_base, of_exponent) = run(ops.pow, (base, exponent), np.ones(8))
    np.testing.assert_array_equal(y, [1, 0, 0, INF, 4, NAN, 1, 1])
    np.testing.assert_array_equal(of_base, [0, 1, 0, -INF, -4, NAN, 0, NAN])
    np.testing.assert_array_equal(of_exponent, [0, 0, 0, -INF, NAN, NAN, NAN, 0])
    _, (gradient,) = run(lambda x: x**0, (np.array([0.0, NAN, INF]),), np.array([INF, NAN, 1.0]))
    np.testing.assert_array_equal(gradient, [0, 0, 0])
    _, (gradient,) = run(lambda y: 0**y, (np.array([-1.0, 0.0, 2.0]),), np.ones(3))
    np.testing.assert_array_equal(gradient, [-INF, 0, 0])
    _, (gradient,) = run(lambda y: (-2) ** y, (np.array([1.0, 2.0]),), np.ones(2))
    np.testing.assert_array_equal(gradient, [NAN, NAN])


def test_second_derivatives_of_powers_at_zero_and_for_the_exponent_zero():
    """x^3 at 0 has 6 x = 0, x^2 has 2, x has 0; d/dy of d/dx x^y is 1/x for y = 0."""
    for exponent, second in ((3, 0.0), (2, 2.0), (1, 0.0), (0, 0.0)):
        for e in (exponent, minidl.tensor(np.array([float(exponent)]))):
            x = minidl.tensor(np.zeros(1), requires_grad=True)
            (slope,) = minidl.autograd.grad((x**e).sum(), x, create_graph=True)
            (curvature,) = minidl.autograd.grad((slope + 0 * x).sum(), x)
            assert curvature.tolist() == [second]
    x = minidl.tensor(np.array([2.0, 4.0, 0.5]), requires_grad=True)
    y = minidl.tensor(np.zeros(3), requires_grad=True)
    (slope,) = minidl.autograd.grad((x**y).sum(), x, create_graph=True)
    (mixed,) = minidl.autograd.grad(slope.sum(), y)
    np.testing.assert_array_equal(slope.detach().numpy(), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(mixed.numpy(), [0.5, 0.25, 2.0])


INTEGER = np.array([1, 2, 3])
DTYPES = {  # (left, right, the sum's dtype), as torch's
    "float32 and int64": (np.float32([1, 2, 3]), INTEGER, np.float32),
    "int64 and a float": (INTEGER, 0.5, np.float32),
    "int32 and an integer": (INTEGER.astype(np.int32), 2, np.int32),
    "bool and an integer": (np.array([True, False, True]), 2, np.int64),
    "uint8 and int8": (INTEGER.astype(np.uint8), INTEGER.astype(np.int8), np.int16),
    "float32 and float64": (np.float32([1, 2, 3]), np.ones(3), np.float64),
    "float32 and a float64 without dimensions": (np.float32([1, 2, 3]), np.array(2.0), np.float32),
    "int64 and a float64 without dimensions": (INTEGER, np.array(2.0), np.float64),
}


@pytest.mark.parametrize("name", DTYPES)
def test_the_dtype_of_a_result(name):
    left, right, dtype = DTYPES[name]
    for fn, scalar in ((ops.add, operator.add), (ops.mul, operator.mul), (ops.pow, operator.pow)):
        result = fn(minidl.tensor(left), right if np.isscalar(right) else minidl.tensor(right))
        assert result.dtype == dtype
        np.testing.assert_allclose(result.numpy(), scalar(left.astype(float), right), rtol=1e-6)
    quotient = ops.div(minidl.tensor(left), right if np.isscalar(right) else minidl.tensor(right))
    assert quotient.dtype == (dtype if np.dtype(dtype).kind == "f" else np.float32)


def test_bools_have_no_difference_and_no_opposite():
    mask = minidl.tensor([True, False])
    for call in (lambda: mask - mask, lambda: 1 - mask, lambda: mask - 1.0, lambda: ops.sub(mask, mask)):
        with pytest.raises(TypeError, match="sub: not for bool tensors; use ~"):
            call()
    with pytest.raises(TypeError, match="neg: not for bool tensors; use ~"):
        _ = -mask
    assert (mask + mask).tolist() == [True, False] and (mask * 2.5).tolist() == [2.5, 0.0]


@pytest.mark.parametrize("exponent", [-1, minidl.tensor([2, -1])])
def test_integers_have_no_negative_powers(exponent):
    with pytest.raises(ValueError, match="pow: a negative power of an integer"):
        ops.pow(minidl.tensor([2, 3]), exponent)
    assert ops.pow(minidl.tensor([2.0, 4.0]), -1).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("name", [*BINARY, "pow"])
def test_operands_that_are_no_numbers(name):
    fn, x = getattr(ops, name), minidl.tensor([1.0])
    for other in ("1", None, [1.0], object(), memoryview(b"1")):
        with pytest.raises(TypeError, match=f"{name}: operands must be tensors, arrays or numbers"):
            fn(x, other)
    with pytest.raises(TypeError, match=f"{name}: at least one operand must be a tensor"):
        fn(1.0, 2)
    with pytest.raises(TypeError, match=f"{name}: at least one operand must be a tensor"):
        fn(np.float32(1.0), np.int64(2))


def test_scalars_of_numpy_are_numbers_which_widen_nothing():
    mask, whole, single = minidl.tensor([True]), minidl.tensor([1]), minidl.tensor([1.0])
    assert (mask + np.uint8(1)).dtype == np.int64
    assert (whole + np.float16(0.5)).dtype == np.float32
    assert ops.add(np.int8(1), single).tolist() == [2.0]
    half = np.float64(0.5)  # what np.sqrt and the like give; also a Python float
    for y in (single + half, half - single, single * half, half / single, single**half, half**single):
        assert y.dtype == np.float32
    assert ops.clamp(single, half, half).dtype == ops.where(mask, single, half).dtype == np.float32


def test_empty_integers_have_empty_powers():
    none = minidl.tensor(np.zeros((0, 2), np.int64))
    assert ops.pow(none, none).shape == ops.pow(2, none).shape == (0, 2)


@given(shape=strategies.shapes(), seed=strategies.seeds)
def test_cast(shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    wide = np.longdouble if placed.nowhere() else np.float64  # a GPU has none that is wider
    there_and_back = lambda x: ops.cast(ops.cast(x, wide), x.dtype)  # noqa: E731
    check_op(there_and_back, lambda x: x, x, seed=seed, second_order=True)
    y = minidl.tensor(x, requires_grad=True)
    ops.cast(y, np.float32).sum().backward()
    assert y.grad.dtype == np.float64
    assert ops.cast(y, np.float64) is y


def test_a_gradient_summed_over_a_large_image_keeps_its_digits_in_every_memory_order():
    """A bias added to (N, C, H, W): 2^16 float32 cotangents for each of its numbers.

    Pairwise or float64 sums are off by 16 eps = 2e-6 at most; one after the other by up to 2^16 eps = 8e-3.
    """
    g = np.random.default_rng(0).uniform(0.5, 1.5, (4, 3, 128, 128)).astype(np.float32)
    exact = g.astype(np.float64).sum(axis=(0, 2, 3))
    for name, moved in {"C": g, **strategies.memory_orders(g)}.items():
        bias = minidl.tensor(np.zeros((3, 1, 1), np.float32), requires_grad=True)
        (minidl.tensor(np.zeros(g.shape, np.float32)) + bias).backward(minidl.Tensor(moved))
        np.testing.assert_allclose(bias.grad.numpy().ravel(), exact, rtol=2e-6, err_msg=name)


def test_methods_are_the_ops():
    x, y = minidl.tensor([4.0, 9.0]), minidl.tensor([2.0, 3.0])
    assert x.add(y).tolist() == [6, 12] and x.sub(1).tolist() == [3, 8] and x.mul(y).tolist() == [8, 27]
    assert x.div(y).tolist() == [2, 3] and x.pow(2).tolist() == [16, 81] and x.neg().tolist() == [-4, -9]
