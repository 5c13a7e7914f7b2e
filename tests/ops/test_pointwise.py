"""exp, log, sqrt, rsqrt, abs, sign: one value at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import strategies
from oracles.checks import check_op, run
from oracles.formulas import elementwise
from oracles.pointwise_formulas import away_from

UNARY = {
    "exp": (ops.exp, math.exp, strategies.generic),
    "log": (ops.log, math.log, strategies.positive),
    "sqrt": (ops.sqrt, math.sqrt, strategies.positive),
    "rsqrt": (ops.rsqrt, lambda v: 1 / math.sqrt(v), strategies.positive),
    "abs": (ops.abs, abs, away_from(0)),
    "sign": (ops.sign, lambda v: math.copysign(1, v), away_from(0)),
}


@pytest.mark.parametrize("name", UNARY)
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_unary(name, shape, seed):
    fn, formula, draw = UNARY[name]
    x = draw(np.random.default_rng(seed), shape)
    check_op(fn, lambda x: elementwise(formula, x), x, terms=64, seed=seed, second_order=name != "sign")


@pytest.mark.parametrize("name", UNARY)
def test_empty_tensors_pass_through(name):
    y, (gradient,) = run(UNARY[name][0], (np.zeros((0, 3)),), None)
    assert y.shape == gradient.shape == (0, 3)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "rsqrt"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_of_integers_the_values_are_float32(name, dtype):
    y = UNARY[name][0](minidl.tensor(np.array([1, 4], dtype)))
    assert y.dtype == np.float32
    wanted = [UNARY[name][1](float(v)) for v in np.array([1, 4], dtype)]
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-6)


def test_absolute_values_and_signs_of_integers_are_integers():
    x = minidl.tensor([-3, 0, 2])
    assert ops.abs(x).tolist() == [3, 0, 2] and ops.abs(x).dtype == np.int64
    assert ops.sign(x).tolist() == [-1, 0, 1] and ops.sign(x).dtype == np.int64
    assert ops.sign(minidl.tensor([True, False])).tolist() == [True, False]
    with pytest.raises(TypeError, match="abs: not for bool"):
        ops.abs(minidl.tensor([True]))


def test_slopes_where_there_is_none():
    """At 0: infinite for the root, 0 for the absolute value; NaN has no sign, so its slope is 0 too."""
    g = np.array([2.0, 3.0, 5.0, 7.0])
    _, (gradient,) = run(ops.sqrt, (np.array([0.0, 4.0, -1.0, np.inf]),), g)
    np.testing.assert_array_equal(gradient, [np.inf, 0.75, np.nan, 0.0])
    y, (gradient,) = run(ops.abs, (np.array([0.0, -0.0, np.nan, -np.inf]),), g)
    np.testing.assert_array_equal(y, [0, 0, np.nan, np.inf])
    np.testing.assert_array_equal(gradient, [0, 0, 0, -7])
    y, (gradient,) = run(ops.sign, (np.array([0.0, -2.0, np.nan, -np.inf]),), g)
    np.testing.assert_array_equal(y, [0, -1, 0, -1])
    np.testing.assert_array_equal(gradient, [0, 0, 0, 0])
    y, (gradient,) = run(ops.rsqrt, (np.array([0.0, 4.0, -1.0, np.inf]),), g)
    np.testing.assert_array_equal(y, [np.inf, 0.5, np.nan, 0])
    np.testing.assert_array_equal(gradient, [-np.inf, -3 / 16, np.nan, 0])


@pytest.mark.parametrize("name", UNARY)
def test_what_is_no_tensor_is_refused_by_name(name):
    for value in (2.0, "x", None, [1.0], np.float32(2), memoryview(b"x")):
        with pytest.raises(TypeError, match=f"{name}: input must be a tensor"):
            UNARY[name][0](value)


def test_methods_are_the_ops():
    x = minidl.tensor(np.array([0.5, 1.5]))
    for name, (fn, _, _) in UNARY.items():
        np.testing.assert_array_equal(getattr(x, name)().numpy(), fn(x).numpy())
    np.testing.assert_array_equal(abs(-x).numpy(), x.numpy())


@pytest.mark.parametrize("name", UNARY)
def test_arrays_are_taken_as_tensors(name):
    x = np.array([0.5, 1.5])
    result = UNARY[name][0](x)
    assert isinstance(result, minidl.Tensor)
    np.testing.assert_allclose(result.numpy(), elementwise(UNARY[name][1], x), rtol=1e-15)
