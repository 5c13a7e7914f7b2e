"""The compiled average pooling, adaptive pooling and resizing: the reference's results, adjoints, edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import adaptive_avg_pool2d, avg_pool2d, interpolate, pixels
from minidl.kernels.layout import conversions, is_channels_last
from minidl.kernels.reference import adaptive_avg_pool2d as reference_adaptive
from minidl.kernels.reference import avg_pool2d as reference_avg
from minidl.kernels.reference import interpolate as reference_interpolate
from minidl.ops._shapes import adaptive_windows
from minidl.ops.interpolate import _cubic, _linear, _nearest
from oracles import strategies

DTYPES = st.sampled_from([np.float32, np.float64])
CHANNELS = st.sampled_from([1, 3, 8, 16, 17, 40])
ORDERS = st.sampled_from(["C", "sliced", "reversed", "fortran", "channels_last"])


@st.composite
def images(draw, size=None):
    """An image in some memory order, and a generator for its cotangent."""
    rng = np.random.default_rng(draw(strategies.seeds))
    size = size or (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    x = rng.normal(size=(draw(st.integers(1, 2)), draw(CHANNELS), *size)).astype(draw(DTYPES))
    return ordered(draw, x), rng


def ordered(draw, x):
    order = draw(ORDERS)
    return x if order == "C" else strategies.memory_orders(x)[order]


def assert_close(actual, expected, terms):
    """Equal but for the order of a sum of so many terms, each about 1; infinities and NaN exactly."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype and is_channels_last(actual)
    bound = 4 * terms * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=bound, atol=bound)


# --- average pooling ---


@given(st.data())
def test_avg_pool2d_is_the_references_to_the_bit(data):
    draw = data.draw
    kernel, stride = (tuple(draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))) for _ in range(2))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    out = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    size = tuple(
        max(1, (o - 1) * s + k - 2 * p + draw(st.integers(0, 2)))
        for o, s, k, p in zip(out, stride, kernel, padding, strict=True)
    )
    x, rng = draw(images(size))
    g = ordered(draw, rng.normal(size=(*x.shape[:2], *out)).astype(x.dtype))
    divisor = draw(st.sampled_from([1, 3, 4, 7, -2, rng.integers(1, 9, out)]))
    arguments = (kernel, out, stride, padding, divisor)
    for module, forward in ((avg_pool2d, True), (avg_pool2d, False)):
        if forward:
            actual = module.forward(x, *arguments)
            expected = reference_avg.forward(x, *arguments)
        else:
            actual = module.backward(g, x.shape, kernel, stride, padding, divisor)
            expected = reference_avg.backward(g, x.shape, kernel, stride, padding, divisor)
        assert actual.dtype == expected.dtype and is_channels_last(actual)
        np.testing.assert_array_equal(actual, expected)


def test_avg_pool2d_of_infinities_and_nan():
    x = np.array([np.inf, 1, -np.inf, 2, np.nan, 3, np.inf, -np.inf]).reshape(1, 1, 1, 8)
    arguments = ((1, 2), (1, 4), (1, 2), (0, 0), 2)
    np.testing.assert_array_equal(
        avg_pool2d.forward(x, *arguments)[0, 0, 0], [np.inf, -np.inf, np.nan, np.nan]
    )


# --- adaptive pooling ---


@given(images(), st.tuples(st.integers(0, 10), st.integers(0, 10)))
def test_adaptive_avg_pool2d(case, out):
    x, rng = case
    windows = [tuple(adaptive_windows(n, o)) for n, o in zip(x.shape[2:], out, strict=True)]
    g = rng.normal(size=(*x.shape[:2], *out)).astype(x.dtype)
    assert_close(adaptive_avg_pool2d.forward(x, *windows), reference_adaptive.forward(x, *windows), 81)
    actual = adaptive_avg_pool2d.backward(g, x.shape, *windows)
    assert_close(actual, reference_adaptive.backward(g, x.shape, *windows), 100)


def test_the_mean_of_a_large_image_loses_nothing():
    """A sum of 90,000 numbers near 1000, one after the other in float32, would be off in the fourth digit."""
    x = 1000 + np.random.default_rng(0).random((1, 5, 300, 300), np.float32)
    y = adaptive_avg_pool2d.forward(x, ((0, 300),), ((0, 300),))
    exact = x.mean(axis=(2, 3), dtype=np.float64)
    np.testing.assert_allclose(y[:, :, 0, 0], exact, rtol=2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize(
    ("values", "mean"),
    [([np.inf, 1], np.inf), ([-np.inf, 1], -np.inf), ([np.inf, -np.inf], np.nan), ([np.nan, 1], np.nan)],
)
def test_adaptive_avg_pool2d_of_infinities_and_nan(values, mean):
    for x in (np.reshape(values, (1, 1, 1, 2)), np.reshape(values, (1, 1, 2, 1))):
        vertical, horizontal = (((0, n),) for n in x.shape[2:])
        np.testing.assert_array_equal(adaptive_avg_pool2d.forward(x, vertical, horizontal), [[[[mean]]]])


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_no_images_or_channels(shape):
    y = adaptive_avg_pool2d.forward(np.zeros(shape), ((0, 4),), ((0, 2), (2, 4)))
    assert y.shape == (*shape[:2], 1, 2)
    assert adaptive_avg_pool2d.backward(y, shape, ((0, 4),), ((0, 2), (2, 4))).shape == shape


# --- resizing ---


@given(images(), st.sampled_from([_nearest, _linear, _cubic]), st.booleans(), st.data())
def test_interpolate(case, mode, corners, data):
    x, rng = case
    options = () if mode is _nearest else (corners,)
    out = [data.draw(st.sampled_from([1, 2, n, n + 1, 2 * n, 3 * n])) for n in x.shape[2:]]
    taps = [mode(n, o, None, *options) for n, o in zip(x.shape[2:], out, strict=True)]
    g = ordered(data.draw, rng.normal(size=(*x.shape[:2], *out)).astype(x.dtype))
    assert_close(interpolate.forward(x, *taps), reference_interpolate.forward(x, *taps), 16)
    actual = interpolate.backward(g, x.shape, *taps)
    assert_close(actual, reference_interpolate.backward(g, x.shape, *taps), 16 * max(g.shape[2:]))


def test_nearest_copies_bits_and_its_adjoint_sums_squares():
    x = np.array([[[[np.nan, np.inf], [-0.0, 1.0]]]])
    taps = _nearest(2, 4, 2.0)
    y = interpolate.forward(x, taps, taps)
    np.testing.assert_array_equal(y, x.repeat(2, axis=2).repeat(2, axis=3))
    assert np.signbit(y[0, 0, 2:, :2]).all()
    g = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(interpolate.backward(g, x.shape, taps, taps)[0, 0], [[10, 18], [42, 50]])


def test_interpolate_of_pictures_in_bytes():
    x = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    taps = _nearest(2, 3, None)
    np.testing.assert_array_equal(
        interpolate.forward(x, taps, taps), reference_interpolate.forward(x, taps, taps)
    )


def test_channels_last_images_are_not_converted():
    x = strategies.channels_last(np.random.default_rng(0).normal(size=(2, 5, 4, 4)))
    taps, before = _linear(4, 8, 2.0, False), conversions.count
    interpolate.backward(interpolate.forward(x, taps, taps), x.shape, taps, taps)
    arguments = ((2, 2), (2, 2), (0, 0), 4)
    avg_pool2d.backward(avg_pool2d.forward(x, (2, 2), (2, 2), *arguments[1:]), x.shape, *arguments)
    assert conversions.count == before


# --- sparse matrices ---


def as_dense(matrix, columns):
    dense = np.zeros((matrix.rows, columns))
    for i in range(matrix.rows):
        for entry in range(matrix.start[i], matrix.start[i + 1]):
            dense[i, matrix.column[entry]] += matrix.weight[entry]
    return dense


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6))
def test_matrices_of_windows_and_their_transposes(ends):
    first, last = (np.array(column) for column in zip(*ends, strict=True))
    matrix = pixels.windows(first, last)
    expected = np.array([[a <= k < b for k in range(7)] for a, b in ends], float)
    np.testing.assert_array_equal(as_dense(matrix, 7), expected)
    turned = pixels.transpose(matrix, 7)
    np.testing.assert_array_equal(as_dense(turned, len(ends)), expected.T)
    for i in range(7):  # readers in ascending order
        assert (np.diff(turned.column[turned.start[i] : turned.start[i + 1]]) > 0).all()
