"""Compiled normalisation against the reference kernels in float64: groups, memory orders, sizes, dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import layout, threads
from minidl.kernels.cpu import normalize
from minidl.kernels.reference import normalize as reference
from oracles import strategies

EPS = 1e-5


def to_pixels(x):
    """(N, C, M) by shape, channels-last in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)


@st.composite
def cases(draw):
    """(shape, groups): None for batch normalisation; at least eight values in a group, so that it is well
    conditioned."""
    n, m = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 3, 8, 65, 130]))
    c = draw(st.sampled_from([1, 2, 3, 5, 12, 16, 17, 48, 130]))
    groups = draw(st.sampled_from([None, *(g for g in (1, 2, 3, c) if c % g == 0)]))
    values = n * m if groups is None else c // groups * m
    return ((n if values > 7 else n + 8), c if values > 7 or groups is None else 8 * c, m), groups


def close(actual, expected, dtype, factor):
    for a, b in zip(actual, expected, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.dtype == dtype and a.shape == b.shape
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=factor * np.finfo(dtype).eps * scale)


@given(cases(), st.sampled_from(["float32", "float64"]), st.booleans(), st.booleans(), strategies.seeds)
def test_forward_and_backward_are_the_references(case, dtype, pixels, affine, seed):
    (shape, groups), rng = case, np.random.default_rng(seed)
    x, g = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.normal(size=shape[1]).astype(dtype) if affine else None for _ in range(2))
    if pixels:
        x, g = to_pixels(x), to_pixels(g)
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias, g)]
    actual = normalize.forward(x, weight, bias, groups, EPS)
    expected = reference.forward(*wide[:3], groups, EPS)
    close(actual, expected, dtype, 64)
    needed = (True, affine, affine)
    # dβ and dγ sum up to N·M values of size 1; relative to their sizes that is within the same factor.
    close(
        normalize.backward(g, x, weight, actual[1], actual[3], groups, needed),
        reference.backward(wide[3], wide[0], wide[1], expected[1], expected[3], groups, needed),
        dtype,
        512,
    )
    if groups is None:
        close(
            [normalize.forward_given(x, weight, bias, actual[1], actual[3])],
            [reference.forward_given(*wide[:3], expected[1], expected[3])],
            dtype,
            64,
        )
        close(
            normalize.backward_given(g, x, weight, actual[1], actual[3], needed),
            reference.backward_given(wide[3], wide[0], wide[1], expected[1], expected[3], needed),
            dtype,
            512,
        )


@pytest.mark.parametrize("needed", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize(("shape", "groups"), [((2, 3, 8), None), ((2, 6, 8), 2), ((3, 9, 1), 1)])
def test_only_what_is_needed(shape, groups, needed):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, *shape))
    weight = rng.normal(size=shape[1])
    _, mean, _, inv_std = reference.forward(x, weight, None, groups, EPS)
    actual = normalize.backward(g, x, weight, mean, inv_std, groups, needed)
    assert [a is not None for a in actual] == list(needed)
    close(actual, reference.backward(g, x, weight, mean, inv_std, groups, needed), np.float64, 512)


def test_channels_last_is_not_copied_and_comes_back_so():
    x = to_pixels(np.random.default_rng(0).normal(size=(2, 5, 12)))
    layout.conversions.reset()
    for groups in (None, 1, 5):
        y, mean, _, inv_std = normalize.forward(x, None, None, groups, EPS)
        dx, _, _ = normalize.backward(y, x, None, mean, inv_std, groups, (True, False, False))
        assert y.strides == dx.strides == x.strides
    assert layout.conversions.count == 0
    normalize.forward(np.ascontiguousarray(x), None, None, 1, EPS)
    assert layout.conversions.count == 1


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (2, 0, 4), (0, 3, 1)])
@pytest.mark.parametrize("groups", [None, 1])
def test_nothing_to_normalise(shape, groups):
    x = np.zeros(shape)
    y, mean, var, inv_std = normalize.forward(x, None, None, groups, EPS)
    assert y.shape == shape and mean.shape == var.shape == inv_std.shape
    dx, dweight, dbias = normalize.backward(x, x, None, mean, inv_std, groups, (True, True, True))
    assert dx.shape == shape and not dweight.any() and not dbias.any()


@pytest.mark.parametrize(("shape", "groups"), [((8, 6, 5000), None), ((8, 6, 5000), 3), ((9000, 12, 1), 1)])
def test_one_outlier_and_a_far_mean_cost_no_digits(shape, groups):
    """E[x²] - E[x]² would lose all of them; so would sums shifted by a first value that is the outlier."""
    x = (1000 + np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    x[0, 0, 0] = 5000
    _, mean, var, _ = normalize.forward(to_pixels(x), None, None, groups, EPS)
    _, exact_mean, exact_var, _ = reference.forward(x.astype(np.float64), None, None, groups, EPS)
    np.testing.assert_allclose(mean, exact_mean, rtol=2**-23)
    np.testing.assert_allclose(var, exact_var, rtol=32 * 2**-23)


@pytest.mark.parametrize(("shape", "groups"), [((4, 48, 3000), None), ((4, 48, 3000), 3), ((3000, 48, 1), 1)])
def test_the_bits_do_not_depend_on_the_number_of_threads(shape, groups):
    x = to_pixels(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            y, mean, var, inv_std = normalize.forward(x, None, None, groups, EPS)
            gradients = normalize.backward(y * y, x, None, mean, inv_std, groups, (True, True, True))
            results.append((y, mean, var, *gradients))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("shape", "groups"), [((2, 3, 70), None), ((2, 3, 70), 3), ((5, 33, 1), 1)])
def test_what_is_not_finite_spoils_its_own_group_and_no_other(shape, groups):
    x = np.random.default_rng(0).normal(size=shape)
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = x.copy()
        spoilt[1, 1, -1] = bad
        with np.errstate(all="ignore"):
            actual = normalize.forward(spoilt, None, None, groups, EPS)[0]
            expected = reference.forward(spoilt, None, None, groups, EPS)[0]
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
        assert np.isnan(actual).any() and not np.isnan(actual).all()
