"""clip_grad_norm_ and clip_grad_value_."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, optim
from minidl.nn.utils import clip_grad_norm_, clip_grad_value_
from oracles import strategies
from oracles.checks import tolerance


def parameters(*gradients, dtype=np.float64):
    """A parameter for each gradient; None for one that has none."""
    made = []
    for gradient in gradients:
        array = np.zeros(2, dtype) if gradient is None else np.asarray(gradient, dtype)
        p = nn.Parameter(np.zeros(array.shape, dtype))
        p.grad = None if gradient is None else minidl.tensor(array)
        made.append(p)
    return made


def gradients(params):
    return [None if p.grad is None else p.grad.numpy() for p in params]


def literal_norm(arrays, order):
    values = [abs(float(v)) for a in arrays for v in a.ravel()]
    if order == math.inf:
        return sorted([0.0, *values])[-1]
    return math.fsum(v**order for v in values) ** (1 / order)


@given(
    shapes=st.lists(strategies.shapes(0, 3), min_size=1, max_size=4),
    order=st.sampled_from([1, 2, 2.0, 3.5, math.inf, "inf"]),
    max_norm=st.sampled_from([0.0, 0.3, 2, 1e6]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=strategies.seeds,
)
def test_clip_grad_norm(shapes, order, max_norm, dtype, seed):
    rng = np.random.default_rng(seed)
    before = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    params = parameters(*before, dtype=dtype)
    returned = clip_grad_norm_(params, max_norm, order)
    norm = literal_norm(before, float(order))
    atol = tolerance(dtype, 16, norm)
    assert returned.shape == () and returned.dtype == dtype and not returned.requires_grad
    np.testing.assert_allclose(returned.numpy(), norm, rtol=0, atol=atol)
    factor = min(1.0, max_norm / (norm + 1e-6))
    for array, clipped in zip(before, gradients(params), strict=True):
        assert clipped.dtype == dtype
        np.testing.assert_allclose(clipped, factor * array, rtol=0, atol=atol)
    assert literal_norm(gradients(params), float(order)) <= max(max_norm, 0) + atol


def test_a_norm_that_is_small_enough_leaves_every_bit():
    before = np.random.default_rng(0).normal(size=(3, 4))
    params = parameters(before)
    clip_grad_norm_(params, 1e3)
    np.testing.assert_array_equal(params[0].grad.numpy(), before)


def test_the_norm_is_that_of_all_gradients_together():
    params = parameters([3.0], None, [[0.0, 4.0], [12.0, 0.0]])
    assert clip_grad_norm_(params, 6.5).item() == 13
    (a, none, b) = gradients(params)
    np.testing.assert_allclose(a, [1.5], rtol=1e-6)
    np.testing.assert_allclose(b, [[0, 2], [6, 0]], rtol=1e-6)
    assert none is None


def test_a_single_tensor_and_an_iterator_serve_as_parameters():
    for wrap in (lambda params: params[0], iter, tuple):
        params = parameters([3.0, 4.0])
        assert clip_grad_norm_(wrap(params), 1.0).item() == 5
        np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.8], rtol=1e-6)
        clip_grad_value_(wrap(params), 0.7)
        np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.7], rtol=1e-6)


def test_without_gradients_the_norm_is_zero():
    for params in ([], parameters(None, None)):
        norm = clip_grad_norm_(params, 1.0)
        assert norm.item() == 0 and norm.dtype == np.float32
        clip_grad_value_(params, 1.0)


def test_gradients_without_elements():
    for order in (2, math.inf):
        assert clip_grad_norm_(parameters(np.zeros((0, 3)), [4.0]), 1.0, order).item() == 4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_norms_that_are_not_finite(bad, order):
    """They spread to every gradient (inf to 0 and NaN), or raise and leave all as it is."""
    params = parameters([3.0, bad], [1.0])
    with pytest.raises(RuntimeError, match=f"clip_grad_norm_: .*order {float(order)}.*{abs(bad)}"):
        clip_grad_norm_(params, 1.0, order, error_if_nonfinite=True)
    np.testing.assert_array_equal(params[0].grad.numpy(), [3.0, bad])
    returned = clip_grad_norm_(params, 1.0, order)
    np.testing.assert_array_equal(returned.numpy(), abs(bad))
    kept = math.nan if math.isnan(bad) else 0.0
    np.testing.assert_array_equal(gradients(params)[0], [kept, math.nan])
    np.testing.assert_array_equal(gradients(params)[1], [kept])


def test_a_large_float32_gradient_does_not_overflow_on_the_way():
    params = parameters([3e30, 4e30], dtype=np.float32)
    np.testing.assert_allclose(clip_grad_norm_(params, 1.0).numpy(), 5e30, rtol=1e-6)
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.8], rtol=1e-6)


@given(shape=strategies.shapes(0, 3), value=st.sampled_from([0.0, 0.5, 3]), seed=strategies.seeds)
def test_clip_grad_value(shape, value, seed):
    before = 2 * np.random.default_rng(seed).normal(size=shape)
    params = parameters(before, None)
    assert clip_grad_value_(params, value) is None
    expected = [min(max(v, -value), value) for v in before.ravel()]
    np.testing.assert_array_equal(params[0].grad.numpy().ravel(), expected)
    assert params[1].grad is None


def test_clipping_by_value_keeps_nan_and_bounds_infinities():
    params = parameters([math.nan, math.inf, -math.inf])
    clip_grad_value_(params, 2)
    np.testing.assert_array_equal(params[0].grad.numpy(), [math.nan, 2, -2])


def test_between_backward_and_step():
    """SGD with rate 1 then moves by exactly the clipped gradient, and .grad is the same tensor as before."""
    w = nn.Parameter(np.zeros(2))
    (w * minidl.tensor(np.array([30.0, 40.0]))).sum().backward()
    gradient = w.grad
    clip_grad_norm_([w], 5.0)
    assert w.grad is gradient
    optim.SGD([w], lr=1.0).step()
    np.testing.assert_allclose(w.numpy(), [-3, -4], rtol=1e-6)


def test_a_gradient_that_a_graph_still_needs_is_not_changed_unnoticed():
    x = nn.Parameter(np.array([2.0]))
    (x**3).sum().backward()
    y = (nn.Parameter(np.ones(1)) * x.grad).sum()
    clip_grad_norm_([x], 1.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: clip_grad_norm_(p, -1.0), "max_norm.*-1.0"),
        (lambda p: clip_grad_norm_(p, math.nan), "max_norm.*nan"),
        (lambda p: clip_grad_norm_(p, 1.0, 0), "norm_type.*0.0"),
        (lambda p: clip_grad_norm_(p, 1.0, -math.inf), "norm_type.*-inf"),
        (lambda p: clip_grad_value_(p, -2), "clip_value.*-2"),
        (lambda p: clip_grad_value_(p, math.nan), "clip_value.*nan"),
    ],
)
def test_limits_without_meaning_are_refused_and_change_nothing(call, message):
    params = parameters([3.0, 4.0])
    with pytest.raises(ValueError, match=message):
        call(params)
    np.testing.assert_array_equal(params[0].grad.numpy(), [3, 4])
