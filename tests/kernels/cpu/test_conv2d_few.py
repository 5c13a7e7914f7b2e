"""Convolutions with few outputs, which the direct algorithm computes as dot products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import conv2d_few
from minidl.kernels.cpu.conv2d_few import MOST, few_product, few_steps, lines_of, pack_few, pays
from minidl.kernels.cpu.vectors import lanes_of
from oracles.shifted_products import Case

from .test_conv2d import check
from .test_conv2d_nonfinite import SPECIAL
from .test_conv2d_nonfinite import check as check_special


def few_forward(case):
    """Whether the forward has so few outputs."""
    return pays(case.filters, *lines_of(case.kernel, case.channels, case.dilation, case.groups), 4)


@pytest.mark.parametrize("outputs", range(1, MOST + 1))
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [(1, 1), (1, 2)])
def test_as_many_outputs_as_there_may_be(outputs, groups, dilation):
    forward = Case(2, (7, 10), groups, 37, outputs, (3, 3), (1, 2), (1, 0), dilation)
    back = Case(2, (7, 10), groups, outputs, 37, (3, 3), (2, 1), (0, 1), dilation)
    if outputs > lanes_of(4) // 2:
        pytest.skip("vectors are so short here that vectors of outputs are the better ones")
    assert few_forward(forward)
    assert pays(outputs, *lines_of((2, 3), 37, dilation, groups), 4)
    check(forward, "direct")
    check(back, "direct")


@given(
    st.builds(
        Case,
        st.integers(0, 2),
        st.tuples(st.integers(3, 9), st.integers(3, 21)),
        st.just(1),
        st.integers(8, 40),
        st.integers(1, 4),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.just((1, 1)),
        st.integers(0, 99),
    )
)
def test_drawn(case):
    check(case, "direct")


@given(st.integers(0, 10**6), st.sampled_from(SPECIAL))
def test_a_neighbour_that_is_not_finite_is_multiplied_by_nothing(place, value):
    """The vectors that end a line reach beyond it; what lies there must not be read as a number times 0."""
    check_special(Case(2, (6, 9), 1, 19, 3, (2, 3), (1, 2)), "direct", [place], [value], np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("depth", [1, 7, 8, 16, 17])
def test_the_product_alone(dtype, pixels, depth):
    """Two lines of ``depth`` numbers of every pixel, three outputs; integers, so every sum is exact."""
    rng = np.random.default_rng(depth)
    a, weights, bias = (rng.integers(-4, 5, size=s).astype(dtype) for s in (200, (1, 3, 2, 1, depth), 3))
    lanes = lanes_of(a.itemsize)
    table, y = np.zeros(100, np.int64), np.full(20, 99.0, dtype)
    steps = few_steps(table, a, 50, 2, 0, 1, depth)
    assert steps == 2 * -(-depth // lanes)
    packed = pack_few(weights, (1, 2), lanes)
    few_product(a, 5, 20, table, steps, packed, 0, bias, 0, y, 2, 3, 3, pixels)
    begins = [[5 + 20 * j + 50 * line for line in (0, 1)] for j in range(pixels)]
    lines = np.array([[a[begin : begin + depth] for begin in pixel] for pixel in begins])
    expected = np.einsum("jod,kod->jk", lines, weights[0, :, :, 0]) + bias
    np.testing.assert_array_equal(y[2 : 2 + 3 * pixels].reshape(pixels, 3), expected)
    assert (np.delete(y, np.arange(2, 2 + 3 * pixels)) == 99).all()


def test_where_it_does_not_pay():
    assert not pays(MOST + 1, 9, 512, 4)  # too many outputs
    assert not pays(1, 1, 3, 4)  # three products: adding up the lanes would take longer
    assert conv2d_few.cost(2, 1, 32, 4) < conv2d_few.cost(3, 1, 32, 4)
