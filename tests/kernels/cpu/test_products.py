"""Tiles of products out of registers, beside einsum: any strides, segments, depths, sizes of the tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import compiled, products
from minidl.kernels.cpu.products import tile_product
from minidl.kernels.cpu.vectors import REGISTERS, lanes
from oracles import strategies

_whole, _single, _narrow = (
    tile_product(products.ROWS, products.VECTORS),
    tile_product(1, 1),
    tile_product(3, 1),
)


@compiled
def whole(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate):
    _whole(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate)


@compiled
def single(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate):
    _single(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate)


@compiled
def narrow(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate):
    _narrow(a, at, ar, as_, ad, b, bt, bd, bv, c, ct, cr, cv, segments, depth, accumulate)


TILES = {(products.ROWS, products.VECTORS): whole, (1, 1): single, (3, 1): narrow}


@given(
    data=st.data(),
    dtype=st.sampled_from([np.float32, np.float64]),
    tile=st.sampled_from(list(TILES)),
    accumulate=st.booleans(),
)
def test_a_tile_is_the_sum_over_segments_and_depth(data, dtype, tile, accumulate):
    rows, width = tile
    L = lanes(np.zeros(1, dtype))
    segments, depth = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 9))
    places = st.integers(0, 5)
    strides = st.integers(-4, 9)
    row, segment, step = (data.draw(strides) for _ in range(3))
    reach = [(n - 1) * s for n, s in ((rows, row), (segments, segment), (depth, step)) if n]
    a_at = data.draw(places) - sum(min(0, r) for r in reach)
    rng = np.random.default_rng(data.draw(strategies.seeds))
    a = rng.normal(size=a_at + sum(max(0, r) for r in reach) + 1).astype(dtype)
    # B's vectors may overlap (a picture's rows do); C's may not.
    b_at, b_depth, b_vector = (
        data.draw(places),
        data.draw(st.integers(0, 2 * L)),
        data.draw(st.integers(0, 3 * L)),
    )
    b = rng.normal(size=b_at + segments * depth * b_depth + width * b_vector + L).astype(dtype)
    c_vector, c_at = L + data.draw(places), data.draw(places)
    c_row = width * c_vector + data.draw(places)
    c = rng.normal(size=c_at + rows * c_row + L).astype(dtype)

    r, s, d, v, lane = np.ogrid[:rows, :segments, :depth, :width, :L]
    numbers = a[a_at + r * row + s * segment + d * step].reshape(rows, segments, depth)
    vectors = b[b_at + (s * depth + d) * b_depth + v * b_vector + lane].reshape(segments, depth, width, L)
    expected, terms = c.astype(np.float64), np.abs(c).max() + np.zeros_like(c)
    sums = np.einsum("rsd,sdvl->rvl", numbers.astype(np.float64), vectors)
    sizes = np.einsum("rsd,sdvl->rvl", np.abs(numbers).astype(np.float64), np.abs(vectors))
    for r in range(rows):
        for v in range(width):
            place = slice(c_at + r * c_row + v * c_vector, c_at + r * c_row + v * c_vector + L)
            expected[place] = sums[r, v] + (expected[place] if accumulate else 0)
            terms[place] += sizes[r, v].max(initial=0)

    left, right = (a, a_at, row, segment, step), (b, b_at, b_depth, b_vector)
    TILES[tile](*left, *right, c, c_at, c_row, c_vector, segments, depth, accumulate)
    # Each of the segments·depth fused steps rounds once: below n ε Σ|terms|.
    bound = (segments * depth + 1) * np.finfo(dtype).eps * terms
    assert (np.abs(c - expected) <= bound).all()


def test_what_lies_between_the_vectors_of_c_stays():
    L = lanes(np.zeros(1))
    c = np.full(3 * (L + 3) + 2, 5.0)
    a, b = np.arange(3.0), np.ones(L)
    narrow(a, 0, 1, 0, 0, b, 0, 0, 0, c, 1, L + 3, 0, 1, 1, False)
    expected = np.full_like(c, 5.0)
    for r in range(3):
        expected[1 + r * (L + 3) :][:L] = r
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_reaches_its_row_only(value):
    L = lanes(np.zeros(1))
    a, b, c = np.array([1.0, value, 2.0]), np.ones(L), np.zeros(3 * L)
    narrow(a, 0, 1, 0, 0, b, 0, 0, 0, c, 0, L, 0, 1, 1, False)
    np.testing.assert_array_equal(c.reshape(3, L)[:, 0], a)


def test_the_tile_of_sums_fits_the_registers():
    """rows·vectors sums, the vectors of one step of B, and one spread number of A."""
    assert products.ROWS * products.VECTORS + products.VECTORS + 1 <= REGISTERS
