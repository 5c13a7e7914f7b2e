"""max_pool2d and avg_pool2d (E2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op, cotangent_for, run

LARGE = strategies.Windows((1, 2, 9, 8), {"kernel_size": (7, 6), "stride": 2, "padding": 3}, 0)
MORE_TAPS_THAN_A_BYTE_COUNTS = strategies.Windows((1, 1, 18, 20), {"kernel_size": 17, "stride": (1, 3)}, 0)


@given(case=strategies.pools())
@example(case=LARGE)
@example(case=MORE_TAPS_THAN_A_BYTE_COUNTS)
def test_max_pool2d(case):
    check_op(
        lambda x: ops.max_pool2d(x, **case.options),
        lambda x: loops.max_pool2d(x, **case.options),
        case.separated(),
        seed=case.seed,
    )


@given(case=strategies.pools())
@example(case=LARGE)
def test_avg_pool2d(case):
    x = case.generic()
    check_op(
        lambda x: ops.avg_pool2d(x, **case.options),
        lambda x: loops.avg_pool2d(x, **case.options),
        x,
        terms=9,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.avg_pool2d(x, **case.options), x, terms=9, seed=case.seed)


@given(case=strategies.pools())
def test_of_equal_maxima_the_first_in_row_major_order_gets_the_gradient(case):
    x = np.random.default_rng(case.seed).integers(-1, 2, case.shape).astype(np.float64)  # full of ties
    g = cotangent_for(loops.max_pool2d(x, **case.options), case.seed)
    expected = loops.max_pool2d_backward(x, g, *case.pairs())
    for name, moved in {"C": x, **strategies.memory_orders(x)}.items():
        _, (gradient,) = run(lambda x: ops.max_pool2d(x, **case.options), (moved,), g)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13, err_msg=name)


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


X = (1, 2, 4, 4)
BAD = {
    "two dimensions": ((4, 4), {"kernel_size": 2}, "(4, 4)"),
    "kernel larger than the input": (X, {"kernel_size": 5}, "5"),
    "kernel of zero": (X, {"kernel_size": 0}, "kernel_size"),
    "stride of zero": (X, {"kernel_size": 2, "stride": 0}, "stride"),
    "negative padding": (X, {"kernel_size": 2, "padding": -1}, "padding"),
    "padding more than half the kernel": (X, {"kernel_size": 2, "padding": 2}, "padding"),
}


@pytest.mark.parametrize("operation", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name, operation):
    shape, options, named = BAD[name]
    with pytest.raises((ValueError, RuntimeError)) as caught:
        getattr(ops, operation)(minidl.tensor(np.zeros(shape)), **options)
    assert operation in str(caught.value) and named in str(caught.value)
