"""Matrix products that are cut into pieces: the same numbers, every piece of a fair size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.kernels import products, threads

extents = st.integers(1, 9)


@st.composite
def factors(draw):
    """Two factors whose leading extents broadcast; whole numbers, so that sums are exact in any order."""
    m, k, n = draw(extents), draw(extents), draw(extents)
    lead = draw(st.lists(extents, max_size=2))
    shapes = []
    for _ in range(2):
        own = [draw(st.sampled_from([extent, 1])) for extent in lead]
        shapes.append(own[draw(st.integers(0, len(own))) :])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, y = rng.integers(-9, 9, (*shapes[0], m, k)), rng.integers(-9, 9, (*shapes[1], k, n))
    if draw(st.booleans()):
        x = np.ascontiguousarray(x.mT).mT
    return x.astype(np.float32), y.astype(np.float32)


@given(pair=factors(), workers=st.integers(1, 5), given_out=st.booleans())
def test_pieces_give_the_products_of_the_whole(pair, workers, given_out):
    x, y = pair
    expected = (x.astype(np.int64)[..., :, :, None] * y.astype(np.int64)[..., None, :, :]).sum(-2)
    least = products.LEAST_PRODUCTS, products.LEAST_ROWS
    products.LEAST_PRODUCTS = products.LEAST_ROWS = 1
    try:
        minidl.set_num_threads(workers)
        out = np.full(expected.shape, np.nan, np.float32) if given_out else None
        result = products.matmul(x, y, out)
    finally:
        products.LEAST_PRODUCTS, products.LEAST_ROWS = least
    assert out is None or result is out
    assert result.dtype == np.float32 and np.array_equal(result, expected)


@pytest.mark.parametrize(
    ("x", "y", "workers", "pieces"),
    [
        ((4096, 256), (256, 256), 2, 2),
        ((256, 4096), (4096, 256), 4, 4),
        ((4096, 256), (256, 256), 1, 1),
        ((100, 4096), (4096, 100), 4, 1),  # a piece would have fewer than 64 rows
        ((8, 128, 256), (256, 128), 16, 8),  # a matrix for each of eight
        ((64, 64), (64, 64), 4, 1),  # too little to do
        ((4096,), (4096, 4096), 4, 1),
    ],
)
def test_into_how_many_pieces_a_product_is_cut(x, y, workers, pieces):
    x, y = np.broadcast_to(np.float32(1), x), np.broadcast_to(np.float32(1), y)
    assert products._pieces(x, y, workers) == pieces


def test_a_product_among_work_dealt_out_is_one_piece(monkeypatch):
    minidl.set_num_threads(2)
    dealt = []
    monkeypatch.setattr(products, "for_each", lambda work, count: dealt.append(count))
    x = np.ones((4096, 256), np.float32)
    threads.for_each(lambda i: products.matmul(x, x[:256]), 2)
    assert dealt == []
    products.matmul(x, x[:256])
    assert dealt == [2]
