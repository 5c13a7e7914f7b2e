"""The compiled max pooling: the reference's results to the bit, in every memory order; gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.kernels.cpu import max_pool2d as compiled
from minidl.kernels.layout import conversions, is_channels_last
from minidl.kernels.reference import max_pool2d as reference
from oracles import pool_loops, strategies, window_strategies
from oracles.pool_loops import starts


@st.composite
def cases(draw):
    """(x, (kernel, out, stride, padding, dilation), cotangent); ties, NaN, infinities in x; extents from one,
    windows over the end."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    size, out = [], []
    for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True):
        allowed = [(n, starts(n, k, s, p, d, ceil)) for n in range(1, 20)]
        n, begins = draw(st.sampled_from([row for row in allowed if holds_pixels(*row, k, d)][:9]))
        size.append(n)
        out.append(len(begins))
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 8, 16, 17, 40])), *size)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(strategies.seeds))
    x = rng.normal(size=shape)
    if draw(st.booleans()):
        x = np.round(x)  # ties, and zeros of both signs
    if draw(st.booleans()):
        x[rng.random(shape) < 0.2] = np.nan
    for infinity in draw(st.lists(st.sampled_from([np.inf, -np.inf]))):
        x[rng.random(shape) < 0.4] = infinity
    g = rng.normal(size=(*shape[:2], *out))
    return x.astype(dtype), (kernel, tuple(out), stride, padding, dilation), g.astype(dtype)


def holds_pixels(extent, begins, kernel, dilation):
    """Whether there are windows, and each of them has a tap on a pixel."""
    return bool(begins) and all(any(0 <= b + u * dilation < extent for u in range(kernel)) for b in begins)


def check(x, window, g):
    for module_results in zip(compiled.forward(x, *window), reference.forward(x, *window), strict=True):
        assert_same(*module_results)
    _, tap = reference.forward(x, *window)
    kernel, _, *others = window
    arguments = (g, tap, x.shape, kernel, *others)
    assert_same(compiled.backward(*arguments), reference.backward(*arguments))


def assert_same(actual, expected):
    """Shape, dtype and every bit, the sign of a zero included."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype and is_channels_last(actual)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))


@given(cases())
def test_the_references_results_to_the_bit(case):
    check(*case)


@given(cases(), st.sampled_from(["sliced", "reversed", "fortran", "channels_last"]))
def test_in_every_memory_order(case, order):
    x, window, g = case
    check(strategies.memory_orders(x)[order], window, strategies.memory_orders(g)[order])


def test_minus_infinity_beside_the_padding():
    """Padding never wins, not even here: the first tap inside the image does, as in torch."""
    x = np.full((1, 1, 2, 2), -np.inf)
    y, tap = compiled.forward(x, (2, 2), (3, 3), (1, 1), (1, 1), (1, 1))
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(tap[0, 0], [[3, 2, 2], [1, 0, 0], [1, 0, 0]])
    dx = compiled.backward(np.arange(9.0).reshape(1, 1, 3, 3), tap, x.shape, (2, 2), (1, 1), (1, 1), (1, 1))
    np.testing.assert_array_equal(dx[0, 0], [[0 + 1 + 3 + 4, 2 + 5], [6 + 7, 8]])


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_nan_wins_wherever_it_is(order):
    x = np.array([[[[np.nan, 9.0], [np.inf, 1.0]]]])
    x = x if order == "first" else x[:, :, ::-1, ::-1]
    y, tap = compiled.forward(x, (2, 2), (1, 1), (2, 2), (0, 0), (1, 1))
    assert np.isnan(y.item()) and tap.item() == (0 if order == "first" else 3)


def test_windows_of_more_than_256_taps():
    rng = np.random.default_rng(0)
    x, g = (
        rng.normal(size=(1, 2, 20, 33)).astype(np.float32),
        rng.normal(size=(1, 2, 3, 4)).astype(np.float32),
    )
    window = ((17, 17), (3, 4), (2, 7), (2, 3), (1, 1))
    check(x, window, g)
    assert compiled.forward(x, *window)[1].dtype == np.int32


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float16])
def test_what_is_not_compiled_goes_to_the_reference(dtype):
    x = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(dtype)
    window = ((2, 2), (2, 2), (2, 2), (0, 0), (1, 1))
    for actual, expected in zip(compiled.forward(x, *window), reference.forward(x, *window), strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype


@pytest.mark.parametrize(
    ("size", "kernel"), [((5, 7), (2, 2)), ((4, 4), (2, 2)), ((7, 5), (3, 2)), ((2, 9), (1, 4))]
)
@pytest.mark.parametrize("channels", [1, 16, 33])
def test_windows_side_by_side_and_what_they_leave_over(size, kernel, channels):
    """Their backward has a way of its own: tiles. The pixels behind the last window get 0."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(2, channels, *size))).astype(np.float32)
    out = tuple(n // k for n, k in zip(size, kernel, strict=True))
    check(x, (kernel, out, kernel, (0, 0), (1, 1)), rng.normal(size=(2, channels, *out)).astype(np.float32))


def test_a_window_side_by_side_with_others_that_hangs_over_the_end():
    """Rounded up, the last tile is not whole."""
    rng = np.random.default_rng(0)
    for size in ((5, 4), (4, 5), (5, 5)):
        out = tuple(-(-n // 2) for n in size)
        check(
            rng.normal(size=(2, 3, *size)),
            ((2, 2), out, (2, 2), (0, 0), (1, 1)),
            rng.normal(size=(2, 3, *out)),
        )


def test_read_only_arrays():
    x, g = np.random.default_rng(0).normal(size=(1, 2, 4, 4)), np.ones((1, 2, 2, 2))
    x.setflags(write=False)
    g.setflags(write=False)
    check(x, ((2, 2), (2, 2), (2, 2), (0, 0), (1, 1)), g)


def test_an_empty_batch():
    y, tap = compiled.forward(np.zeros((0, 3, 4, 4), np.float32), (2, 2), (2, 2), (2, 2), (0, 0), (1, 1))
    assert y.shape == tap.shape == (0, 3, 2, 2)
    assert compiled.backward(y, tap, (0, 3, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)).shape == (0, 3, 4, 4)


def test_channels_last_images_are_not_converted():
    x = strategies.channels_last(np.random.default_rng(0).normal(size=(2, 3, 4, 6)))
    before = conversions.count
    y, tap = compiled.forward(x, (2, 2), (2, 3), (2, 2), (0, 0), (1, 1))
    compiled.backward(y, tap, x.shape, (2, 2), (2, 2), (0, 0), (1, 1))
    assert conversions.count == before


@given(window_strategies.max_pools())
def test_the_operation_against_the_loops(case):
    x = case.separated()
    with minidl.use("numba"):
        y = ops.max_pool2d(minidl.tensor(x), **case.options)
        assert minidl.gradcheck(
            lambda t: ops.max_pool2d(t, **case.options), minidl.tensor(x, requires_grad=True)
        )
    np.testing.assert_array_equal(y.numpy(), pool_loops.max_pool2d(x, **case.options))
