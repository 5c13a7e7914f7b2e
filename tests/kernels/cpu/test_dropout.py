"""Compiled dropout against the reference kernel, whose numbers are NumPy's own Philox: the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import random
from minidl.kernels.cpu import dropout
from minidl.kernels.cpu.pointwise import PIECE
from minidl.kernels.reference import dropout as reference
from oracles import strategies

KEY = (123, 2**63 + 5)


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4, 1001, 2**40 + 3])
@pytest.mark.parametrize("shape", [(2 * PIECE + 3,), (2, 3, 65, 129)])
def test_masks_from_any_place_of_the_sequence(shape, first):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    actual = dropout.forward(x, shape, 2**31 + 7, 2.0, KEY, first)
    for a, b in zip(actual, reference.forward(x, shape, 2**31 + 7, 2.0, KEY, first), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("order", ["channels_last", "fortran", "sliced", "reversed"])
@pytest.mark.parametrize("threshold", [0, 2**30, 2**32])
def test_the_mask_belongs_to_elements_and_not_to_memory(order, threshold):
    x = np.random.default_rng(0).normal(size=(2, 5, 64, 65))
    x[0, 0, 0, :2] = np.nan, np.inf
    moved = strategies.memory_orders(x)[order]
    with np.errstate(invalid="ignore"):
        y, mask = dropout.forward(moved, x.shape, threshold, 1.5, KEY, 5)
        expected, expected_mask = reference.forward(x, x.shape, threshold, 1.5, KEY, 5)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(mask, expected_mask)
        np.testing.assert_array_equal(dropout.backward(x, mask), x * expected_mask)
    if order == "channels_last":
        assert y.strides == mask.strides == moved.strides


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("words", [0, 1, 2, 3, 4, 5, 9])
def test_claimed_words_are_gone_as_if_they_had_been_drawn(before, words):
    minidl.manual_seed(3)
    random.uint32(2 * before)
    (k0, k1), first = random.claim(words)
    state, after = random.get_state(), random.uint32(3).tolist()
    assert first == before
    minidl.manual_seed(3)
    random.uint32(2 * before)
    drawn = random.uint32(2 * words)
    assert random.get_state() == state and random.uint32(3).tolist() == after
    np.testing.assert_array_equal(reference.numbers((k0, k1), first, 2 * words), drawn)
