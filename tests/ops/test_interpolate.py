"""interpolate (E12): nearest, bilinear and bicubic resampling, all linear, each with its adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import resize_loops, strategies, window_strategies
from oracles.checks import check_adjoint, check_op

MODES = ["nearest", "bilinear", "bicubic"]


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_against_the_loops(mode, data):
    case = data.draw(window_strategies.resizings(mode))
    x = case.generic()
    # A bicubic weight is at most 1.2 in size, their sizes sum up to at most 1.4 an axis: terms cover it.
    check_op(
        lambda x: ops.interpolate(x, **case.options),
        lambda x: resize_loops.interpolate(x, case.size, case.scale, mode, case.align_corners),
        x,
        terms=169,
        second_order=True,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.interpolate(x, **case.options), x, terms=169, seed=case.seed)


@given(factor=st.integers(1, 4), shape=strategies.shapes(4, 4), seed=strategies.seeds)
def test_nearest_by_a_whole_factor_repeats_pixels_and_sums_them_back(factor, shape, seed):
    x = minidl.tensor(strategies.generic(np.random.default_rng(seed), shape), requires_grad=True)
    y = ops.interpolate(x, scale_factor=factor)
    np.testing.assert_array_equal(y.detach().numpy(), np.kron(x.numpy(), np.ones((1, 1, factor, factor))))
    g = np.random.default_rng(seed + 1).normal(size=y.shape)
    y.backward(g)
    blocks = g.reshape(*shape[:2], shape[2], factor, shape[3], factor)
    np.testing.assert_allclose(x.grad.numpy(), blocks.sum(axis=(3, 5)), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@given(data=st.data())
def test_constants_stay(mode, data):
    case = data.draw(window_strategies.resizings(mode))
    constant = ops.interpolate(minidl.tensor(np.full(case.shape, 3.5)), **case.options).numpy()
    np.testing.assert_allclose(constant, 3.5, rtol=1e-14)


@given(case=window_strategies.resizings("bilinear"))
def test_bilinear_stays_between_neighbours(case):
    assume(case.shape[0])
    x = case.generic()
    y = ops.interpolate(minidl.tensor(x), **case.options).numpy()
    assert y.min() >= x.min() - 1e-12 and y.max() <= x.max() + 1e-12


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@given(size=st.integers(2, 12), extent=st.integers(2, 6), seed=strategies.seeds)
def test_align_corners_keeps_the_corners(mode, size, extent, seed):
    x = np.random.default_rng(seed).normal(size=(1, 1, extent, extent))
    y = ops.interpolate(minidl.tensor(x), size=size, mode=mode, align_corners=True).numpy()
    ends = np.ix_([0, 0], [0, 0], [0, -1], [0, -1])
    np.testing.assert_allclose(y[ends], x[ends], rtol=0, atol=1e-13)


@given(size=st.integers(4, 12), slope=st.floats(-3, 3), seed=strategies.seeds)
def test_bicubic_reproduces_a_ramp_inside(size, slope, seed):
    """With corners aligned, where all four pixels exist: the kernel's weights have mean distance zero only
    for b = -1/2; for torch's -3/4 the error is (b + 1/2) times an odd polynomial of t, zero at t = 0, 1/2."""
    x = minidl.tensor(slope * np.arange(size, dtype=np.float64).reshape(1, 1, 1, size))
    y = ops.interpolate(x, size=(1, 2 * size - 1), mode="bicubic", align_corners=True).numpy()[0, 0, 0]
    expected = slope * np.arange(2 * size - 1) / 2
    np.testing.assert_allclose(y[2:-2], expected[2:-2], rtol=0, atol=1e-13 * size)


def test_a_hand_worked_row():
    # Doubling (0, 4): centres fall at -0.25 (clamped to 0), 0.25, 0.75, 1.25 (clamped to 1).
    x = np.array([[[[0.0, 4.0]]]])
    y = ops.interpolate(minidl.tensor(x), size=(1, 4), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(y.numpy()[0, 0], [[0, 1, 3, 4]], rtol=1e-15)
    corners = ops.interpolate(minidl.tensor(x), size=(1, 5), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(corners.numpy()[0, 0], [[0, 1, 2, 3, 4]], rtol=1e-15)


def test_a_hand_worked_cubic():
    # Halfway between pixels the weights are (b/8, 1/2 - b/8, 1/2 - b/8, b/8), b = -3/4: (-3, 19, 19, -3)/32.
    x = np.array([[[[32.0, 64.0, 128.0, 256.0]]]])
    y = ops.interpolate(minidl.tensor(x), size=(1, 7), mode="bicubic", align_corners=True).numpy()[0, 0, 0]
    np.testing.assert_allclose(y[3], -3 + 19 * 2 + 19 * 4 - 3 * 8, rtol=1e-14)
    # An edge overshoots: that is what b < 0 does.
    edge = np.array([[[[0.0, 0.0, 1.0, 1.0]]]])
    y = ops.interpolate(minidl.tensor(edge), size=(1, 16), mode="bicubic").numpy()
    assert y.min() < 0 and y.max() > 1


def test_a_mask_of_bytes_keeps_its_ids():
    mask = np.array([[[[0, 7], [255, 3]]]], np.uint8)
    y = ops.interpolate(minidl.tensor(mask), scale_factor=2)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y.numpy()[0, 0], np.kron(mask[0, 0], np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nearest_moves_what_is_not_finite_like_any_value(value):
    x = np.array([[[[1.0, value]]]])
    y = ops.interpolate(minidl.tensor(x), size=(1, 4)).numpy()
    np.testing.assert_array_equal(y[0, 0], [[1, 1, value, value]])


FLOATS = np.zeros((1, 1, 3, 3))
BAD = {
    "neither size nor scale_factor": (FLOATS, {}, "size"),
    "both size and scale_factor": (FLOATS, {"size": 4, "scale_factor": 2}, "scale_factor"),
    "unknown mode": (FLOATS, {"size": 4, "mode": "cubist"}, "cubist"),
    "align_corners with nearest": (FLOATS, {"size": 4, "align_corners": True}, "align_corners"),
    "output without pixels": (FLOATS, {"scale_factor": 0.1}, "(0, 0)"),
    "output without rows": (FLOATS, {"scale_factor": (0.1, 1)}, "(0, 3)"),
    "a scale of nan": (FLOATS, {"scale_factor": (1, np.nan)}, "nan"),
    "negative scale": (FLOATS, {"scale_factor": -1}, "(-3, -3)"),
    "infinite scale": (FLOATS, {"scale_factor": np.inf}, "inf"),
    "scale that is no number": (FLOATS, {"scale_factor": "2"}, "'2'"),
    "a pair with a scale that is no number": (FLOATS, {"scale_factor": (1, None)}, "None"),
    "one scale in a tuple": (FLOATS, {"scale_factor": (2,)}, "(2,)"),
    "three scales": (FLOATS, {"scale_factor": (1, 2, 3)}, "(1, 2, 3)"),
    "size of zero": (FLOATS, {"size": 0}, "(0, 0)"),
    "negative size": (FLOATS, {"size": -1}, "size"),
    "size in fractions": (FLOATS, {"size": (2, 2.5)}, "2.5"),
    "three sizes": (FLOATS, {"size": (1, 2, 3)}, "(1, 2, 3)"),
    "a vector": (np.zeros(3), {"size": 4}, "(3,)"),
    "no pixels": (np.zeros((1, 1, 0, 3)), {"size": 4}, "(1, 1, 0, 3)"),
    "no channels": (np.zeros((1, 0, 3, 3)), {"size": 4}, "(1, 0, 3, 3)"),
    "integers": (FLOATS.astype(int), {"size": 4}, "int64"),
    "bytes, bilinear": (FLOATS.astype(np.uint8), {"size": 4, "mode": "bilinear"}, "uint8"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    array, options, named = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        ops.interpolate(minidl.tensor(array), **options)
    assert str(caught.value).startswith("interpolate: ") and named in str(caught.value)
