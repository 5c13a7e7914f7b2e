"""Losses of pairs: l1_loss (E4), mse_loss, smooth_l1_loss, kl_div, binary_cross_entropy_with_logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import loss_formulas, strategies
from oracles.checks import check_op, run, tolerance

EPS = float(np.finfo(np.float64).eps)
INF = math.inf
reductions = st.sampled_from(["mean", "sum", "none"])
shapes = strategies.shapes(0, 4)


@given(shape=shapes, seed=strategies.seeds, reduction=reductions)
def test_l1_loss(shape, seed, reduction):
    rng = np.random.default_rng(seed)
    target = strategies.generic(rng, shape)
    prediction = target + strategies.separated(rng, shape)
    check_op(
        lambda a, b: ops.l1_loss(a, b, reduction=reduction),
        lambda a, b: loss_formulas.l1_loss(a, b, reduction),
        *(prediction, target),
        terms=256,
        second_order=True,
        seed=seed,
    )


@given(shape=shapes, seed=strategies.seeds, reduction=reductions)
def test_mse_loss(shape, seed, reduction):
    rng = np.random.default_rng(seed)
    check_op(
        lambda a, b: ops.mse_loss(a, b, reduction=reduction),
        lambda a, b: loss_formulas.mse_loss(a, b, reduction),
        *(strategies.generic(rng, shape), strategies.generic(rng, shape)),
        terms=1024,
        second_order=True,
        seed=seed,
    )


@given(shape=shapes, seed=strategies.seeds, reduction=reductions, beta=st.sampled_from([0.0, 0.37, 1.0, 3.0]))
def test_smooth_l1_loss(shape, seed, reduction, beta):
    rng = np.random.default_rng(seed)
    difference = strategies.separated(rng, shape)
    corner = np.abs(np.abs(difference) - beta) < 1e-2  # the slope is continuous there, its slope is not
    difference = np.where(corner, difference + 2e-2, difference)
    target = strategies.generic(rng, shape)
    check_op(
        lambda a, b: ops.smooth_l1_loss(a, b, reduction=reduction, beta=beta),
        lambda a, b: loss_formulas.smooth_l1_loss(a, b, reduction, beta),
        *(target + difference, target),
        terms=1024,
        second_order=True,
        seed=seed,
    )


@pytest.mark.parametrize("log_target", [False, True])
@given(
    shape=strategies.shapes(1, 4),
    seed=strategies.seeds,
    reduction=st.sampled_from(["mean", "sum", "none", "batchmean"]),
)
def test_kl_div(log_target, shape, seed, reduction):
    rng = np.random.default_rng(seed)
    target = strategies.generic(rng, shape) / 2 if log_target else rng.uniform(0.2, 1.0, shape)
    check_op(
        lambda a, b: ops.kl_div(a, b, None, None, reduction, log_target),
        lambda a, b: loss_formulas.kl_div(a, b, reduction, log_target),
        *(strategies.generic(rng, shape), target),
        terms=1024,
        second_order=True,
        seed=seed,
    )


@given(
    shape=shapes,
    weights=st.sampled_from([None, "number", "last axis", "all"]),
    positives=st.sampled_from([None, "number", "last axis", "all"]),
    reduction=reductions,
    seed=strategies.seeds,
)
def test_binary_cross_entropy_with_logits(shape, weights, positives, reduction, seed):
    rng = np.random.default_rng(seed)
    of = {None: None, "number": (), "last axis": shape[-1:], "all": shape}
    weight, pos_weight = (
        None if of[name] is None else rng.uniform(0.2, 3.0, of[name]) for name in (weights, positives)
    )

    def fn(x, y):
        w, p = (None if a is None else minidl.tensor(a.astype(x.dtype)) for a in (weight, pos_weight))
        return ops.binary_cross_entropy_with_logits(x, y, w, None, None, reduction, p)

    def oracle(x, y):
        return loss_formulas.binary_cross_entropy_with_logits(x, y, weight, reduction, pos_weight)

    # Extremes cut the operands, but not the weights of their shape, which this closure keeps.
    cuttable = "all" not in (weights, positives)
    operands = 2 * strategies.separated(rng, shape), rng.uniform(0, 1, shape)
    check_op(fn, oracle, *operands, terms=1024, second_order=True, extremes=cuttable, seed=seed)


# --- single points ------------------------------------------------------------------------------------------


def test_l1_loss_has_subgradient_zero_where_both_agree():
    a, b = np.array([1.0, 2.0, 5.0, -1.0]), np.array([1.0, 4.0, 1.0, -1.0])
    y, (of_a, of_b) = run(ops.l1_loss, (a, b), np.array(8.0))
    assert y == 1.5
    np.testing.assert_array_equal(of_a, [0, -2, 2, 0])
    np.testing.assert_array_equal(of_b, [0, 2, -2, 0])


def test_smooth_l1_loss_on_both_sides_of_beta_and_on_it():
    x, zero = np.array([0.5, 1.0, 2.0, 3.0, -3.0]), np.zeros(5)
    y, (slopes, _) = run(
        lambda a, b: ops.smooth_l1_loss(a, b, reduction="none", beta=2.0), (x, zero), np.ones(5)
    )
    np.testing.assert_array_equal(y, [0.0625, 0.25, 1, 2, 2])
    np.testing.assert_array_equal(slopes, [0.25, 0.5, 1, 1, -1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_any_size_make_finite_binary_losses(dtype):
    """log(1 + e^x) is x for large x, and e^x for very negative x; nothing overflows on the way."""
    x, y = np.array([1e4, 1e4, -1e4, -1e4, -100.0, -100.0]), np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    losses, (of_x, of_y) = run(
        lambda a, b: ops.binary_cross_entropy_with_logits(a, b, reduction="none"),
        (x.astype(dtype), y.astype(dtype)),
        np.ones(6, dtype),
    )
    # 1 + e^-100 rounds to 1, e^-100 itself is a number; the smallest float32 are denormal, whence the atol
    small = math.exp(-100)
    np.testing.assert_allclose(losses, [0, 1e4, 1e4, 0, 100, small], rtol=4e-7, atol=2e-45)
    np.testing.assert_allclose(of_x, [0, 1, -1, 0, -1, small], rtol=4e-7, atol=2e-45)
    np.testing.assert_array_equal(of_y, -x)


def test_a_target_of_probability_zero_costs_nothing():
    y, (of_x, _) = run(
        lambda a, b: ops.kl_div(a, b, reduction="none"),
        (np.array([-1.0, -2.0]), np.array([0.0, 1.0])),
        np.ones(2),
    )
    np.testing.assert_array_equal(y, [0, 2])
    np.testing.assert_array_equal(of_x, [0, -1])


def test_kl_div_of_equal_distributions_is_zero_and_batchmean_is_the_divergence():
    p = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert ops.kl_div(minidl.tensor(np.log(p)), minidl.tensor(p), reduction="sum").item() == 0
    even = np.log(np.full((2, 2), 0.5))
    expected = (0.25 * math.log(0.5) + 0.75 * math.log(1.5)) / 2  # the first row's divergence is 0
    got = ops.kl_div(minidl.tensor(even), minidl.tensor(p), reduction="batchmean").item()
    assert math.isclose(got, expected, rel_tol=8 * EPS)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
@pytest.mark.parametrize(
    "name", ["l1_loss", "mse_loss", "smooth_l1_loss", "kl_div", "binary_cross_entropy_with_logits"]
)
def test_nothing_at_all(name, shape):
    """As torch: the mean of nothing is NaN, its sum 0."""
    a = np.zeros(shape)
    for reduction, expected in (("mean", np.nan), ("sum", 0.0), ("none", a)):
        y, gradients = run(lambda a, b: getattr(ops, name)(a, b, reduction=reduction), (a, a.copy()), None)  # noqa: B023
        np.testing.assert_array_equal(y, expected)
        assert [g.shape for g in gradients] == [shape, shape]


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran", "sliced"])
def test_float32_means_do_not_lose_digits_in_any_order(order):
    """2^18 terms of about 1: pairwise or float64 sums are off by a few eps, adding one by one by 2^17 eps."""
    a = np.random.default_rng(0).uniform(0.5, 1.5, (8, 2, 128, 128)).astype(np.float32)
    moved = a if order == "C" else strategies.memory_orders(a)[order]
    zero = minidl.tensor(np.zeros_like(a))
    exact = a.astype(np.float64)
    for loss, expected in ((ops.l1_loss, exact.mean()), (ops.mse_loss, (exact**2).mean())):
        assert math.isclose(loss(minidl.Tensor(moved), zero).item(), expected, rel_tol=tolerance("f4", 18, 1))


# --- refusals -----------------------------------------------------------------------------------------------

NAMES = ["l1_loss", "mse_loss", "smooth_l1_loss", "kl_div", "binary_cross_entropy_with_logits"]


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_differ_are_refused_even_where_they_would_broadcast(name):
    for other in ((2, 4), (3,), (2, 1), (1, 2, 3), ()):
        with pytest.raises(ValueError, match=rf"^{name}: .*\(2, 3\)") as caught:
            getattr(ops, name)(minidl.tensor(np.zeros((2, 3))), minidl.tensor(np.zeros(other)))
        assert str(other) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_that_differ_and_integers_are_refused(name):
    one, ids = minidl.tensor(np.zeros(2)), minidl.tensor(np.zeros(2, int))
    for pair in ((one, minidl.tensor(np.zeros(2, np.float32))), (one, ids), (ids, ids)):
        with pytest.raises(TypeError, match=f"^{name}: "):
            getattr(ops, name)(*pair)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_reductions_are_refused(name):
    one = minidl.tensor(np.zeros(2))
    for reduction in ("median", "batchmean", None)[: 1 if name == "kl_div" else 3]:
        with pytest.raises(ValueError, match=f"^{name}: reduction.*{reduction}"):
            getattr(ops, name)(one, one, reduction=reduction)


ONE = minidl.tensor(np.zeros((2, 3)))
REFUSED = {
    "a negative beta": (lambda: ops.smooth_l1_loss(ONE, ONE, beta=-1.0), "smooth_l1_loss: beta.*-1.0"),
    "beta NaN": (lambda: ops.smooth_l1_loss(ONE, ONE, beta=math.nan), "smooth_l1_loss: beta.*nan"),
    "batchmean of a number": (
        lambda: ops.kl_div(minidl.tensor(1.0), minidl.tensor(1.0), reduction="batchmean"),
        "kl_div: .*batchmean.*0-d",
    ),
    "weights that do not fit": (
        lambda: ops.binary_cross_entropy_with_logits(ONE, ONE, weight=np.ones(2)),
        r"binary_cross_entropy_with_logits: .*\(2,\)",
    ),
    "weights larger than the input": (
        lambda: ops.binary_cross_entropy_with_logits(ONE, ONE, weight=np.ones((4, 2, 3))),
        r"binary_cross_entropy_with_logits: weight .*\(4, 2, 3\)",
    ),
    "positive weights larger than the input": (
        lambda: ops.binary_cross_entropy_with_logits(ONE, ONE, pos_weight=np.ones((4, 2, 3))),
        r"binary_cross_entropy_with_logits: pos_weight .*\(4, 2, 3\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_options_name_the_op_and_what_is_wrong(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_weights_of_another_dtype_are_refused():
    for option in ("weight", "pos_weight"):
        with pytest.raises(TypeError, match=f"binary_cross_entropy_with_logits: {option} is float32"):
            ops.binary_cross_entropy_with_logits(ONE, ONE, **{option: minidl.tensor([1.0, 1.0, 1.0])})


def test_weights_get_no_gradient():
    w = minidl.tensor(np.ones(3), requires_grad=True)
    x = minidl.tensor(np.zeros((2, 3)), requires_grad=True)
    y = minidl.tensor(np.zeros((2, 3)))
    ops.binary_cross_entropy_with_logits(x, y, weight=w, pos_weight=w).backward()
    assert x.grad is not None and w.grad is None


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss"])
def test_nan_and_infinities_travel(name):
    x, y = np.array([math.nan, INF, INF, 0.0]), np.array([0.0, 0.0, INF, -INF])
    losses, (slopes, _) = run(lambda a, b: getattr(ops, name)(a, b, reduction="none"), (x, y), np.ones(4))
    np.testing.assert_array_equal(losses, [math.nan, INF, math.nan, INF])
    far = INF if name == "mse_loss" else 1.0
    np.testing.assert_array_equal(slopes, [math.nan, far, math.nan, far])
