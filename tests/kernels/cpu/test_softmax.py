"""The compiled softmax, log_softmax and cross-entropy: the reference's results, in every memory order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.kernels.cpu import cross_entropy, softmax
from minidl.kernels.reference import cross_entropy as reference_loss
from minidl.kernels.reference import softmax as reference
from oracles import strategies

DTYPES = [np.float32, np.float64]


@st.composite
def logits(draw):
    """(logits, cotangent, axis) with extents around a vector's width, some infinite."""
    ndim = draw(st.integers(1, 4))
    axis = draw(st.integers(0, ndim - 1))
    shape = [draw(st.sampled_from([1, 2, 3, 5])) for _ in range(ndim)]
    shape[draw(st.integers(0, ndim - 1))] = draw(st.sampled_from([7, 8, 16, 17, 35, 64, 70, 150]))
    rng = np.random.default_rng(draw(strategies.seeds))
    dtype = draw(st.sampled_from(DTYPES))
    z = rng.normal(size=shape) * draw(st.sampled_from([1, 30]))
    if draw(st.booleans()):
        z[rng.random(shape) < 0.1] = -np.inf
    if draw(st.booleans()):
        z = np.round(z)  # several largest ones
    z, g = z.astype(dtype), rng.normal(size=shape).astype(dtype)
    z, g = (draw(st.sampled_from([a, *strategies.memory_orders(a).values()])) for a in (z, g))
    return z, g, axis


def bound(z, axis):
    """Of a sum of exponentials and a handful of operations on it."""
    return (z.shape[axis] + 16) * np.finfo(z.dtype).eps


@given(logits())
def test_softmax_and_its_backward(case):
    z, g, axis = case
    with np.errstate(invalid="ignore"):
        p = reference.forward(z, axis)
        tolerance = {"rtol": bound(z, axis) * 4, "atol": bound(z, axis)}
        actual = softmax.forward(z, axis)
        np.testing.assert_allclose(actual, p, **tolerance)
        assert actual.dtype == z.dtype
        np.testing.assert_allclose(softmax.backward(g, p, axis), reference.backward(g, p, axis), **tolerance)


@given(logits())
def test_log_softmax_and_its_backward(case):
    z, g, axis = case
    with np.errstate(invalid="ignore"):
        log_p = reference.log_forward(z, axis)
        size = max(1, float(np.abs(z[np.isfinite(z)]).max(initial=0)))
        tolerance = {"rtol": bound(z, axis) * 4, "atol": bound(z, axis) * size}
        np.testing.assert_allclose(softmax.log_forward(z, axis), log_p, **tolerance)
        actual = softmax.log_backward(g, log_p, axis)
        tolerance["atol"] *= math.sqrt(z.shape[axis])  # Σ g
        np.testing.assert_allclose(actual, reference.log_backward(g, log_p, axis), **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinities(dtype):
    z = np.array([[1, np.nan, 2], [np.inf, 0, 1], [-np.inf] * 3, [-np.inf, 0, -np.inf]], dtype)
    expected = np.array([[np.nan] * 3, [np.nan, np.nan, np.nan], [np.nan] * 3, [0, 1, 0]])
    p = softmax.forward(z, 1)
    p[1] = np.where(np.isnan(p[1]) | (p[1] == 0), np.nan, p[1])  # infinity: NaN at it, NaN or 0 beside it
    np.testing.assert_array_equal(p, expected)
    np.testing.assert_array_equal(softmax.log_forward(z, 1)[3], [-np.inf, 0, -np.inf])


def test_thousands_of_classes_do_not_drift():
    z = np.full((3, 2**18), math.log(0.1), np.float32)
    z[:, 0] = 0
    exact = math.log(1 + 0.1 * (2**18 - 1))
    np.testing.assert_allclose(-softmax.log_forward(z, 1)[:, 0], exact, rtol=1e-6)
    np.testing.assert_allclose(softmax.forward(z, 1).sum(axis=1, dtype=np.float64), 1, rtol=1e-6)
    g = np.full_like(z, 0.1)
    slope = softmax.log_backward(g, softmax.log_forward(z, 1), 1)
    np.testing.assert_allclose(slope[:, 0], 0.1 - 0.1 * 2**18 / (1 + 0.1 * (2**18 - 1)), rtol=1e-5)


# --- cross-entropy ---


@st.composite
def losses(draw):
    n, c, m = (draw(st.sampled_from(extents)) for extents in ([1, 2, 17], [1, 2, 3, 21], [1, 5, 16, 40]))
    rng, dtype = np.random.default_rng(draw(strategies.seeds)), draw(st.sampled_from(DTYPES))
    z = (rng.normal(size=(n, c, m)) * draw(st.sampled_from([1, 20]))).astype(dtype)
    if draw(st.booleans()):
        z = np.ascontiguousarray(z.transpose(0, 2, 1)).transpose(0, 2, 1)
    valid = rng.random((n, m)) < 0.7 if draw(st.booleans()) else None
    weights = rng.uniform(0, 2, c).astype(dtype) if draw(st.booleans()) else np.ones(c, dtype)
    smoothing = draw(st.sampled_from([0.0, 0.1, 1.0]))
    g = rng.normal(size=(n, m)).astype(dtype)
    if draw(st.booleans()):
        g = np.broadcast_to(dtype(0.25), (n, m))
    return z, (rng.integers(0, c, (n, m)), valid, weights, smoothing), g


@given(losses())
def test_cross_entropy(case):
    z, options, g = case
    (loss, slope), (loss_r, slope_r) = (
        module.forward(z, *options, True) for module in (cross_entropy, reference_loss)
    )
    size = 2 * max(1, float(np.abs(z).max()))
    eps = (z.shape[1] + 16) * np.finfo(z.dtype).eps
    np.testing.assert_allclose(loss, loss_r, rtol=eps, atol=4 * size * eps)
    np.testing.assert_allclose(slope, slope_r, rtol=eps, atol=4 * eps)
    assert loss.dtype == slope.dtype == z.dtype and loss.flags.c_contiguous
    without, none = cross_entropy.forward(z, *options, False)
    np.testing.assert_array_equal(without, loss)
    assert none is None
    valid = options[1]
    np.testing.assert_array_equal(
        cross_entropy.backward(g, slope, valid), reference_loss.backward(g, slope, valid)
    )


def test_logits_of_an_ignored_pixel_reach_nothing():
    z = np.array([[[np.nan, np.inf, 1.0], [0.0, 0.0, 2.0]]])
    valid = np.array([[False, False, True]])
    loss, slope = cross_entropy.forward(z, np.zeros((1, 3), np.int64), valid, np.ones(2), 0.1, True)
    assert (loss[0, :2] == 0).all() and (slope[:, :, :2] == 0).all() and loss[0, 2] > 0
    g = np.array([[np.nan, np.inf, 1.0]])
    assert (cross_entropy.backward(g, slope, valid)[:, :, :2] == 0).all()


def test_a_loss_near_nothing_keeps_its_digits():
    """log(1 + e^-30) is 9.4e-14, which 1 + e^-30 in float32 would not show."""
    z = np.array([[[30.0], [0.0]]], np.float32)
    loss, _ = cross_entropy.forward(z, np.zeros((1, 1), np.int64), None, np.ones(2, np.float32), 0.0, False)
    np.testing.assert_allclose(loss, math.log1p(math.exp(-30)), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("last", [True, False])
def test_gradients_first_and_second(last, smoothing):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 2, 4))
    x = minidl.tensor(strategies.channels_last(x) if last else x, requires_grad=True)
    y = rng.integers(0, 3, (2, 2, 4))
    y[0, 0, 0] = -100
    options = {"weight": np.array([0.5, 1.0, 2.0]), "label_smoothing": smoothing}
    with minidl.use("numba"):
        assert minidl.gradcheck(lambda t: ops.cross_entropy(t, y, **options), x)
        assert minidl.gradgradcheck(lambda t: ops.cross_entropy(t, y, **options), x)
        for dim in range(4):
            assert minidl.gradcheck(lambda t, d=dim: ops.softmax(t, d), x)
            assert minidl.gradgradcheck(lambda t, d=dim: ops.log_softmax(t, d), x)


def test_a_channels_last_loss_copies_nothing():
    from minidl.kernels.layout import conversions

    x = minidl.tensor(strategies.channels_last(np.zeros((2, 3, 4, 4), np.float32)), requires_grad=True)
    with minidl.use("numba"):
        before = conversions.count
        ops.cross_entropy(x, np.zeros((2, 4, 4), np.int64)).backward()
    assert conversions.count == before
