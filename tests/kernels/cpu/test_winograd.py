"""Winograd's convolution against sums of shifted products, at sizes that fit neither tiles nor vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import threads
from minidl.kernels.cpu import winograd, winograd_weight
from minidl.kernels.layout import is_channels_last, to_channels_last

DTYPES = (np.float64, np.float32)
#: Of F(m x m, 3x3), in eps of the sum of absolute values: what transforms lose besides the sums themselves.
#: The transforms' entries multiply a value by at most ||Bᵀ||∞²·||Aᵀ||∞²·||G||∞² = 10²·19²·1 (m = 4),
#: 2²·3²·1.5² (2).
GROWTH = {4: 3793, 2: 81}


def draw_arrays(seed, n, c, k, h, w, dtype, second=0):
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(n, c, h, w)), rng.normal(size=(k, c + second, 3, 3))
    return x.astype(dtype), weight.astype(dtype), rng.normal(size=k).astype(dtype)


def shifted(x, padding):
    """The nine views of the padded picture that the taps see, in float64."""
    p = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    out = p.shape[2] - 2, p.shape[3] - 2
    return out, [p[:, :, u : u + out[0], v : v + out[1]] for u in range(3) for v in range(3)]


def forward(x, weight, bias, padding):
    _, views = shifted(x, padding)
    y = sum(np.tensordot(view, weight[:, :, i // 3, i % 3], (1, 1)) for i, view in enumerate(views))
    return y.transpose(0, 3, 1, 2) + bias.reshape(1, -1, 1, 1)


def gradients(g, x, weight, padding):
    """dx and dw by the nine views, each the adjoint of the forward."""
    out, views = shifted(x, padding)
    dw = np.stack([np.tensordot(g, v, ((0, 2, 3), (0, 2, 3))) for v in views], -1).reshape(weight.shape)
    dx = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]))
    for i in range(9):
        part = np.tensordot(g, weight[:, :, i // 3, i % 3], (1, 0)).transpose(0, 3, 1, 2)
        dx[:, :, i // 3 : i // 3 + out[0], i % 3 : i % 3 + out[1]] += part
    h, w = x.shape[2:]
    return dx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w], dw


def close(actual, expected, terms, m, dtype):
    eps = np.finfo(dtype).eps
    # Rounding of random signs adds up as the square root of the number of terms, the growth likewise.
    bound = 8 * eps * np.sqrt(terms * GROWTH[m]) * max(1.0, np.abs(expected).max())
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


sizes = st.tuples(
    st.integers(1, 3), st.integers(1, 37), st.integers(1, 37), st.integers(1, 13), st.integers(1, 13)
)


@pytest.mark.parametrize("m", [4, 2])
@given(size=sizes, padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), seed=st.integers(0, 99))
def test_all_three_directions(m, size, padding, seed):
    n, c, k, h, w = size
    h, w = max(h, 3 - 2 * padding[0]), max(w, 3 - 2 * padding[1])
    for dtype in DTYPES:
        x, weight, bias = draw_arrays(seed, n, c, k, h, w, dtype)
        expected = forward(x, weight, bias, padding)
        y = winograd.forward(to_channels_last(x), weight, bias, expected.shape[2:], padding, m)
        assert is_channels_last(y)
        close(y, expected, 9 * c, m, dtype)
        g = np.random.default_rng(seed + 1).normal(size=expected.shape).astype(dtype)
        g_last = to_channels_last(g)
        dx, dw = gradients(g, x, weight, padding)
        close(winograd.backward_data(g_last, weight, x.shape, padding, m), dx, 9 * k, m, dtype)
        actual_dw, db = winograd_weight.backward_weight(g_last, to_channels_last(x), weight.shape, padding, m)
        assert actual_dw.flags.c_contiguous
        close(actual_dw, dw, g[:, 0].size, m, dtype)
        close(db, g.sum((0, 2, 3), dtype=np.float64), g[:, 0].size, m, dtype)


@pytest.mark.parametrize("m", [4, 2])
@pytest.mark.parametrize("doubled", [False, True])
@given(size=sizes, more=st.integers(1, 35), seed=st.integers(0, 99))
def test_two_inputs_relu_and_doubling(m, doubled, size, more, seed):
    n, c, k, h, w = size
    h, w = h + h % 2, w + w % 2
    half = 2 if doubled else 1
    for dtype in DTYPES:
        x, weight, bias = draw_arrays(seed, n, c, k, h, w, dtype, more)
        second = np.random.default_rng(seed + 2).normal(size=(n, more, h // half, w // half)).astype(dtype)
        large = second.repeat(half, 2).repeat(half, 3)
        whole = np.concatenate((x, large), 1)
        expected = np.maximum(forward(whole, weight, bias, (1, 1)), 0)
        first, other = to_channels_last(x), to_channels_last(second)
        y = winograd.forward(first, weight, bias, (h, w), (1, 1), m, other, doubled, relu=True)
        close(y, expected, 9 * (c + more), m, dtype)
        g = np.random.default_rng(seed + 1).normal(size=y.shape).astype(dtype)
        dx, dw = gradients(np.where(y > 0, g, 0), whole, weight, (1, 1))
        g = to_channels_last(g)
        parts = winograd.backward_data(g, weight, whole.shape, (1, 1), m, y, c, doubled)
        close(parts[0], dx[:, :c], 9 * k, m, dtype)
        below = dx[:, c:].reshape(n, more, h // half, half, w // half, half).sum((3, 5))
        close(parts[1], below, 36 * k, m, dtype)
        actual, db = winograd_weight.backward_weight(g, first, weight.shape, (1, 1), m, y, other, doubled)
        close(actual, dw, g[:, 0].size, m, dtype)
        close(db, np.where(y > 0, g, 0).sum((0, 2, 3), dtype=np.float64), g[:, 0].size, m, dtype)


@pytest.mark.parametrize("m", [4, 2])
@pytest.mark.parametrize("doubled", [False, True])
def test_filters_in_pieces(m, doubled, monkeypatch):
    """Transformed filters that are too large to be there at once: the same bits, piece by piece."""
    n, c, more, k, h, w = 2, 45, 71, 70, 6, 10  # pieces of 32, 32 and 6 filters; of 45 and 71 channels
    half = 2 if doubled else 1
    x, weight, bias = draw_arrays(7, n, c, k, h, w, np.float32, more)
    second = np.random.default_rng(8).normal(size=(n, more, h // half, w // half)).astype(np.float32)
    whole = np.concatenate((x, second.repeat(half, 2).repeat(half, 3)), 1)
    first, other = to_channels_last(x), to_channels_last(second)
    g = to_channels_last(np.random.default_rng(9).normal(size=(n, k, h, w)).astype(np.float32))

    def all_directions():
        y = winograd.forward(first, weight, bias, (h, w), (1, 1), m, other, doubled, relu=True)
        dx, dsecond = winograd.backward_data(g, weight, whole.shape, (1, 1), m, y, c, doubled)
        return (
            y,
            dx,
            dsecond,
            *winograd_weight.backward_weight(g, first, weight.shape, (1, 1), m, y, other, doubled),
        )

    at_once = all_directions()
    made = []
    convert = winograd.transformed_weights
    monkeypatch.setattr(winograd, "transformed_weights", lambda *a: made.append(a[2][2:]) or convert(*a))
    monkeypatch.setattr(winograd, "PIECE_BYTES", 1)
    monkeypatch.setattr(winograd, "LEAST_FILTERS", 32)
    in_pieces = all_directions()
    assert made == [(32, 0), (32, 0), (6, 0), (32, 0), (13, 0), (0, 32), (0, 32), (0, 7)]
    for one, other_one in zip(at_once[:3], in_pieces[:3], strict=True):
        np.testing.assert_array_equal(one, other_one)
    y, _, _, dw, db = in_pieces
    passed = np.where(y > 0, g, 0)
    close(dw, gradients(passed, whole, weight, (1, 1))[1], g[:, 0].size, m, np.float32)
    close(db, passed.sum((0, 2, 3), dtype=np.float64), g[:, 0].size, m, np.float32)


@pytest.mark.parametrize("m", [4, 2])
@pytest.mark.parametrize("shape", [(1, 200, 40, 9, 9), (5, 20, 150, 30, 21)])
def test_many_blocks_chunks_and_shares(m, shape):
    """Channels that are cut into chunks, tiles that fill several blocks; any number of threads."""
    n, c, k, h, w = shape
    x, weight, bias = draw_arrays(3, n, c, k, h, w, np.float32)
    expected = forward(x, weight, bias, (1, 1))
    g = np.random.default_rng(5).normal(size=expected.shape).astype(np.float32)
    dx, dw = gradients(g, x, weight, (1, 1))
    before, results = threads.get_num_threads(), {}
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            y = winograd.forward(to_channels_last(x), weight, bias, (h, w), (1, 1), m)
            got_dx = winograd.backward_data(to_channels_last(g), weight, x.shape, (1, 1), m)
            got_dw, _ = winograd_weight.backward_weight(
                to_channels_last(g), to_channels_last(x), weight.shape, (1, 1), m
            )
            results[count] = y, got_dx
            close(y, expected, 9 * c, m, np.float32)
            close(got_dx, dx, 9 * k, m, np.float32)
            close(got_dw, dw, g[:, 0].size, m, np.float32)
    finally:
        threads.set_num_threads(before)
    for count in (2, 3):  # the cut into parts changes no bit of what is computed per tile
        for one, other in zip(results[1], results[count], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("m", [4, 2])
def test_what_is_not_finite_is_noticed(m, value):
    """Anywhere, in a tile's corner too: every number of a transformed tile reaches one of its outputs."""
    x, weight, bias = draw_arrays(0, 1, 2, 3, 9, 7, np.float32)
    g = np.random.default_rng(1).normal(size=(1, 3, 9, 7)).astype(np.float32)
    for i in range(9):
        for j in range(7):
            bad_x, bad_g = to_channels_last(x.copy()), to_channels_last(g.copy())
            bad_x[0, 1, i, j], bad_g[0, 2, i, j] = value, value
            good = to_channels_last(x)
            assert winograd.forward(bad_x, weight, bias, (9, 7), (1, 1), m) is None
            assert winograd.forward(bad_x, weight, bias, (9, 7), (1, 1), m, relu=True) is None
            assert winograd.backward_data(bad_g, weight, x.shape, (1, 1), m) is None
            assert winograd_weight.backward_weight(bad_g, good, weight.shape, (1, 1), m) is None
            assert (
                winograd_weight.backward_weight(to_channels_last(g), bad_x, weight.shape, (1, 1), m) is None
            )


def test_numbers_too_large_for_the_transforms_are_noticed():
    x = np.full((1, 1, 6, 6), 3e37, np.float32)
    weight = np.full((1, 1, 3, 3), 0.1, np.float32)
    assert winograd.forward(to_channels_last(x), weight, None, (6, 6), (1, 1), 4) is None


def test_a_cotangent_passes_where_the_output_is_nan():
    """As in torch: NaN is not at most 0."""
    x, weight, _ = draw_arrays(0, 1, 2, 2, 6, 6, np.float64)
    y = to_channels_last(np.zeros((1, 2, 6, 6)))
    y[0, 1, 3, 3] = np.nan
    g = np.random.default_rng(1).normal(size=(1, 2, 6, 6))
    dx, _ = gradients(np.where(np.isnan(y), g, 0), x, weight, (1, 1))
    close(winograd.backward_data(to_channels_last(g), weight, x.shape, (1, 1), 4, y), dx, 18, 4, np.float64)
