"""The compiled im2col and col2im: the reference's results to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import unfold
from minidl.kernels.reference import unfold as reference
from oracles import strategies


@st.composite
def cases(draw):
    pairs = [draw(st.tuples(st.integers(low, high), st.integers(low, high)))
             for low, high in ((1, 3), (1, 4), (1, 3), (0, 3), (1, 3))]  # fmt: skip
    kernel, out, stride, padding, dilation = pairs
    size = tuple(
        max(1, (o - 1) * s + (k - 1) * d + 1 - 2 * p)
        for k, o, s, p, d in zip(kernel, out, stride, padding, dilation, strict=True)
    )
    # with an extent raised to 1 there may be more windows than were drawn
    out = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *size)
    return shape, (kernel, out, stride, padding, dilation), draw(strategies.seeds)


@given(cases(), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_the_references_results_to_the_bit(case, dtype, last):
    shape, window, seed = case
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(dtype)
    x[rng.random(shape) < 0.1] = np.nan
    expected = reference.forward(x, *window)
    actual = unfold.forward(strategies.channels_last(x) if last else x, *window)
    assert actual.shape == expected.shape and actual.dtype == dtype
    np.testing.assert_array_equal(actual, expected)
    col = rng.normal(size=expected.shape).astype(dtype)
    actual = unfold.backward(col, shape, *window)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, reference.backward(col, shape, *window))


@pytest.mark.parametrize("readonly", [True, False])
def test_half_precision_and_read_only_arrays(readonly):
    for dtype in (np.float16, np.float32):
        x = np.arange(18, dtype=dtype).reshape(1, 2, 3, 3)
        x.setflags(write=not readonly)
        window = ((2, 2), (2, 2), (1, 1), (0, 0), (1, 1))
        col = unfold.forward(x, *window)
        np.testing.assert_array_equal(col, reference.forward(x, *window))
        np.testing.assert_array_equal(
            unfold.backward(col, x.shape, *window), reference.backward(col, x.shape, *window)
        )
