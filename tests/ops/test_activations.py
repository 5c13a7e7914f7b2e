"""relu, leaky_relu, prelu, elu, gelu, silu, hardswish, softplus, sigmoid, tanh."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles import pointwise_formulas as pointwise
from oracles.checks import check_op, run
from oracles.pointwise_formulas import away_from

PLAIN = {
    "relu": (ops.relu, formulas.relu, strategies.separated),
    "sigmoid": (ops.sigmoid, formulas.sigmoid, strategies.generic),
    "tanh": (ops.tanh, formulas.tanh, strategies.generic),
    "silu": (ops.silu, pointwise.silu, strategies.generic),
    "hardswish": (ops.hardswish, pointwise.hardswish, away_from(-3, 3)),
    "gelu": (ops.gelu, pointwise.gelu, strategies.generic),
    "softplus": (ops.softplus, pointwise.softplus, strategies.generic),
    "elu": (ops.elu, pointwise.elu, away_from(0)),
    "leaky_relu": (ops.leaky_relu, pointwise.leaky_relu, away_from(0)),
}
ONLY_FLOATING = ("silu", "hardswish", "gelu", "softplus", "elu", "leaky_relu")


@pytest.mark.parametrize("name", PLAIN)
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_activation(name, shape, seed):
    fn, oracle, draw = PLAIN[name]
    check_op(fn, oracle, draw(np.random.default_rng(seed), shape), terms=64, seed=seed, second_order=True)


@given(shape=strategies.shapes(0, 3), slope=st.sampled_from([0.0, 0.3, -0.5, 1.0]), seed=strategies.seeds)
def test_leaky_relu_with_a_slope(shape, slope, seed):
    x = away_from(0)(np.random.default_rng(seed), shape)
    fn = lambda x: ops.leaky_relu(x, slope)  # noqa: E731
    check_op(fn, lambda x: pointwise.leaky_relu(x, slope), x, terms=64, seed=seed, second_order=True)


@given(shape=strategies.shapes(0, 3), alpha=st.sampled_from([0.5, 1.0, 2.5]), seed=strategies.seeds)
def test_elu_with_an_alpha(shape, alpha, seed):
    x = away_from(0)(np.random.default_rng(seed), shape)
    fn = lambda x: ops.elu(x, alpha)  # noqa: E731
    check_op(fn, lambda x: pointwise.elu(x, alpha), x, terms=64, seed=seed, second_order=True)


@given(shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_gelu_by_tanh(shape, seed):
    x = 2 * strategies.generic(np.random.default_rng(seed), shape)
    fn = lambda x: ops.gelu(x, approximate="tanh")  # noqa: E731
    check_op(fn, lambda x: pointwise.gelu(x, "tanh"), x, terms=64, seed=seed, second_order=True)


@given(
    shape=strategies.shapes(0, 3),
    beta=st.sampled_from([0.5, 1.0, 3.0, -1.0]),
    threshold=st.sampled_from([20.0, 30.0]),
    seed=strategies.seeds,
)
def test_softplus_with_options(shape, beta, threshold, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    fn = lambda x: ops.softplus(x, beta, threshold)  # noqa: E731
    oracle = lambda x: pointwise.softplus(x, beta, threshold)  # noqa: E731
    check_op(fn, oracle, x, terms=64, seed=seed, second_order=True)


@given(shape=strategies.shapes(0, 4), one=st.booleans(), seed=strategies.seeds)
def test_prelu(shape, one, seed):
    rng = np.random.default_rng(seed)
    x = away_from(0)(rng, shape)
    weight = strategies.generic(rng, (1 if one or x.ndim < 2 else shape[1],))
    # Cut to one pixel, x would not have as many channels as there are weights.
    check_op(ops.prelu, pointwise.prelu, x, weight, terms=256, extremes=False, seed=seed, second_order=True)


def test_prelu_takes_a_weight_without_dimensions_and_channels_without_pixels():
    x, weight = np.array([-2.0, 3.0]), np.array(0.25)
    y, (dx, dweight) = run(ops.prelu, (x, weight), np.array([10.0, 100.0]))
    np.testing.assert_array_equal(y, [-0.5, 3.0])
    np.testing.assert_array_equal(dx, [2.5, 100.0])
    np.testing.assert_array_equal(dweight, -20.0)
    y, (dx, dweight) = run(ops.prelu, (np.zeros((2, 3, 0)), np.ones(3)), None)
    assert y.shape == dx.shape == (2, 3, 0)
    np.testing.assert_array_equal(dweight, np.zeros(3))


@pytest.mark.parametrize("name", PLAIN)
def test_empty_tensors_pass_through(name):
    y, (gradient,) = run(PLAIN[name][0], (np.zeros((0, 3)),), None)
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


@pytest.mark.parametrize("name", ["silu", "hardswish", "gelu", "softplus", "elu", "leaky_relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_it_is_the_identity_or_flat_in_first_and_second_derivative(name, dtype):
    """e^x overflows at 89 in float32 and at 710 in float64: nothing of that may be seen."""
    low = {"elu": -1.0, "leaky_relu": -10.0}.get(name, 0.0)
    slope = {"leaky_relu": 0.01}.get(name, 0.0)
    x = minidl.tensor(np.array([-1000.0, 1000.0], dtype), requires_grad=True)
    y = PLAIN[name][0](x)
    np.testing.assert_allclose(y.detach().numpy(), [low, 1000.0], rtol=1e-6)
    (first,) = minidl.autograd.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), [slope, 1.0], rtol=1e-6)
    (second,) = minidl.autograd.grad((first * first).sum() + x.sum(), x)  # x: where first is a constant
    np.testing.assert_array_equal(second.numpy(), [1.0, 1.0])


def test_small_values_keep_their_digits():
    # For z far below 0 the sigmoid is e^z to full precision; 1 - (1 - e^z) would lose it. So are gelu's
    # factor (by erfc) and softplus; elu of tiny z is z.
    z = np.array([-30.0, -300.0, -700.0])
    expected = [math.exp(v) / (1 + math.exp(v)) for v in z]
    np.testing.assert_allclose(ops.sigmoid(minidl.tensor(z)).numpy(), expected, rtol=1e-14)
    np.testing.assert_allclose(
        ops.softplus(minidl.tensor(z)).numpy(), [math.log1p(math.exp(v)) for v in z], rtol=1e-14
    )
    z = np.array([-5.0, -20.0, -30.0])
    expected = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in z]
    np.testing.assert_allclose(ops.gelu(minidl.tensor(z)).numpy(), expected, rtol=1e-12)
    z = np.array([-1e-12, -1e-300])
    np.testing.assert_allclose(ops.elu(minidl.tensor(z)).numpy(), [math.expm1(v) for v in z], rtol=1e-15)


def test_relu_at_zero_has_derivative_zero_and_keeps_nan():
    y, (gradient,) = run(ops.relu, (np.array([-0.0, 0.0, 1e-300]),), np.array([5.0, 7.0, 11.0]))
    np.testing.assert_array_equal(y, [0.0, 0.0, 1e-300])
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 11.0])
    assert np.isnan(ops.relu(minidl.tensor(np.array([np.nan]))).numpy()).all()


def test_where_relu_is_flat_even_infinite_cotangents_end():
    x = np.array([-1.0, 2.0, 3.0, math.nan, -1.0, 0.0])
    g = np.array([math.inf, math.inf, 1.0, 5.0, math.nan, -math.inf])
    _, (gradient,) = run(ops.relu, (x,), g)
    np.testing.assert_array_equal(gradient, [0, np.inf, 1, 5, 0, 0])
    _, (gradient,) = run(ops.relu, (x[:3],), np.array([7.0, 8.0, 9.0]))
    np.testing.assert_array_equal(gradient, [0, 8, 9])


def test_at_zero_the_slopes_are_those_from_below():
    """As torch's: a where y = a x below 0, alpha for elu, also where the backward runs on tensors."""
    _, (dx, dweight) = run(ops.prelu, (np.zeros(2), np.array([0.25])), np.array([4.0, np.inf]))
    assert dx.tolist() == [1.0, np.inf] and np.isnan(dweight).all()  # 0 times infinity
    x = minidl.tensor(np.zeros(1), requires_grad=True)
    for y, slope in ((ops.elu(x, 2.0), 2.0), (ops.leaky_relu(x, 0.1), 0.1), (ops.relu(x), 0.0)):
        assert minidl.autograd.grad(y, x, create_graph=True)[0].tolist() == [slope]


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_at_zero_the_second_derivative_of_elu_is_zero(alpha):
    """torch's elu_double_backward has alpha e^x below 0 alone, and 0 at 0 itself."""
    x = minidl.tensor(np.array([-1.0, -0.0, 0.0, 1.0]), requires_grad=True)
    (slope,) = minidl.autograd.grad(ops.elu(x, alpha).sum(), x, create_graph=True)
    np.testing.assert_allclose(slope.detach().numpy(), [alpha / math.e, alpha, alpha, 1], rtol=1e-15)
    (second,) = minidl.autograd.grad(slope, x, np.array([3.0, 5.0, 7.0, 11.0]))
    np.testing.assert_allclose(second.numpy(), [3 * alpha / math.e, 0, 0, 0], rtol=1e-15)


def test_zero_times_an_infinite_slope_is_nan():
    assert np.isnan(ops.leaky_relu(minidl.tensor([0.0]), math.inf).numpy()).all()
    assert np.isnan(ops.prelu(minidl.tensor([0.0]), minidl.tensor([math.inf])).numpy()).all()


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_no_tensor_is_refused_by_name(name):
    for value in (2.0, "x", None, [1.0], np.float32(2)):
        with pytest.raises(TypeError, match=f"^{name}: input must be a tensor"):
            PLAIN[name][0](value)


def test_softplus_at_the_threshold_is_the_logarithm_still():
    y = ops.softplus(minidl.tensor(np.array([20.0, 20.5])))
    assert y.tolist() == [20 + math.log1p(math.exp(-20)), 20.5]


CORNERS = {  # (x, slope), as torch has them
    "hardswish": (ops.hardswish, [-3.0, 3.0, -math.inf], [0.0, 1.0, 0.0]),
    "elu": (lambda x: ops.elu(x, 2.0), [0.0, -math.inf, math.inf], [2.0, 0.0, 1.0]),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.1), [0.0, -math.inf, math.inf], [0.1, 0.1, 1.0]),
    "softplus": (ops.softplus, [20.0, 20.5, math.inf], [1 / (1 + math.exp(-20)), 1.0, 1.0]),
}


@pytest.mark.parametrize("name", CORNERS)
def test_slopes_at_corners(name):
    fn, x, slopes = CORNERS[name]
    g = np.array([3.0, -5.0, 7.0])
    _, (gradient,) = run(fn, (np.array(x),), g)
    np.testing.assert_allclose(gradient, g * slopes, rtol=1e-15)


@pytest.mark.parametrize("name", PLAIN)
def test_nan_stays_nan(name):
    assert np.isnan(PLAIN[name][0](minidl.tensor([math.nan])).numpy()).all()
    assert np.isnan(ops.prelu(minidl.tensor([math.nan]), minidl.tensor([0.5])).numpy()).all()


@pytest.mark.parametrize("name", ONLY_FLOATING)
def test_integers_are_refused_where_torch_refuses_them(name):
    with pytest.raises(TypeError, match=f"{name}: input must be floating-point, got int64"):
        PLAIN[name][0](minidl.tensor([1, 2]))


def test_integers_where_torch_takes_them():
    assert ops.relu(minidl.tensor([-1, 2])).tolist() == [0, 2]
    for fn in (ops.sigmoid, ops.tanh):
        assert fn(minidl.tensor([1, 2])).dtype == np.float32
    with pytest.raises(TypeError, match="relu: not for bool"):
        ops.relu(minidl.tensor([True]))


BAD = {
    "two numbers for three channels": ((2, 3), np.ones(2, np.float32), ValueError, "3 channels"),
    "two numbers for a vector": ((2,), np.ones(2, np.float32), ValueError, "1 channels"),
    "a matrix": ((2, 3), np.ones((1, 3), np.float32), ValueError, r"\(1, 3\)"),
    "another dtype": ((2, 3), np.ones(3), TypeError, "float32 and float64"),
    "integers": ((2, 3), np.ones(3, np.int64), TypeError, "floating-point"),
}


@pytest.mark.parametrize("name", BAD)
def test_weights_that_do_not_fit(name):
    shape, weight, error, named = BAD[name]
    with pytest.raises(error, match=f"prelu: .*{named}"):
        ops.prelu(minidl.tensor(np.ones(shape, np.float32)), minidl.tensor(weight))


def test_options_that_are_none():
    x = minidl.tensor([1.0])
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got 'erf'"):
        ops.gelu(x, "erf")
    with pytest.raises(ValueError, match="softplus: beta"):
        ops.softplus(x, 0)


def test_methods_are_the_ops():
    x = minidl.tensor(np.array([-0.5, 1.5]))
    for name in ("relu", "sigmoid", "tanh"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), PLAIN[name][0](x).numpy())
    weight = minidl.tensor(np.array([0.5]))
    np.testing.assert_array_equal(x.prelu(weight).numpy(), ops.prelu(x, weight).numpy())
