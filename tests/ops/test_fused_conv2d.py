"""fused_conv2d against the loops of its parts, its derivatives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given

import minidl
from minidl import ops
from oracles import fused_strategies
from oracles.checks import check_op
from oracles.fused_strategies import Fused

TWO_INPUTS = Fused(
    (2, 3, 6, 4), (2, 2, 3, 2), (4, 5, 3, 3), True, {"padding": 1, "relu": True, "upsample_second": True}, 1
)
ONE_PIXEL = Fused((1, 1, 1, 1), None, (1, 1, 3, 3), True, {"padding": 1, "relu": True}, 3)
POINTWISE = Fused((2, 3, 4, 5), (2, 1, 4, 5), (2, 4, 1, 1), False, {"relu": True}, 5)


@given(case=fused_strategies.fused())
@example(case=TWO_INPUTS)
@example(case=ONE_PIXEL)
@example(case=POINTWISE)
def test_against_the_loops_of_its_parts(case):
    assume(not case.has_corner())
    check_op(
        *(lambda *t: case.call(ops, *t), case.literal, *case.arrays()),
        terms=case.terms,
        second_order=True,
        seed=case.seed,
    )


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("upsample", [None, False, True])
def test_it_is_what_the_operations_give_one_by_one(upsample, relu):
    rng = np.random.default_rng(4)

    def leaf(*shape):
        return minidl.tensor(rng.normal(size=shape), requires_grad=True)

    x, w, b = leaf(2, 18, 8, 12), leaf(20, 18 + (17 if upsample is not None else 0), 3, 3), leaf(20)
    second = None if upsample is None else leaf(2, 17, *((4, 6) if upsample else (8, 12)))
    leaves = [t for t in (x, second, w, b) if t is not None]
    g = rng.normal(size=(2, 20, 8, 12))
    results = []
    for fused in (True, False):
        for t in leaves:
            t.grad = None
        if fused:
            y = ops.fused_conv2d(x, w, b, padding=1, second=second, upsample_second=bool(upsample), relu=relu)
        else:
            s = ops.interpolate(second, scale_factor=2) if upsample else second
            y = ops.conv2d(x if s is None else ops.cat([x, s], 1), w, b, padding=1)
            y = ops.relu(y) if relu else y
        y.backward(g)
        results.append([y.numpy(), *(t.grad.numpy() for t in leaves)])
    for one, other in zip(*results, strict=True):
        bound = 64 * 16 * 12 * 9 * np.finfo(np.float64).eps * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=bound)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_reaches_only_the_windows_that_hold_it(value):
    x = np.zeros((1, 2, 13, 13), np.float32)
    x[0, 1, 6, 7] = value
    w = np.random.default_rng(0).uniform(0.5, 1, (3, 2, 3, 3)).astype(np.float32)
    y = ops.fused_conv2d(minidl.tensor(x), minidl.tensor(w), padding=1).numpy()
    reached = np.zeros((13, 13), bool)
    reached[5:8, 6:9] = True
    assert (np.isfinite(y) == ~reached).all()
    if not np.isnan(value):
        assert (y[:, :, reached] == value).all()
    cut = ops.fused_conv2d(minidl.tensor(x), minidl.tensor(w), padding=1, relu=True).numpy()
    np.testing.assert_array_equal(cut, np.maximum(y, 0))


def test_an_infinite_cotangent_reaches_only_its_window():
    x = minidl.tensor(np.ones((1, 1, 12, 12), np.float32), requires_grad=True)
    w = minidl.tensor(np.ones((1, 1, 3, 3), np.float32), requires_grad=True)
    g = np.ones((1, 1, 12, 12), np.float32)
    g[0, 0, 5, 5] = np.inf
    ops.fused_conv2d(x, w, padding=1, relu=True).backward(g)
    reached = np.zeros((12, 12), bool)
    reached[4:7, 4:7] = True
    assert (np.isfinite(x.grad.numpy()[0, 0]) == ~reached).all()
    assert (w.grad.numpy() == np.inf).all()


def test_an_empty_batch():
    x = minidl.tensor(np.zeros((0, 2, 4, 4)), requires_grad=True)
    w = minidl.tensor(np.ones((3, 2, 3, 3)), requires_grad=True)
    y = ops.fused_conv2d(x, w, padding=1, relu=True)
    y.sum().backward()
    assert y.shape == (0, 3, 4, 4) and x.grad.shape == x.shape and not w.grad.numpy().any()


X, W = (2, 4, 6, 6), (3, 6, 3, 3)
BAD = {
    "the second is as large, not half": ((2, 2, 6, 6), {"upsample_second": True}, "(2, 2, 6, 6)"),
    "the second is too small": ((2, 2, 3, 3), {}, "(2, 2, 3, 3)"),
    "another batch": ((1, 2, 6, 6), {}, "(1, 2, 6, 6)"),
    "channels that do not add up": ((2, 3, 6, 6), {}, "channels"),
    "nothing to upsample": (None, {"upsample_second": True}, "second"),
    "stride of zero": ((2, 2, 6, 6), {"stride": 0}, "stride"),
    "a filter larger than the picture": ((2, 2, 6, 6), {"dilation": 4}, "window"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    shape, options, named = BAD[name]
    second = None if shape is None else minidl.tensor(np.zeros(shape))
    with pytest.raises(ValueError, match=r"^fused_conv2d: ") as caught:
        ops.fused_conv2d(minidl.tensor(np.zeros(X)), minidl.tensor(np.zeros(W)), second=second, **options)
    assert named in str(caught.value)


def test_mixed_dtypes():
    x, w = minidl.tensor(np.zeros(X)), minidl.tensor(np.zeros(W))
    with pytest.raises(TypeError, match="float64, but second float32"):
        ops.fused_conv2d(x, w, second=minidl.tensor(np.zeros((2, 2, 6, 6), np.float32)))
