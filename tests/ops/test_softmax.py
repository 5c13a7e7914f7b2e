"""softmax and log_softmax (E6)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_op, cotangent_for, run

BOTH = {"softmax": (ops.softmax, formulas.softmax), "log_softmax": (ops.log_softmax, formulas.log_softmax)}
EPS = float(np.finfo(np.float64).eps)


@pytest.mark.parametrize("name", BOTH)
@given(data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds)
def test_against_the_formula(name, data, shape, seed):
    fn, oracle = BOTH[name]
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(lambda x: fn(x, dim), lambda x: oracle(x, dim), x, terms=16, seed=seed, second_order=True)


@pytest.mark.parametrize("name", BOTH)
@given(
    shape=strategies.shapes(2, 3),
    shift=st.sampled_from([-1024.0, -8.0, 512.0, 65536.0]),
    seed=strategies.seeds,
)
def test_shift_invariance(name, shape, shift, seed):
    """softmax(z + s) = softmax(z). z is on a grid of 2^-10, so z + s is exact: only the op can err."""
    fn, _ = BOTH[name]
    x = np.round(strategies.generic(np.random.default_rng(seed), shape) * 1024) / 1024
    plain, (gradient,) = run(lambda x: fn(x, 1), (x,), None)
    moved, (moved_gradient,) = run(lambda x: fn(x, 1), (x + shift,), None)
    np.testing.assert_allclose(moved, plain, rtol=0, atol=64 * EPS)
    np.testing.assert_allclose(moved_gradient, gradient, rtol=0, atol=64 * EPS)
    # Invariance to a shift means that the gradient has no component along it.
    np.testing.assert_allclose(gradient.sum(1), 0, atol=64 * EPS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_neither_overflow_nor_lose_the_small_probability(dtype):
    x = np.array([[1e4, 1e4 - 20.0, -1e4]], dtype)
    y, (gradient,) = run(lambda x: ops.softmax(x, 1), (x,), cotangent_for(np.zeros((1, 3))).astype(dtype))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y, [[1 / (1 + np.exp(-20)), 1 / (1 + np.exp(20)), 0.0]], rtol=16 * eps, atol=0)
    assert np.isfinite(gradient).all()
    logs = ops.log_softmax(minidl.tensor(x), 1).numpy()
    small = np.log1p(np.exp(-20.0))
    np.testing.assert_allclose(logs, [[-small, -20 - small, -2e4 - small]], rtol=16 * eps, atol=eps)


def test_a_hand_worked_gradient():
    # y = (1/2, 1/3, 1/6), g = (6, 0, 0): <g, y> = 3, so y (g - 3) = (3/2, -1, -1/2).
    x = np.log(np.array([3.0, 2.0, 1.0]))
    _, (gradient,) = run(lambda x: ops.softmax(x, 0), (x,), np.array([6.0, 0, 0]))
    np.testing.assert_allclose(gradient, [1.5, -1.0, -0.5], atol=16 * EPS)


@pytest.mark.parametrize("name", BOTH)
def test_odd_shapes_and_dtypes(name):
    fn, _ = BOTH[name]
    y, (gradient,) = run(lambda x: fn(x, -1), (np.array(3.0),), np.array(2.0))
    assert y == {"softmax": 1.0, "log_softmax": 0.0}[name] and gradient == 0.0
    for dim in (0, 1):
        y, (gradient,) = run(lambda x, d=dim: fn(x, d), (np.zeros((0, 3)),), np.zeros((0, 3)))
        assert y.shape == gradient.shape == (0, 3)
    with pytest.raises(TypeError, match=rf"{name}.*floating-point.*int64"):
        fn(minidl.tensor([1, 2]), 0)


@pytest.mark.parametrize("name", BOTH)
def test_an_axis_that_is_not_there(name):
    with pytest.raises((IndexError, ValueError), match=name):
        BOTH[name][0](minidl.tensor(np.zeros((2, 3))), 2)
