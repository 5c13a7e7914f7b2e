"""The compiled cat: NumPy's values, in the memory order of its inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import cat
from minidl.kernels.layout import conversions, is_channels_last
from oracles import strategies


@given(st.data())
def test_numpys_values(data):
    draw = data.draw
    ndim = draw(st.integers(1, 4))
    axis = draw(st.integers(0, ndim - 1))
    rest = [draw(st.integers(1, 5)) for _ in range(ndim)]
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64]))
    rng = np.random.default_rng(draw(strategies.seeds))
    arrays = []
    for extent in draw(st.lists(st.sampled_from([0, 1, 3, 16, 19]), min_size=1, max_size=5)):
        shape = (*rest[:axis], extent, *rest[axis + 1 :])
        x = (100 * rng.normal(size=shape)).astype(dtype)
        others = strategies.memory_orders(x).values() if dtype is not np.int64 else [x[::-1]]
        arrays.append(draw(st.sampled_from([x, *others])))
    expected = np.concatenate(arrays, axis=axis)
    actual = cat.forward(*arrays, axis=axis)
    assert actual.shape == expected.shape and actual.dtype == dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("axis", range(4))
def test_channels_last_stays_channels_last_and_nothing_is_converted(axis):
    x = strategies.channels_last(np.random.default_rng(0).normal(size=(2, 5, 3, 4)))
    before = conversions.count
    y = cat.forward(x, x, x, axis=axis)
    assert is_channels_last(y) and conversions.count == before
    np.testing.assert_array_equal(y, np.concatenate([x, x, x], axis=axis))


def test_an_array_of_another_order_is_brought_into_that_of_the_first_and_counted():
    x = strategies.channels_last(np.random.default_rng(0).normal(size=(2, 5, 3, 4)))
    before = conversions.count
    y = cat.forward(x, np.ascontiguousarray(x), axis=1)
    assert is_channels_last(y) and conversions.count == before + 1


def test_long_rows_are_cut_into_parts():
    """Joined along the batch there is one row: its parts are dealt out."""
    x, y = np.random.default_rng(0).normal(size=(2, 1, 70_001))
    np.testing.assert_array_equal(
        cat.forward(x, y[:, :1234], axis=1), np.concatenate([x, y[:, :1234]], axis=1)
    )


def test_different_dtypes_are_the_references_business():
    actual = cat.forward(np.ones(2, np.float32), np.ones(3), axis=0)
    assert actual.dtype == np.float64 and actual.shape == (5,)
