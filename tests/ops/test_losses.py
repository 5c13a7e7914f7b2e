"""cross_entropy (E3) and l1_loss (E4)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_op, run

EPS = float(np.finfo(np.float64).eps)
reductions = st.sampled_from(["mean", "sum", "none"])


@st.composite
def labelled(draw):
    """(logits, target, class weights or None, ignore_index): vectors or pictures, some pixels ignored."""
    rng = np.random.default_rng(draw(strategies.seeds))
    picture = draw(st.sampled_from([(), (2, 3), (1, 1), (3, 2)]))
    samples, classes = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    logits = 2 * rng.normal(size=(samples, classes, *picture))
    target = rng.integers(0, classes, (samples, *picture))
    ignore_index = draw(st.sampled_from([-100, 255, 0]))
    target[rng.random(target.shape) < draw(st.sampled_from([0.0, 0.4]))] = ignore_index
    if (target == ignore_index).all():
        ignore_index, target = -100, np.zeros_like(target)  # NaN has a test of its own
    weight = rng.uniform(0.2, 3.0, classes) if draw(st.booleans()) else None
    return logits, target, weight, ignore_index


@given(case=labelled(), reduction=reductions)
def test_cross_entropy(case, reduction):
    logits, target, weight, ignore_index = case
    options = {"ignore_index": ignore_index, "reduction": reduction}

    def fn(x):
        own = None if weight is None else minidl.tensor(weight.astype(x.dtype))
        return ops.cross_entropy(x, minidl.tensor(target), own, **options)

    check_op(fn, lambda x: formulas.cross_entropy(x, target, weight, **options), logits, terms=64)


def test_the_weighted_mean_divides_by_the_weights_sum():
    # Uniform logits: every loss is w log 2. Weights 1 and 3, one sample each: (1 + 3) log 2 / (1 + 3).
    logits, target, weight = np.zeros((3, 2)), np.array([0, 1, 1]), np.array([1.0, 3.0])
    loss = ops.cross_entropy(minidl.tensor(logits), minidl.tensor(target), minidl.tensor(weight))
    assert math.isclose(loss.item(), math.log(2), rel_tol=4 * EPS)
    skewed = np.array([[0.0, 0.0], [math.log(3), 0.0], [0.0, 0.0]])  # losses log 2, 3 log 4, 3 log 2 over 7
    loss = ops.cross_entropy(minidl.tensor(skewed), minidl.tensor(target), minidl.tensor(weight))
    assert math.isclose(loss.item(), 10 * math.log(2) / 7, rel_tol=8 * EPS)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5)])
def test_everything_ignored_is_nan_for_the_mean_and_zero_otherwise(shape):
    logits = minidl.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
    target = minidl.tensor(np.full((shape[0], *shape[2:]), 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = ops.cross_entropy(logits, target, ignore_index=255)
        assert math.isnan(mean.item())
        mean.backward()
        np.testing.assert_array_equal(logits.grad.numpy(), np.zeros(shape))  # as torch: no pixel, no gradient
        assert ops.cross_entropy(logits, target, ignore_index=255, reduction="sum").item() == 0.0
    each = ops.cross_entropy(logits, target, ignore_index=255, reduction="none")
    np.testing.assert_array_equal(each.detach().numpy(), np.zeros(target.shape))


def test_ignored_pixels_have_gradient_zero():
    logits = np.random.default_rng(0).normal(size=(1, 3, 2, 2))
    target = np.array([[[0, 255], [255, 2]]])
    _, (gradient,) = run(
        lambda x: ops.cross_entropy(x, minidl.tensor(target), ignore_index=255), (logits,), None
    )
    assert (gradient[0, :, 0, 1] == 0).all() and (gradient[0, :, 1, 0] == 0).all()
    assert (gradient[0, :, 0, 0] != 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits(dtype):
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    y, (gradient,) = run(
        lambda x: ops.cross_entropy(x, minidl.tensor(np.array([0, 0])), reduction="none"),
        (logits,),
        np.array([1.0, 3.0], dtype),
    )
    np.testing.assert_array_equal(y, [0.0, 2e4])
    np.testing.assert_array_equal(gradient, [[0, 0], [-3, 3]])


def test_the_gradient_is_prediction_minus_target_over_n():
    """E7 with the mean of E3: delta = (softmax(z) - one_hot(y)) / N."""
    logits, target = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    _, (gradient,) = run(lambda x: ops.cross_entropy(x, minidl.tensor(target)), (logits,), np.array(2.0))
    expected = 2 * (formulas.softmax(logits, 1) - np.eye(3)[target]) / 5
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=16 * EPS)


@pytest.mark.parametrize("integers", [np.uint8, np.int32, np.int64])
def test_targets_of_any_integer_type(integers):
    logits, target = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 255])
    loss = ops.cross_entropy(minidl.tensor(logits), minidl.tensor(target.astype(integers)), ignore_index=255)
    assert math.isclose(
        loss.item(), float(formulas.cross_entropy(logits, target, None, 255)), rel_tol=16 * EPS
    )


def test_minus_hundred_is_ignored_by_default_and_arrays_serve_as_targets():
    logits, target = np.random.default_rng(0).normal(size=(3, 4)), np.array([1, -100, 3])
    expected = float(formulas.cross_entropy(logits, target))
    for labels in (target, minidl.tensor(target)):
        assert math.isclose(
            ops.cross_entropy(minidl.tensor(logits), labels).item(), expected, rel_tol=16 * EPS
        )


X = (2, 3, 4, 4)
BAD = {
    "target past the classes": (X, np.full((2, 4, 4), 3), {}, "3"),
    "negative target that is not ignored": (X, np.full((2, 4, 4), -1), {}, "-1"),
    "target of another size": (X, np.zeros((2, 4, 5), int), {}, "(2, 4, 5)"),
    "one-hot target of integers": (X, np.zeros(X, int), {}, "(2, 3, 4, 4)"),
    "floats as labels": (X, np.zeros((2, 4, 4)), {}, "float64"),
    "weights for other classes": (X, np.zeros((2, 4, 4), int), {"weight": np.ones(4)}, "(4,)"),
    "unknown reduction": (X, np.zeros((2, 4, 4), int), {"reduction": "median"}, "median"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    shape, target, options, named = BAD[name]
    options = {k: minidl.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError)) as caught:
        ops.cross_entropy(minidl.tensor(np.zeros(shape)), minidl.tensor(target), **options)
    assert "cross_entropy" in str(caught.value) and named in str(caught.value)


@given(shape=strategies.shapes(0, 4), seed=strategies.seeds, reduction=reductions)
def test_l1_loss(shape, seed, reduction):
    rng = np.random.default_rng(seed)
    target = strategies.generic(rng, shape)
    prediction = target + strategies.separated(rng, shape)
    check_op(
        lambda a, b: ops.l1_loss(a, b, reduction=reduction),
        lambda a, b: formulas.l1_loss(a, b, reduction),
        prediction,
        target,
        terms=256,
        seed=seed,
    )


def test_l1_loss_has_subgradient_zero_where_both_agree():
    a, b = np.array([1.0, 2.0, 5.0, -1.0]), np.array([1.0, 4.0, 1.0, -1.0])
    y, (of_a, of_b) = run(ops.l1_loss, (a, b), np.array(8.0))
    assert y == 1.5
    np.testing.assert_array_equal(of_a, [0, -2, 2, 0])
    np.testing.assert_array_equal(of_b, [0, 2, -2, 0])


def test_l1_loss_refuses_shapes_that_differ_and_unknown_reductions():
    with pytest.raises((ValueError, RuntimeError)) as caught:
        ops.l1_loss(minidl.tensor(np.zeros((2, 3))), minidl.tensor(np.zeros((2, 4))))
    assert "l1_loss" in str(caught.value) and "(2, 3)" in str(caught.value) and "(2, 4)" in str(caught.value)
    for wrong in (np.zeros(2, np.float32), np.zeros(2, int)):
        with pytest.raises(TypeError, match="l1_loss"):
            ops.l1_loss(minidl.tensor(np.zeros(2)), minidl.tensor(wrong))
    with pytest.raises(ValueError, match="median"):
        ops.l1_loss(minidl.tensor(np.zeros(2)), minidl.tensor(np.zeros(2)), reduction="median")
