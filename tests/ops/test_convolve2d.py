"""convolve2d: E1 as the document prints it, and what makes it different from cross-correlation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op, tolerance

planes = st.tuples(st.integers(1, 6), st.integers(1, 6))
outer = st.sampled_from([(), (2,), (0,), (1, 2)])
filters = st.tuples(st.integers(1, 4), st.integers(1, 4))


def printed(x, w, mode="full"):
    """E1 plane by plane, and cut to its middle or to where the filter lies inside."""
    (height, width), (m, n) = x.shape[-2:], w.shape
    full = np.zeros((*x.shape[:-2], height + m - 1, width + n - 1))
    for index in np.ndindex(x.shape[:-2]):
        full[index] = loops.document_convolution(x[index], w)
    top, left = {"full": (0, 0), "same": ((m - 1) // 2, (n - 1) // 2), "valid": (m - 1, n - 1)}[mode]
    rows = {"full": height + m - 1, "same": height, "valid": height - m + 1}[mode]
    columns = {"full": width + n - 1, "same": width, "valid": width - n + 1}[mode]
    return full[..., top : top + rows, left : left + columns]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@given(outer=outer, plane=planes, kernel=filters, seed=strategies.seeds)
def test_against_the_document(mode, outer, plane, kernel, seed):
    rng = np.random.default_rng(seed)
    room = kernel if mode == "valid" else (1, 1)  # for valid at least one window fits
    x = rng.normal(size=(*outer, *(n + k - 1 for n, k in zip(plane, room, strict=True))))
    w = rng.normal(size=kernel)
    check_op(
        lambda x, w: ops.convolve2d(x, w, mode),
        lambda x, w: printed(x, w, mode),
        *(x, w),
        terms=x.size + 16,
        second_order=True,
        seed=seed,
    )
    check_adjoint(lambda x: ops.convolve2d(x, minidl.tensor(w), mode), x, terms=16, seed=seed)


@given(plane=planes, kernel=filters, seed=strategies.seeds)
def test_e1_is_cross_correlation_up_to_a_flip_and_a_shift(plane, kernel, seed):
    """E1: the printed y at (i+m-1, j+n-1) is the cross-correlation with the flipped filter at (i, j)."""
    rng = np.random.default_rng(seed)
    m, n = kernel
    height, width = plane[0] + m - 1, plane[1] + n - 1  # at least one window fits
    x, w = rng.normal(size=(height, width)), rng.normal(size=kernel)
    full = loops.document_convolution(x, w)
    flipped = minidl.tensor(w[::-1, ::-1].copy()[None, None])
    atol = tolerance(np.float64, m * n, 16)
    correlation = ops.conv2d(minidl.tensor(x[None, None]), flipped).numpy()[0, 0]
    inner = full[m - 1 : m - 1 + correlation.shape[0], n - 1 : n - 1 + correlation.shape[1]]
    np.testing.assert_allclose(correlation, inner, rtol=0, atol=atol)
    valid = ops.convolve2d(minidl.tensor(x), minidl.tensor(w), "valid").numpy()
    np.testing.assert_allclose(correlation, valid, rtol=0, atol=atol)
    # With a border of m-1 and n-1 zeros, every value of the printed form is reached.
    padded = ops.conv2d(minidl.tensor(x[None, None]), flipped, padding=(m - 1, n - 1)).numpy()[0, 0]
    np.testing.assert_allclose(padded, full, rtol=0, atol=atol)
    # And the other way round: cross-correlation is the convolution with the flipped filter.
    plain = ops.conv2d(minidl.tensor(x[None, None]), minidl.tensor(w[None, None])).numpy()[0, 0]
    back = ops.convolve2d(minidl.tensor(x), minidl.tensor(w[::-1, ::-1].copy()), "valid").numpy()
    np.testing.assert_allclose(plain, back, rtol=0, atol=atol)


@given(plane=planes, kernel=filters, other=filters, seed=strategies.seeds)
def test_it_commutes_and_associates_as_cross_correlation_does_not(plane, kernel, other, seed):
    rng = np.random.default_rng(seed)
    x, w, v = (minidl.tensor(rng.normal(size=shape)) for shape in (plane, kernel, other))
    atol = tolerance(np.float64, 600, 16)
    there, back = ops.convolve2d(x, w).numpy(), ops.convolve2d(w, x).numpy()
    np.testing.assert_allclose(there, back, rtol=0, atol=atol)
    first = ops.convolve2d(ops.convolve2d(x, v), w).numpy()
    second = ops.convolve2d(x, ops.convolve2d(v, w)).numpy()
    np.testing.assert_allclose(first, second, rtol=0, atol=atol)


def test_an_impulse_gives_the_filter_and_correlation_gives_it_flipped():
    x, w = np.zeros((5, 5)), np.arange(9.0).reshape(3, 3)
    x[2, 2] = 1
    convolved = ops.convolve2d(minidl.tensor(x), minidl.tensor(w), "same").numpy()
    correlated = ops.conv2d(minidl.tensor(x[None, None]), minidl.tensor(w[None, None]), padding="same")
    np.testing.assert_array_equal(convolved[1:4, 1:4], w)
    np.testing.assert_array_equal(correlated.numpy()[0, 0, 1:4, 1:4], w[::-1, ::-1])


BAD = {
    "an image of one dimension": ((4,), (2, 2), "full", "(4,)"),
    "a filter of four": ((4, 4), (1, 1, 2, 2), "full", "(1, 1, 2, 2)"),
    "an empty image": ((2, 0, 4), (2, 2), "full", "(2, 0, 4)"),
    "an image without columns": ((4, 0), (2, 2), "full", "(4, 0)"),
    "an empty filter": ((4, 4), (0, 2), "full", "(0, 2)"),
    "a filter without columns": ((4, 4), (2, 0), "full", "(2, 0)"),
    "a filter larger than the image": ((4, 4), (2, 5), "valid", "(2, 5)"),
    "a filter taller than the image": ((4, 4), (5, 2), "valid", "(5, 2)"),
    "another mode": ((4, 4), (2, 2), "wrap", "'wrap'"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    image, kernel, mode, named = BAD[name]
    with pytest.raises(ValueError, match=r"^convolve2d: ") as caught:
        ops.convolve2d(minidl.tensor(np.zeros(image)), minidl.tensor(np.zeros(kernel)), mode)
    assert named in str(caught.value)


def test_dtypes():
    image, kernel = np.zeros((4, 4)), np.zeros((2, 2))
    with pytest.raises(TypeError, match="float32 and float64"):
        ops.convolve2d(minidl.tensor(image), minidl.tensor(kernel.astype(np.float32)))
    with pytest.raises(TypeError, match="int64"):
        ops.convolve2d(minidl.tensor(image.astype(int)), minidl.tensor(kernel.astype(int)))
