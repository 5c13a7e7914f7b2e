"""max_pool2d, avg_pool2d and adaptive_avg_pool2d (E2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import pool_loops, strategies, window_strategies
from oracles.checks import check_adjoint, check_op, cotangent_for, run, tolerance
from oracles.strategies import Windows

LARGE = Windows((1, 2, 9, 8), {"kernel_size": (7, 6), "stride": 2, "padding": 3}, 0)
MORE_TAPS_THAN_A_BYTE_COUNTS = Windows((1, 1, 18, 20), {"kernel_size": 17, "stride": (1, 3)}, 0)
ONE_PIXEL = Windows((1, 1, 1, 1), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, 0)
HANGS_OVER = Windows((1, 1, 2, 5), {"kernel_size": (3, 2), "stride": 2, "ceil_mode": True}, 0)
NO_BATCH = Windows((0, 2, 4, 5), {"kernel_size": 2}, 0)


@given(case=window_strategies.max_pools())
@example(case=LARGE)
@example(case=ONE_PIXEL)
@example(case=HANGS_OVER)
@example(case=NO_BATCH)
def test_max_pool2d(case):
    check_op(
        lambda x: ops.max_pool2d(x, **case.options),
        lambda x: pool_loops.max_pool2d(x, **case.options),
        case.separated(),
        second_order=True,
        seed=case.seed,
    )


def test_windows_of_more_taps_than_a_byte_counts():
    options = MORE_TAPS_THAN_A_BYTE_COUNTS.options
    check_op(
        lambda x: ops.max_pool2d(x, **options),
        lambda x: pool_loops.max_pool2d(x, **options),
        MORE_TAPS_THAN_A_BYTE_COUNTS.separated(),
        gradcheck=False,  # 360 pixels one by one, each with 289 taps; the loops' slopes are looked at anyway
        second_order=False,
    )


@given(case=window_strategies.avg_pools())
@example(case=LARGE)
@example(case=ONE_PIXEL)
@example(case=HANGS_OVER)
@example(case=NO_BATCH)
def test_avg_pool2d(case):
    x = case.generic()
    check_op(
        lambda x: ops.avg_pool2d(x, **case.options),
        lambda x: pool_loops.avg_pool2d(x, **case.options),
        x,
        terms=49,
        second_order=True,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.avg_pool2d(x, **case.options), x, terms=49, seed=case.seed)


@given(case=window_strategies.adaptive_pools())
@example(case=window_strategies.Adaptive((2, 3, 7, 5), 1, 0))
@example(case=window_strategies.Adaptive((1, 1, 1, 1), (3, None), 0))
def test_adaptive_avg_pool2d(case):
    x = case.generic()
    check_op(
        lambda x: ops.adaptive_avg_pool2d(x, case.output_size),
        lambda x: pool_loops.adaptive_avg_pool2d(x, case.output_size),
        x,
        terms=121,
        second_order=True,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.adaptive_avg_pool2d(x, case.output_size), x, terms=121, seed=case.seed)


@given(case=window_strategies.max_pools())
def test_max_pool2d_that_gives_the_indices_too(case):
    check_op(
        lambda x: ops.max_pool2d((x + 3) ** 2, **case.options, return_indices=True)[0],
        lambda x: pool_loops.max_pool2d((x + 3) ** 2, **case.options),
        case.separated(),
        orders=False,
        second_order=True,
        seed=case.seed,
    )


@given(case=window_strategies.max_pools(), ties=st.booleans(), nan=st.sampled_from([0.0, 0.3]))
def test_indices_and_gradients_with_ties_nan_and_infinities(case, ties, nan):
    """Of equal maxima the first in row-major order wins, of several NaN the last, as in torch."""
    rng = np.random.default_rng(case.seed)
    x = rng.integers(-1, 2, case.shape).astype(np.float64) if ties else case.generic()
    x[rng.random(case.shape) < 0.2] = -np.inf
    x[rng.random(case.shape) < nan] = np.nan
    y, indices = pool_loops.max_pool2d_with_indices(x, **case.options)
    g = cotangent_for(y, case.seed)
    expected = pool_loops.max_pool2d_backward(x, g, indices)
    for name, moved in {"C": x, **strategies.memory_orders(x)}.items():
        values, found = ops.max_pool2d(minidl.Tensor(moved), **case.options, return_indices=True)
        np.testing.assert_array_equal(values.numpy(), y, err_msg=name)
        np.testing.assert_array_equal(found.numpy(), indices, err_msg=name)
        assert found.dtype == np.int64 and not found.requires_grad
        for fn in (
            lambda x: ops.max_pool2d(x, **case.options),
            lambda x: ops.max_pool2d(x, **case.options, return_indices=True)[0],
        ):
            _, (gradient,) = run(fn, (moved,), g)
            np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
@given(case=window_strategies.max_pools())
def test_integers_have_maxima_too(dtype, case):
    rng = np.random.default_rng(case.seed)
    x = rng.integers(0 if dtype == np.uint8 else -100, 100, case.shape).astype(dtype)
    y = ops.max_pool2d(minidl.tensor(x), **case.options)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), pool_loops.max_pool2d(x, **case.options))


# --- single facts ---


def test_padding_never_wins_even_among_very_negative_numbers():
    x = np.full((1, 1, 2, 2), -1e30)
    y, (gradient,) = run(lambda x: ops.max_pool2d(x, 2, 1, 1), (x,), np.ones((1, 1, 3, 3)))
    np.testing.assert_array_equal(y, np.full((1, 1, 3, 3), -1e30))
    assert gradient.sum() == 9


def test_minus_infinity_is_a_value_like_any_other():
    x = np.full((1, 1, 2, 2), -np.inf)
    y, (gradient,) = run(lambda x: ops.max_pool2d(x, 2), (x,), np.array([[[[3.0]]]]))
    assert y.item() == -np.inf
    np.testing.assert_array_equal(gradient[0, 0], [[3, 0], [0, 0]])


def test_where_all_is_minus_infinity_the_first_pixel_wins_not_the_padding():
    x = np.full((1, 1, 3, 3), -np.inf)
    g = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    _, (gradient,) = run(lambda x: ops.max_pool2d(x, 2, 2, 1), (x,), g)
    np.testing.assert_array_equal(gradient[0, 0], [[1, 2, 0], [3, 4, 0], [0, 0, 0]])


def test_nan_passes_through_max_pool2d():
    x = np.array([[[[1.0, np.nan], [3.0, 2.0]]]])
    assert np.isnan(ops.max_pool2d(minidl.tensor(x), 2).item())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_own_windows(value):
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 0, 0] = value
    for fn in (lambda x: ops.avg_pool2d(x, 2), lambda x: ops.adaptive_avg_pool2d(x, 2)):
        y = fn(minidl.tensor(x)).numpy()[0, 0]
        np.testing.assert_array_equal(y, [[value, 1], [1, 1]])


def test_pixels_that_no_window_reached_have_gradient_zero():
    x = np.random.default_rng(0).normal(size=(1, 1, 5, 5))
    for fn in (ops.max_pool2d, ops.avg_pool2d):
        _, (gradient,) = run(lambda x, fn=fn: fn(x, 2), (x,), None)
        assert (gradient[0, 0, 4] == 0).all() and (gradient[0, 0, :, 4] == 0).all()
        _, (gradient,) = run(lambda x, fn=fn: fn(x, 1, 3), (x,), None)
        assert np.count_nonzero(gradient) == 4


def test_a_hand_worked_average():
    x = np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    y, (gradient,) = run(lambda x: ops.avg_pool2d(x, 2, 1), (x,), np.array([[[[4.0, 8], [12, 16]]]]))
    np.testing.assert_array_equal(y[0, 0], [[3, 4], [6, 7]])
    np.testing.assert_array_equal(gradient[0, 0], [[1, 3, 2], [4, 10, 6], [3, 7, 4]])


def test_hand_worked_windows_of_an_adaptive_average():
    # 5 pixels in 3 windows: 0..2, 1..4, 3..5; pixel 1 belongs to the first two.
    y, (gradient,) = run(
        lambda x: ops.adaptive_avg_pool2d(x, (1, 3)),
        (np.array([[[[1.0, 3, 5, 7, 9]]]]),),
        np.array([[[[2.0, 3, 4]]]]),
    )
    np.testing.assert_array_equal(y[0, 0], [[2, 5, 8]])
    np.testing.assert_array_equal(gradient[0, 0], [[1, 2, 1, 3, 2]])


def test_what_a_window_divides_by():
    # Kernel 3, stride 2, padding 1, ceil_mode on 4 ones: windows -1..1, 1..3, 3..5 (5 is past the padding).
    def divided(**options):
        x = minidl.tensor(np.ones((1, 1, 1, 4)))
        return ops.avg_pool2d(x, (1, 3), (1, 2), (0, 1), ceil_mode=True, **options).numpy()[0, 0, 0]

    np.testing.assert_allclose(divided(), [2 / 3, 1, 1 / 2], rtol=1e-15)
    np.testing.assert_allclose(divided(count_include_pad=False), [1, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(divided(divisor_override=-4), [-1 / 2, -3 / 4, -1 / 4], rtol=1e-15)


def test_a_global_average_in_float32_is_accurate():
    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 700, 900)).astype(np.float32)
    exact = x.mean(axis=(2, 3), dtype=np.float64)
    for name, moved in {"C": x, **strategies.memory_orders(x)}.items():
        y = ops.adaptive_avg_pool2d(minidl.Tensor(moved), 1).numpy()[..., 0, 0]
        # Pairwise sums of 900 along memory: about log2(900) roundings; the rest is float64.
        np.testing.assert_allclose(y, exact, rtol=12 * 2.0**-24, err_msg=name)


def test_the_mean_of_all_is_the_adaptive_average_to_one_pixel():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    y = ops.adaptive_avg_pool2d(minidl.tensor(x), 1).numpy()[..., 0, 0]
    np.testing.assert_allclose(y, x.mean(axis=(2, 3)), rtol=0, atol=tolerance(np.float64, 20, 4))


# --- what cannot be ---

X = (1, 2, 4, 4)
BAD = {
    "two dimensions": ((4, 4), {"kernel_size": 2}, "(4, 4)"),
    "no pixels": ((1, 2, 0, 4), {"kernel_size": 2, "padding": 1}, "(1, 2, 0, 4)"),
    "no channels": ((1, 0, 4, 4), {"kernel_size": 2}, "(1, 0, 4, 4)"),
    "kernel larger than the input": (X, {"kernel_size": 5}, "5"),
    "kernel much larger, rounded up": (X, {"kernel_size": 7, "stride": 2, "ceil_mode": True}, "7"),
    "kernel of zero": (X, {"kernel_size": 0}, "kernel_size"),
    "kernel of three": (X, {"kernel_size": (2, 2, 2)}, "kernel_size"),
    "stride of zero": (X, {"kernel_size": 2, "stride": 0}, "stride"),
    "negative padding": (X, {"kernel_size": 2, "padding": -1}, "padding"),
    "padding more than half the kernel": (X, {"kernel_size": 2, "padding": 2}, "padding"),
}


@pytest.mark.parametrize("operation", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name, operation):
    shape, options, named = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(ops, operation)(minidl.tensor(np.zeros(shape)), **options)
    assert str(caught.value).startswith(f"{operation}: ") and named in str(caught.value)


OTHERS = {
    "max_pool2d of booleans": (lambda: ops.max_pool2d(minidl.tensor(np.zeros(X, bool)), 2), "bool"),
    "max_pool2d: dilation": (lambda: ops.max_pool2d(minidl.tensor(np.zeros(X)), 2, dilation=0), "dilation"),
    "max_pool2d: dilated past the end": (
        lambda: ops.max_pool2d(minidl.tensor(np.zeros(X)), 2, dilation=4),
        "dilation (4, 4)",
    ),
    "max_pool2d: no pixel": (
        lambda: ops.max_pool2d(minidl.tensor(np.zeros((1, 1, 1, 2))), (1, 2), 1, (0, 1), (1, 3)),
        "no pixel",
    ),
    "avg_pool2d of integers": (lambda: ops.avg_pool2d(minidl.tensor(np.zeros(X, int)), 2), "int64"),
    "avg_pool2d: by zero": (
        lambda: ops.avg_pool2d(minidl.tensor(np.zeros(X)), 2, divisor_override=0),
        "divisor_override",
    ),
    "avg_pool2d: by a fraction": (
        lambda: ops.avg_pool2d(minidl.tensor(np.zeros(X)), 2, divisor_override=1.5),
        "1.5",
    ),
    "adaptive_avg_pool2d of integers": (
        lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(X, int)), 2),
        "int64",
    ),
    "adaptive_avg_pool2d: no pixels": (
        lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros((1, 1, 0, 4))), 2),
        "(1, 1, 0, 4)",
    ),
    "adaptive_avg_pool2d: negative": (lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(X)), -1), "-1"),
    "adaptive_avg_pool2d: None": (lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(X)), None), "None"),
    "adaptive_avg_pool2d: three": (
        lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(X)), (1, 2, 3)),
        "(1, 2, 3)",
    ),
    "adaptive_avg_pool2d: a fraction": (
        lambda: ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(X)), (1.5, 2)),
        "1.5",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_impossible_calls(name):
    call, named = OTHERS[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value).startswith(name.split()[0].rstrip(":") + ": ") and named in str(caught.value)
