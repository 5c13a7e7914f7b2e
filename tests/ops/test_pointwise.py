"""exp, log, relu, sigmoid, tanh: one value at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_op, run

UNARY = {
    "exp": (ops.exp, lambda x: formulas.elementwise(math.exp, x), strategies.generic),
    "log": (ops.log, lambda x: formulas.elementwise(math.log, x), strategies.positive),
    "relu": (ops.relu, formulas.relu, strategies.separated),
    "sigmoid": (ops.sigmoid, formulas.sigmoid, strategies.generic),
    "tanh": (ops.tanh, formulas.tanh, strategies.generic),
}


@pytest.mark.parametrize("name", UNARY)
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_unary(name, shape, seed):
    fn, oracle, draw = UNARY[name]
    check_op(fn, oracle, draw(np.random.default_rng(seed), shape), terms=64, seed=seed)


@pytest.mark.parametrize("name", UNARY)
def test_empty_tensors_pass_through(name):
    fn, _, _ = UNARY[name]
    y, (gradient,) = run(fn, (np.zeros((0, 3)),), None)
    assert y.shape == gradient.shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_and_tanh_saturate_without_overflow(dtype):
    x = np.array([-1e4, -100.0, 0.0, 100.0, 1e4], dtype)
    y, (gradient,) = run(ops.sigmoid, (x,), np.ones(5, dtype))
    np.testing.assert_allclose(y, [0.0, math.exp(-100), 0.5, 1.0, 1.0], rtol=1e-5, atol=1e-42)
    assert np.isfinite(gradient).all() and gradient[2] == 0.25
    y, (gradient,) = run(ops.tanh, (x,), np.ones(5, dtype))
    np.testing.assert_array_equal(y, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(gradient, [0, 0, 1, 0, 0])


def test_sigmoid_keeps_small_values_exact():
    # For z far below 0 the sigmoid is e^z to full precision; 1 - (1 - e^z) would lose it.
    z = np.array([-30.0, -300.0, -700.0])
    expected = [math.exp(v) / (1 + math.exp(v)) for v in z]
    np.testing.assert_allclose(ops.sigmoid(minidl.tensor(z)).numpy(), expected, rtol=1e-14)


def test_relu_at_zero_has_derivative_zero_and_keeps_nan():
    y, (gradient,) = run(ops.relu, (np.array([-0.0, 0.0, 1e-300]),), np.array([5.0, 7.0, 11.0]))
    np.testing.assert_array_equal(y, [0.0, 0.0, 1e-300])
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 11.0])
    assert np.isnan(ops.relu(minidl.tensor(np.array([np.nan]))).numpy()).all()


def test_methods_are_the_ops():
    x = minidl.tensor(np.array([0.5, 1.5]))
    for name, (fn, _, _) in UNARY.items():
        np.testing.assert_array_equal(getattr(x, name)().numpy(), fn(x).numpy())
