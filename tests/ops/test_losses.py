"""Losses of class ids: cross_entropy (E3) and nll_loss."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, loss_formulas, strategies
from oracles.checks import check_op, run

EPS = float(np.finfo(np.float64).eps)
reductions = st.sampled_from(["mean", "sum", "none"])
smoothings = st.sampled_from([0.0, 0.1, 1.0])


@st.composite
def labelled(draw):
    """(logits, target, class weights or None, ignore_index): one sample, vectors or pictures, some pixels
    ignored."""
    rng = np.random.default_rng(draw(strategies.seeds))
    classes = draw(st.integers(1, 4))
    shape = draw(st.sampled_from([(), (1,), (4,), (2, 3), (2, 2, 3), (1, 1, 1), (3, 1, 2, 2)]))
    logits = 2 * rng.normal(size=(*shape[:1], classes, *shape[1:]))
    target = rng.integers(0, classes, shape)
    ignore_index = draw(st.sampled_from([-100, 255, 0]))
    target = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.4])), ignore_index, target)
    if (target == ignore_index).all():
        ignore_index, target = -100, np.zeros_like(target)  # NaN has a test of its own
    weight = rng.uniform(0.2, 3.0, classes) if draw(st.booleans()) else None
    return logits, target, weight, ignore_index


def _like(x, array):
    return None if array is None else minidl.tensor(array.astype(x.dtype))


@given(case=labelled(), reduction=reductions, smoothing=smoothings)
def test_cross_entropy(case, reduction, smoothing):
    logits, target, weight, ignore_index = case
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": smoothing}
    check_op(
        lambda x: ops.cross_entropy(x, minidl.tensor(target), _like(x, weight), **options),
        lambda x: loss_formulas.cross_entropy(x, target, weight, **options),
        logits,
        terms=64,
        second_order=True,
    )


@given(case=labelled(), reduction=reductions)
def test_nll_loss(case, reduction):
    log_p, target, weight, ignore_index = case
    options = {"ignore_index": ignore_index, "reduction": reduction}
    check_op(
        lambda x: ops.nll_loss(x, minidl.tensor(target), _like(x, weight), **options),
        lambda x: loss_formulas.nll_loss(x, target, weight, **options),
        log_p,
        terms=64,
        linear=True,
        second_order=True,
    )


@given(case=labelled(), reduction=reductions, smoothing=smoothings, seed=strategies.seeds)
def test_cross_entropy_of_probabilities(case, reduction, smoothing, seed):
    logits, _, weight, _ = case
    options = {"reduction": reduction, "label_smoothing": smoothing}
    check_op(
        lambda x, q: ops.cross_entropy(x, q, _like(x, weight), **options),
        lambda x, q: loss_formulas.cross_entropy_of_probabilities(x, q, weight, **options),
        logits,
        np.random.default_rng(seed).uniform(0, 1, logits.shape),
        terms=64,
        second_order=True,
    )


@given(case=labelled(), reduction=reductions)
def test_cross_entropy_is_nll_loss_of_log_softmax(case, reduction):
    logits, target, weight, ignore_index = case
    options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    axis = min(1, logits.ndim - 1)
    direct = run(lambda x: ops.cross_entropy(x, target, **options), (logits,), None)
    composed = run(lambda x: ops.nll_loss(ops.log_softmax(x, axis), target, **options), (logits,), None)
    np.testing.assert_allclose(direct[0], composed[0], rtol=0, atol=1e3 * EPS)
    np.testing.assert_allclose(direct[1][0], composed[1][0], rtol=0, atol=1e3 * EPS)


@given(case=labelled(), reduction=st.sampled_from(["sum", "none"]), smoothing=smoothings)
def test_class_ids_are_the_probabilities_0_and_1(case, reduction, smoothing):
    logits, target, weight, _ = case
    classes = logits.shape[min(1, logits.ndim - 1)]
    target = np.clip(target, 0, classes - 1)
    one_hot = np.moveaxis(np.eye(classes)[target], -1, min(1, logits.ndim - 1))
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weight is not None and smoothing < 1:  # weights stay as they are: they scale all terms of a class
        options["weight"] = weight
    by_ids = ops.cross_entropy(minidl.tensor(logits), target, **options).numpy()
    by_one_hot = ops.cross_entropy(minidl.tensor(logits), minidl.tensor(one_hot), **options).numpy()
    np.testing.assert_allclose(by_ids, by_one_hot, rtol=0, atol=1e3 * EPS)


def test_the_weighted_mean_divides_by_the_weights_sum():
    # Uniform logits: every loss is w log 2. Weights 1 and 3, one sample each: (1 + 3) log 2 / (1 + 3).
    logits, target, weight = np.zeros((3, 2)), np.array([0, 1, 1]), np.array([1.0, 3.0])
    loss = ops.cross_entropy(minidl.tensor(logits), minidl.tensor(target), minidl.tensor(weight))
    assert math.isclose(loss.item(), math.log(2), rel_tol=4 * EPS)
    skewed = np.array([[0.0, 0.0], [math.log(3), 0.0], [0.0, 0.0]])  # losses log 2, 3 log 4, 3 log 2 over 7
    loss = ops.cross_entropy(minidl.tensor(skewed), minidl.tensor(target), minidl.tensor(weight))
    assert math.isclose(loss.item(), 10 * math.log(2) / 7, rel_tol=8 * EPS)


def test_smoothing_weighs_every_class_but_divides_by_the_targets_weights():
    # p = (1/4, 3/4), y = 0, w = (1, 5), e = 1/2: (1/2 · 1 · log 4 + 1/4 (1 · log 4 + 5 log 4/3)) / 1.
    logits, weight = np.array([[0.0, math.log(3)]]), np.array([1.0, 5.0])
    loss = ops.cross_entropy(minidl.tensor(logits), np.array([0]), minidl.tensor(weight), label_smoothing=0.5)
    expected = 0.5 * math.log(4) + 0.25 * (math.log(4) + 5 * math.log(4 / 3))
    assert math.isclose(loss.item(), expected, rel_tol=8 * EPS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5)])
def test_everything_ignored_is_nan_for_the_mean_and_zero_otherwise(shape, smoothing):
    logits = minidl.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
    target = minidl.tensor(np.full((shape[0], *shape[2:]), 255))
    losses = [lambda x, t, **o: ops.cross_entropy(x, t, label_smoothing=smoothing, **o), ops.nll_loss]
    for loss in losses:
        logits.grad = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mean = loss(logits, target, ignore_index=255)
            assert math.isnan(mean.item())
            mean.backward()
            np.testing.assert_array_equal(
                logits.grad.numpy(), np.zeros(shape)
            )  # as torch: no pixel, no slope
            assert loss(logits, target, ignore_index=255, reduction="sum").item() == 0.0
        each = loss(logits, target, ignore_index=255, reduction="none")
        np.testing.assert_array_equal(each.detach().numpy(), np.zeros(target.shape))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 3, 0, 4)])
def test_nothing_at_all(shape):
    """As torch: the mean of nothing is NaN, its sum 0."""
    logits, target = np.zeros(shape), np.zeros((shape[0], *shape[2:]), int)
    for loss in (ops.cross_entropy, ops.nll_loss):
        for reduction, expected in (("mean", np.nan), ("sum", 0.0), ("none", np.zeros(target.shape))):
            y, (gradient,) = run(lambda x: loss(x, target, reduction=reduction), (logits,), None)  # noqa: B023
            np.testing.assert_array_equal(y, expected)
            assert gradient.shape == shape
        none = loss(minidl.tensor(logits), target, reduction="none")
        assert none.shape == target.shape


def test_ignored_pixels_have_gradient_zero_whatever_their_logits():
    logits = np.random.default_rng(0).normal(size=(1, 3, 2, 2))
    logits[0, :, 0, 1], logits[0, 0, 1, 0] = np.nan, np.inf
    target = np.array([[[0, 255], [255, 2]]])
    for options in ({}, {"label_smoothing": 0.1}):
        y, (gradient,) = run(
            lambda x: ops.cross_entropy(x, minidl.tensor(target), ignore_index=255, **options),  # noqa: B023
            (logits,),
            None,
        )
        assert np.isfinite(y)
        assert (gradient[0, :, 0, 1] == 0).all() and (gradient[0, :, 1, 0] == 0).all()
        assert (gradient[0, :, 0, 0] != 0).all() and (gradient[0, :, 1, 1] != 0).all()


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


def test_a_class_ruled_out_by_minus_infinity():
    """log p = -inf: the loss is infinite where that class is the target, and no other class notices it."""
    logits = np.array([[-np.inf, 0.0, 0.0], [-np.inf, 0.0, 0.0]])
    y, (gradient,) = run(
        lambda x: ops.cross_entropy(x, np.array([0, 1]), reduction="none"), (logits,), np.ones(2)
    )
    np.testing.assert_allclose(y, [np.inf, math.log(2)], rtol=4 * EPS)
    np.testing.assert_allclose(gradient, [[-1, 0.5, 0.5], [0, -0.5, 0.5]], rtol=4 * EPS)


def test_a_thousand_classes_in_float32():
    """The sum of 2^14 exponentials, across memory: float64 inside, so that only the result is rounded."""
    logits = np.random.default_rng(0).uniform(0, 1, (2, 1 << 14, 3)).astype(np.float32)
    y = ops.cross_entropy(minidl.tensor(logits), np.zeros((2, 3), int), reduction="none").numpy()
    exact = np.log(np.exp(logits.astype(np.float64)).sum(1)) - logits[:, 0]
    np.testing.assert_allclose(y, exact, rtol=0, atol=4 * 11 * float(np.finfo(np.float32).eps))


def test_the_gradient_is_prediction_minus_target_over_n():
    """E7 with the mean of E3: delta = (softmax(z) - one_hot(y)) / N."""
    logits, target = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    _, (gradient,) = run(lambda x: ops.cross_entropy(x, minidl.tensor(target)), (logits,), np.array(2.0))
    expected = 2 * (formulas.softmax(logits, 1) - np.eye(3)[target]) / 5
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=16 * EPS)


@pytest.mark.parametrize("integers", [np.uint8, np.int32, np.int64])
def test_targets_of_any_integer_type(integers):
    logits, target = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 255])
    for loss, oracle in (
        (ops.cross_entropy, loss_formulas.cross_entropy),
        (ops.nll_loss, loss_formulas.nll_loss),
    ):
        value = loss(minidl.tensor(logits), minidl.tensor(target.astype(integers)), ignore_index=255).item()
        assert math.isclose(value, float(oracle(logits, target, None, 255)), rel_tol=16 * EPS)


def test_minus_hundred_is_ignored_by_default_and_arrays_serve_as_targets_and_weights():
    logits, target = np.random.default_rng(0).normal(size=(3, 4)), np.array([1, -100, 3])
    weight = [1.0, 2.0, 3.0, 4.0]
    expected = float(loss_formulas.cross_entropy(logits, target, np.array(weight)))
    for labels in (target, minidl.tensor(target)):
        for weights in (weight, np.array(weight, np.float32), minidl.tensor(weight, dtype="float64")):
            got = ops.cross_entropy(minidl.tensor(logits), labels, weights).item()
            assert math.isclose(got, expected, rel_tol=16 * EPS)


def test_labels_may_be_overwritten_after_the_forward_but_logits_may_not():
    logits = minidl.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    scaled, target = logits * 2, minidl.tensor(np.array([0, 1, 2]))
    loss = ops.cross_entropy(scaled, target)
    target[...] = 3
    loss.backward(retain_graph=True)
    expected = 2 * (formulas.softmax(2 * logits.numpy(), 1) - np.eye(4)[:3]) / 3
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=0, atol=16 * EPS)
    with minidl.no_grad():
        scaled[0, 0] = 1.0
    with pytest.raises(RuntimeError, match=r"cross_entropy.*changed in place"):
        loss.backward()


X = (2, 3, 4, 4)
IDS = np.zeros((2, 4, 4), int)
BOTH = {
    "target past the classes": (X, np.full((2, 4, 4), 3), {}, "3"),
    "negative target that is not ignored": (X, np.full((2, 4, 4), -1), {}, "-1"),
    "target of another size": (X, np.zeros((2, 4, 5), int), {}, "(2, 4, 5)"),
    "target without a batch": (X, np.zeros((4, 4), int), {}, "(4, 4)"),
    "one-hot target of integers": (X, np.zeros(X, int), {}, "(2, 3, 4, 4)"),
    "floats as labels": (X, np.zeros((2, 4, 4)), {}, "float64"),
    "bools as labels": (X, np.zeros((2, 4, 4), bool), {}, "bool"),
    "weights for other classes": (X, IDS, {"weight": np.ones(4)}, "(4,)"),
    "weights of another dtype": (X, IDS, {"weight": np.ones(3, np.float32)}, "float32"),
    "unknown reduction": (X, IDS, {"reduction": "median"}, "median"),
    "a number": ((), np.array(0), {}, "()"),
    "no classes": ((2, 0), np.zeros(2, int), {}, "(2, 0)"),
    "two ids for one sample": ((3,), np.zeros(2, int), {}, "(2,)"),
}
BAD = {
    **{f"{op}: {name}": (op, *case) for name, case in BOTH.items() for op in ("cross_entropy", "nll_loss")},
    "smoothing above 1": ("cross_entropy", X, IDS, {"label_smoothing": 1.5}, "1.5"),
    "smoothing below 0": ("cross_entropy", X, IDS, {"label_smoothing": -0.1}, "-0.1"),
    "smoothing that is no number": ("cross_entropy", X, IDS, {"label_smoothing": math.nan}, "nan"),
    "probabilities and ignore_index": ("cross_entropy", X, np.ones(X), {"ignore_index": 1}, "ignore_index"),
    "probabilities of other classes": ("cross_entropy", X, np.ones((2, 2, 4, 4)), {}, "float64"),
    "weights for other probabilities": ("cross_entropy", X, np.ones(X), {"weight": np.ones(4)}, "(4,)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    operation, shape, target, options, named = BAD[name]
    options = {k: minidl.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError)) as caught:
        getattr(ops, operation)(minidl.tensor(np.zeros(shape)), minidl.tensor(target), **options)
    message = str(caught.value)
    assert message.startswith(f"{operation}: ") and named in message and "\n" not in message


def test_logits_of_integers_are_refused():
    for loss in (ops.cross_entropy, ops.nll_loss):
        with pytest.raises(TypeError, match="floating-point, got int64"):
            loss(minidl.tensor(np.zeros((2, 3), int)), np.zeros(2, int))
