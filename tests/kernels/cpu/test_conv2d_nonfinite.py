"""NaN and infinities in convolutions: exactly the results that a product with one of them reaches hold it.

A tile, a vector or a share of a sum that mixes pixels which the definition keeps apart would spread them
further (Winograd's transforms do: such results are thrown away and computed directly).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.cpu import conv2d, conv2d_direct, plan
from oracles import shifted_products
from oracles.shifted_products import Case

SPECIAL = (np.nan, np.inf, -np.inf)
SAME = Case(2, (13, 11), 1, 5, 18, (3, 3), padding=(1, 1))


def kinds(array):
    """0 for a number, 1 and -1 for infinities, 2 for NaN."""
    return np.where(np.isnan(array), 2, np.where(np.isinf(array), np.sign(array), 0))


def spoiled(array, places, values):
    """A copy in which some elements are not finite."""
    array = array.copy()
    for place, value in zip(places, values, strict=True):
        if array.size:
            array.reshape(-1)[place % array.size] = value
    return array


def check(case, algorithm, places, values, dtype):
    options = {**case.options, "algorithm": algorithm}
    x, weight, bias, g = case.arrays(dtype)
    bad_x, bad_g = spoiled(x, places, values), spoiled(g, places, values)
    y, dx = case.forward(bad_x, weight, bias), case.backward_data(bad_g, weight)
    dw, dw_by_g = case.backward_weight(g, bad_x), case.backward_weight(bad_g, x)
    bad_weight, db = spoiled(weight, places, values), bad_g.sum((0, 2, 3))
    got = {
        "y": (conv2d.forward(bad_x, weight, bias, case.out, **options), y),
        "dx": (conv2d.backward_data(bad_g, weight, x.shape, **options), dx),
        "dx of w": (
            conv2d.backward_data(g, bad_weight, x.shape, **options),
            case.backward_data(g, bad_weight),
        ),
        "dw of x": (conv2d.backward_weight(g, bad_x, weight.shape, **options), dw),
        "db": (conv2d.backward_bias(bad_g), db),
    }
    by_g = conv2d.backward_weight(bad_g, x, weight.shape, **options)
    got["dw of g"] = (_where_no_padding_is_met(case, bad_g, by_g, dw_by_g), dw_by_g)
    for name, (actual, expected) in got.items():
        np.testing.assert_array_equal(kinds(actual), kinds(expected), err_msg=f"{algorithm}: {name}")
        finite = np.isfinite(expected)
        bound = 1e5 * np.finfo(dtype).eps  # those that are finite are also right
        np.testing.assert_allclose(actual[finite], expected[finite], rtol=bound, atol=bound)


def _where_no_padding_is_met(case, bad_g, actual, expected):
    """The gradient ``actual``; as expected where a cotangent that is not finite meets the padding.

    What stands there is left open: NaN times 0 is NaN, but an algorithm may leave the padding out of the sum,
    as some of torch's do. Where such a cotangent meets a pixel, too, there must be no number.
    """
    bad = (~np.isfinite(bad_g)).astype(float)
    met = np.rint(case.backward_weight(bad, np.ones(case.x_shape)))
    padding = bad.sum((0, 2, 3)).reshape(-1, 1, 1, 1) > met
    assert not np.isfinite(actual[met > 0]).any()
    return np.where(padding, expected, actual)


some = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(SPECIAL)), min_size=1, max_size=3)
dtypes = st.sampled_from([np.float32, np.float64])


@pytest.fixture(autouse=True)
def _silent():
    """As the tape calls kernels: inf - inf is no occasion for a warning."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("algorithm", ["winograd4", "winograd2", "direct", "im2col", None])
@given(case=shifted_products.dense(), some=some, dtype=dtypes)
@example(case=SAME, some=[(0, np.inf)], dtype=np.float32)
@example(case=SAME, some=[(1429, np.nan)], dtype=np.float32)  # the last pixel
@example(case=SAME, some=[(700, np.inf), (701, -np.inf)], dtype=np.float64)  # beside each other: inf - inf
def test_three_by_three(algorithm, case, some, dtype):
    check(case, algorithm, *zip(*some, strict=True), dtype)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", None])
@given(case=shifted_products.general(), some=some, dtype=dtypes)
@example(case=Case(2, (8, 6), 1, 17, 19, (2, 2), (2, 2)), some=[(77, np.inf)], dtype=np.float32)
@example(case=Case(3, (14, 15), 1, 18, 33, (1, 1)), some=[(5000, np.nan)], dtype=np.float32)
def test_any_convolution(algorithm, case, some, dtype):
    check(case, algorithm, *zip(*some, strict=True), dtype)


@pytest.mark.parametrize("algorithm", ["depthwise", "direct", "im2col", None])
@given(case=shifted_products.depthwise(), some=some, dtype=dtypes)
def test_a_filter_for_each_channel(algorithm, case, some, dtype):
    check(case, algorithm, *zip(*some, strict=True), dtype)


@pytest.mark.parametrize("algorithm", [*plan.ALGORITHMS, None])
@pytest.mark.parametrize("value", SPECIAL)
def test_a_weight_reaches_its_own_filter_and_channel(algorithm, value):
    """Whether it meets the zeros of the padding (inf · 0 is NaN) is left open: torch's algorithms differ."""
    case = Case(2, (9, 10), *((7, 1, 1) if algorithm == "depthwise" else (1, 5, 7)), (3, 3), padding=(1, 1))
    x, weight, bias, g = case.arrays(np.float32)
    weight[4, -1, 1, 2] = value
    options = {**case.options, "algorithm": algorithm}
    y = conv2d.forward(x, weight, bias, case.out, **options)
    dx = conv2d.backward_data(g, weight, x.shape, **options)
    channel = 4
    assert not np.isfinite(y[:, 4]).any(axis=(0, 1))[:-1].any()
    assert np.isfinite(np.delete(y, 4, 1)).all()
    assert not np.isfinite(dx[:, channel]).any(axis=(0, 1))[1:].any()
    assert np.isfinite(np.delete(dx, channel, 1)).all()


@pytest.mark.parametrize("algorithm", [*plan.ALGORITHMS, None])
def test_infinities_that_cancel_give_nan(algorithm):
    """In different images, so in different shares of the sum."""
    case = Case(20, (9, 10), *((7, 1, 1) if algorithm == "depthwise" else (1, 5, 7)), (3, 3), padding=(1, 1))
    x, weight, _, g = case.arrays(np.float32)
    g[...], x[0, 2, 4, 4], x[19, 2, 4, 4] = 1, np.inf, -np.inf
    dw = conv2d.backward_weight(g, x, weight.shape, **case.options, algorithm=algorithm)
    place = (2, 0) if algorithm == "depthwise" else (slice(None), 2)
    assert np.isnan(dw[place]).all()
    assert np.isnan(dw).sum() == dw[place].size
    g[0, 3, 1, 1], g[19, 3, 8, 9] = np.inf, -np.inf
    db = conv2d.backward_bias(g)
    assert np.isnan(db[3])
    assert np.isfinite(np.delete(db, 3)).all()


@pytest.mark.parametrize("direction", plan.DIRECTIONS)
def test_winograd_leaves_what_is_not_finite_to_the_direct_algorithm(direction, monkeypatch):
    """And only that."""
    called = []
    direct = conv2d.ALGORITHMS["direct"]
    watched = {
        name: lambda *a, name=name, f=f, **o: called.append(name) or f(*a, **o)
        for name, f in direct._asdict().items()
    }
    monkeypatch.setitem(conv2d.ALGORITHMS, "direct", conv2d.Algorithm(**watched))
    x, weight, bias, g = SAME.arrays(np.float32)
    for value, expected in ((0.0, []), (np.inf, [direction])):
        x[1, 2, 5, 6] = g[0, 3, 4, 5] = value
        called.clear()
        options = {**SAME.options, "algorithm": "winograd4"}
        if direction == "forward":
            conv2d.forward(x, weight, bias, SAME.out, **options)
        elif direction == "backward_data":
            conv2d.backward_data(g, weight, x.shape, **options)
        else:
            conv2d.backward_weight(g, x, weight.shape, **options)
        assert called == expected
    assert conv2d_direct.forward is direct.forward
