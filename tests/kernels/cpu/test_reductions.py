"""Compiled sums against exact ones: axes, memory orders, sizes; and additions on several threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.kernels import layout, threads
from minidl.kernels.cpu import arithmetic, reductions
from minidl.kernels.cpu.pointwise import PIECE
from minidl.kernels.reference import reductions as reference
from oracles import strategies


@st.composite
def cases(draw):
    """(shape, axes, order of the axes in memory)."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 17, 40]), min_size=1, max_size=4)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    return shape, tuple(axes), draw(st.permutations(range(len(shape))))


@given(cases(), st.sampled_from(["float32", "float64"]), strategies.seeds)
def test_any_axes_in_any_order(case, dtype, seed):
    shape, axes, order = case
    values = np.random.default_rng(seed).normal(size=[shape[axis] for axis in order]).astype(dtype)
    x = values.transpose(np.argsort(order))
    exact = x.astype(np.longdouble).sum(axis=axes, keepdims=True)
    actual = reductions.sum(x, axes)
    assert actual.dtype == dtype and actual.shape == exact.shape
    # Each number passes through 16 additions on its vector and log2 of its lanes more; the rest is float64.
    bound = 24 * np.finfo(dtype).eps * np.abs(x).sum(axis=axes, keepdims=True)
    if dtype == "float64":
        bound = bound + math.prod(shape[a] for a in axes) * np.finfo(dtype).eps * np.abs(x).max(initial=0)
    assert (np.abs(actual - exact) <= bound).all()


@pytest.mark.parametrize("axes", [(0, 2, 3), (2, 3), (0, 1, 2, 3), (1,)])
def test_long_float32_sums_are_exact_to_a_few_roundings_and_nothing_is_copied(axes):
    x = (1000 + np.random.default_rng(0).normal(size=(3, 130, 65, 5))).astype(np.float32)
    x = x.transpose(0, 3, 1, 2)  # (3, 5, 130, 65), channels-last
    layout.conversions.reset()
    actual, before, again = reductions.sum(x, axes), threads.get_num_threads(), []
    try:
        for count in (1, 3):
            threads.set_num_threads(count)
            again.append(reductions.sum(x, axes))
    finally:
        threads.set_num_threads(before)
    assert layout.conversions.count == 0
    np.testing.assert_allclose(actual, x.sum(axis=axes, keepdims=True, dtype=np.float64), rtol=20 * 2**-24)
    for other in again:
        np.testing.assert_array_equal(other, actual)


@pytest.mark.parametrize("order", ["sliced", "reversed"])
def test_views_with_gaps_and_other_dtypes_go_to_the_reference(order):
    x = strategies.memory_orders(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))[order]
    np.testing.assert_allclose(reductions.sum(x, (0, 2)), x.sum((0, 2), keepdims=True), rtol=1e-13)
    whole = np.arange(6).reshape(2, 3)
    assert reductions.sum(whole, (1,)).tolist() == [[3], [12]]
    assert reductions.sum(np.ones((0, 3)), (0,)).tolist() == [[0, 0, 0]]


def test_infinities_and_nan_reach_their_own_sums_only():
    x = np.ones((40, 3), np.float32)
    x[1, 0], x[2, 1], x[3, 1] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(reductions.sum(x, (0,)), reference.sum(x, (0,)))


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran", "sliced", "reversed"])
def test_adding_keeps_the_order_of_the_second(order):
    x, y = np.random.default_rng(0).normal(size=(2, 3, 17, 40, 31))
    assert x.size > PIECE
    moved = {"C": y, **strategies.memory_orders(y)}[order]
    total = arithmetic.add(x, moved)
    np.testing.assert_array_equal(total, x + y)
    if order in ("C", "channels_last", "fortran"):
        assert total.strides == moved.strides
    assert arithmetic.add(x, x[:, :1]).shape == x.shape  # broadcasting is the reference's
    assert arithmetic.add(x, x.astype(np.float32)).dtype == np.float64


def test_cotangents_that_meet_are_added_on_this_backend():
    x = minidl.Tensor(np.random.default_rng(0).normal(size=(2, 3, 64, 64)), requires_grad=True)
    with minidl.use("numba"):
        t = x * 1.0
        (t + t * 2.0).backward(np.ones(x.shape))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(x.shape, 3.0))
