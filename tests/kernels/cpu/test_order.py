"""Copies into another order: NumPy's values, whatever the shape, the order and the slice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import layout
from minidl.kernels.cpu import order, streams
from minidl.kernels.cpu.arithmetic import add
from minidl.kernels.cpu.vectors import lanes_of
from oracles import strategies

W = lanes_of(4)


@pytest.fixture(autouse=True)
def small_arrays_too(monkeypatch):
    monkeypatch.setattr(order, "FEW", 1)


def numbers(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@given(st.data())
def test_numpys_copy(data):
    draw = data.draw
    ndim = draw(st.integers(1, 5))
    extents = st.sampled_from([1, 2, 3, 5, W - 1, W, W + 1, 2 * W + 3])
    shape = tuple(draw(extents if ndim < 4 else st.sampled_from([1, 2, 3, W + 1])) for _ in range(ndim))
    x = numbers(shape, draw(st.sampled_from([np.float32, np.float64, np.int32])), draw(strategies.seeds))
    x = x.transpose(draw(st.permutations(range(ndim))))
    cuts = st.sampled_from([slice(None), slice(None), slice(1, None), slice(None, -1), slice(None, None, 2)])
    x = x[tuple(draw(cuts) for _ in range(ndim))]
    y = order.copied(x)
    assert y.flags.c_contiguous and y.dtype == x.dtype and not np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("far", [1, 2**40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 3 * W, 37, 41), (0, 2, 3, 1)),
        ((2, 37, 41, 3 * W), (0, 3, 1, 2)),
        ((2, 5, 70, 90), (0, 2, 3, 1)),
        ((64, 10, 200), (2, 1, 0)),
        ((64, 8, 10, 40), (3, 1, 2, 0)),
        ((1, 300, 500), (0, 2, 1)),
    ],
)
def test_both_ways_of_storing(monkeypatch, shape, axes, dtype, far):
    """Large enough for memory from the pool, which begins with whole vectors."""
    monkeypatch.setattr(streams, "FAR", far)
    x = numbers(shape, dtype).transpose(axes)
    np.testing.assert_array_equal(order.copied(x), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[::-1].T,
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x.astype(">f4").T,
        lambda x: x[:0].T,
        lambda x: x[::2, ::2],
        lambda x: x.reshape(2, 2, 2, 2, 4, -1).transpose(5, 3, 1, 4, 2, 0),
    ],
    ids=["backwards", "repeated", "other bytes", "empty", "no neighbours", "six axes"],
)
def test_what_the_kernels_do_not_know(make):
    x = make(numbers((64, 64)))
    np.testing.assert_array_equal(order.copied(x), x)


def test_read_only():
    x = numbers((40, 40))
    x.flags.writeable = False
    y = order.copied(x.T)
    np.testing.assert_array_equal(y, x.T)
    assert y.flags.writeable


def test_nan_and_signs_of_zero_are_copied_bit_by_bit():
    x = np.array([[np.nan, -0.0, np.inf], [0.0, -np.nan, -np.inf]] * W, np.float32)
    assert order.copied(x.T).tobytes() == x.T.copy().tobytes()


def test_rows_of_a_slice():
    x = numbers((2, 3, 4, 8))
    flat, n, step = order.rows_of(x[..., 2:5])
    assert (n, step) == (3, 8) and np.shares_memory(flat, x) and flat[0] == x[0, 0, 0, 2]
    assert flat.size == x.size - 8 + 3
    assert order.rows_of(x)[1:] == (x.size, x.size)
    assert order.rows_of(x[:, :, :2])[1:] == (16, 32)
    for other in (x[:, :2, :, 1:3], x.transpose(0, 2, 1, 3), x[..., ::2], x[:0]):
        assert order.rows_of(other) is None


def test_conversions_go_through_it(monkeypatch):
    seen = []
    monkeypatch.setattr(layout, "_copier", lambda array: seen.append(array.shape) or array.copy(order="C"))
    layout.to_channels_last(numbers((2, 3, 4, 5)))
    layout.to_c_order(numbers((3, 4)).T)
    assert seen == [(2, 4, 5, 3), (4, 3)]


@pytest.mark.parametrize("far", [1, 2**40])
@pytest.mark.parametrize("channels", [(0, 16), (16, 48), (5, 12)])
def test_a_sum_reads_a_slice_as_it_lies(monkeypatch, channels, far):
    monkeypatch.setattr(streams, "FAR", far)
    whole = strategies.channels_last(numbers((2, 48, 70, 80)))
    piece = whole[:, slice(*channels)]
    other = strategies.channels_last(numbers(piece.shape, seed=1))
    layout.conversions.reset()
    for z in (add(piece, other), add(other, piece)):
        assert layout.is_channels_last(z)
        np.testing.assert_array_equal(z, np.add(piece, other))
    assert layout.conversions.count == 0
    np.testing.assert_array_equal(add(piece, piece), np.add(piece, piece))
