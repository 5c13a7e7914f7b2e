"""Every algorithm of the convolution, in all directions, against the sums of shifted products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given

from minidl.kernels import memory, threads
from minidl.kernels.cpu import conv2d, plan
from minidl.kernels.layout import is_channels_last, to_channels_last
from minidl.testing import memory_orders
from oracles import conv_forms, loops, shifted_products
from oracles.shifted_products import Case

DTYPES = (np.float64, np.float32)
#: Of F(m x m, 3x3): what transforms lose besides the sums themselves, see ``test_winograd.py``.
GROWTH = {"winograd4": 3793, "winograd2": 81}

ONE_PIXEL = Case(1, (1, 1), 1, 1, 1, (1, 1))
#: Filters as wide as the stride, whose residue classes are neighbours in memory: a U-Net's way up.
PATCHES = Case(2, (8, 6), 1, 17, 19, (2, 2), (2, 2))
PATCHES_CUT = Case(2, (9, 7), 1, 5, 3, (2, 2), (2, 2))  # the last row and column are in no window
POINTWISE = Case(3, (14, 15), 1, 18, 33, (1, 1))  # one long row of pixels, cut into pieces, with a rest
POINTWISE_STRIDED = Case(2, (5, 7), 1, 4, 5, (1, 1), (2, 2), (1, 1))
GAPS = Case(2, (11, 9), 1, 3, 20, (2, 2), (4, 3), (1, 0), (2, 1))  # pixels that no window sees
ALL_OUTSIDE = Case(1, (1, 2), 1, 2, 3, (2, 3), (1, 1), (4, 5))  # windows that hold nothing but padding
SEVENS = Case(1, (13, 20), 1, 3, 24, (7, 7), (2, 2), (3, 3))
EMPTY = Case(0, (6, 7), 1, 5, 4, (3, 3), (1, 1), (1, 1))


def close(actual, expected, absolute, terms, algorithm, dtype):
    """Within the rounding of ``terms`` products, added in any order; ``absolute``: the sum of their sizes."""
    eps = np.finfo(dtype).eps
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if algorithm in GROWTH:  # a matter of whole tiles: the largest sum decides; see test_winograd.py
        bound = 8 * eps * np.sqrt(terms * GROWTH[algorithm]) * max(1.0, np.abs(expected).max(initial=0))
    else:
        bound = (terms + 2) * eps * absolute
    excess = np.abs(actual - expected) - bound
    assert (excess <= 0).all(), f"{algorithm}: off by {np.abs(actual - expected).max()} at {excess.argmax()}"


def check(case, algorithm):
    """All three directions, float64 and float32."""
    options = {**case.options, "algorithm": algorithm}
    for dtype in DTYPES:
        x, weight, bias, g = case.arrays(dtype)
        ax, aw, ab, ag = map(np.abs, (x, weight, bias, g))
        depth, through = np.prod(case.w_shape[1:]), np.prod(case.kernel) * case.filters
        y = conv2d.forward(to_channels_last(x), weight, bias, case.out, **options)
        close(y, case.forward(x, weight, bias), case.forward(ax, aw, ab), depth + 1, algorithm, dtype)
        bare = conv2d.forward(to_channels_last(x), weight, None, case.out, **options)
        close(bare, case.forward(x, weight, None), case.forward(ax, aw, None), depth, algorithm, dtype)
        dx = conv2d.backward_data(to_channels_last(g), weight, x.shape, **options)
        close(dx, case.backward_data(g, weight), case.backward_data(ag, aw), through, algorithm, dtype)
        dw = conv2d.backward_weight(to_channels_last(g), to_channels_last(x), weight.shape, **options)
        pixels = case.n * np.prod(case.out)
        close(dw, case.backward_weight(g, x), case.backward_weight(ag, ax), pixels, algorithm, dtype)
        assert is_channels_last(y)
        assert is_channels_last(dx)
        assert dw.flags.c_contiguous
        if algorithm is None:
            db = conv2d.backward_bias(to_channels_last(g))
            close(db, g.sum((0, 2, 3), dtype=np.float64), ag.sum((0, 2, 3)), pixels, None, dtype)


@given(case=shifted_products.general())
def test_the_oracle_itself_against_the_loops(case):
    case = Case(min(case.n, 1), case.size, min(case.groups, 2), min(case.channels, 3), min(case.filters, 2),
                case.kernel, case.stride, case.padding, case.dilation, case.seed)  # fmt: skip
    x, weight, bias, g = case.arrays(np.float64)
    near = {"rtol": 0, "atol": 1e-11}
    np.testing.assert_allclose(
        case.forward(x, weight, bias), loops.conv2d(x, weight, bias, **case.options), **near
    )
    dx = conv_forms.input_gradient(g, weight, x.shape, **case.options)
    np.testing.assert_allclose(case.backward_data(g, weight), dx, **near)
    dw = conv_forms.weight_gradient(g, x, weight.shape, **case.options)
    np.testing.assert_allclose(case.backward_weight(g, x), dw, **near)


@pytest.mark.parametrize("algorithm", ["winograd4", "winograd2", "direct", "im2col", None])
@given(case=shifted_products.dense())
@example(case=EMPTY)
@example(case=Case(1, (1, 1), 1, 1, 1, (3, 3), padding=(1, 1)))
@example(case=Case(1, (2, 3), 1, 3, 2, (3, 3), padding=(4, 5)))
def test_three_by_three(algorithm, case):
    check(case, algorithm)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", None])
@given(case=shifted_products.general())
@example(case=EMPTY)
@example(case=ONE_PIXEL)
@example(case=PATCHES)
@example(case=PATCHES_CUT)
@example(case=POINTWISE)
@example(case=POINTWISE_STRIDED)
@example(case=GAPS)
@example(case=ALL_OUTSIDE)
@example(case=SEVENS)
def test_any_convolution(algorithm, case):
    check(case, algorithm)


@pytest.mark.parametrize("algorithm", ["depthwise", "direct", "im2col", None])
@given(case=shifted_products.depthwise())
@example(case=ONE_PIXEL)
@example(case=Case(2, (9, 10), 16, 1, 1, (3, 3), padding=(1, 1)))
@example(case=Case(0, (4, 4), 3, 1, 2, (3, 3), padding=(1, 1)))
@example(case=Case(1, (1, 2), 3, 1, 2, (2, 3), padding=(4, 5)))
@example(case=Case(2, (11, 9), 5, 1, 1, (2, 2), (4, 3), (1, 0), (2, 1)))
def test_a_filter_for_each_channel(algorithm, case):
    check(case, algorithm)


#: Several blocks, pieces and shares, several panels of filters, the tallest tiles and their rests.
LARGE = {
    "dense": Case(3, (45, 37), 1, 40, 70, (3, 3), padding=(1, 1)),
    "many images": Case(19, (5, 6), 1, 20, 33, (3, 3), padding=(1, 1)),
    "deep": Case(1, (9, 8), 1, 300, 40, (3, 3), padding=(1, 1)),
    "up": Case(2, (40, 44), 1, 33, 65, (2, 2), (2, 2)),
    "pointwise": Case(2, (61, 59), 1, 19, 35, (1, 1)),
    "strided": Case(2, (50, 61), 1, 18, 34, (5, 3), (2, 3), (2, 0), (1, 2)),
    "grouped": Case(2, (33, 31), 3, 17, 18, (3, 3), (1, 2), (1, 2)),
    "depthwise": Case(3, (70, 75), 35, 1, 1, (3, 3), padding=(1, 1)),
    "multiplied": Case(2, (40, 52), 9, 1, 3, (5, 5), (2, 1), (2, 3)),
}


def possible(case):
    """The algorithms that can do it, and the planner's choice."""
    problem = plan.Problem("forward", case.n, case.x_shape[1], *case.size, case.w_shape[0], case.kernel,
                           **case.options)  # fmt: skip
    return [None, *(a for a in plan.ALGORITHMS if plan.refusal(problem, a) is None)]


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_many_blocks_and_panels(name):
    for algorithm in possible(LARGE[name]):
        check(LARGE[name], algorithm)


@pytest.mark.parametrize("name", LARGE)
def test_the_number_of_threads_changes_no_bit(name):
    """Except in the gradient of Winograd's weights, whose sums are shared out among threads."""
    case = LARGE[name]
    x, weight, bias, g = case.arrays(np.float32)
    x, g = to_channels_last(x), to_channels_last(g)
    before, results = threads.get_num_threads(), {}
    try:
        for count in (1, 2, 3, 2):
            threads.set_num_threads(count)
            for algorithm in possible(case):
                options = {**case.options, "algorithm": algorithm}
                got = {
                    "forward": conv2d.forward(x, weight, bias, case.out, **options),
                    "backward_data": conv2d.backward_data(g, weight, x.shape, **options),
                    "backward_weight": conv2d.backward_weight(g, x, weight.shape, **options),
                }
                for direction, array in got.items():
                    name = conv2d.chosen(direction, x.shape, 4, weight.shape, case.out, options)
                    shared = direction == "backward_weight" and name in GROWTH
                    key = (algorithm, direction, count if shared else 0)
                    np.testing.assert_array_equal(array, results.setdefault(key, array), err_msg=str(key))
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize("algorithm", plan.ALGORITHMS)
@given(case=shifted_products.depthwise())
@example(case=Case(2, (9, 10), 3, 1, 2, (3, 3), padding=(1, 1)))
def test_the_memory_order_of_the_inputs_changes_no_bit(algorithm, case):
    if algorithm in GROWTH:
        case = Case(case.n, (case.size[0] + 2, case.size[1] + 2), 1, case.groups, 7, (3, 3), seed=case.seed)
    options = {**case.options, "algorithm": algorithm}
    x, weight, bias, g = case.arrays(np.float32)
    expected = (
        conv2d.forward(x, weight, bias, case.out, **options),
        conv2d.backward_data(g, weight, x.shape, **options),
        conv2d.backward_weight(g, x, weight.shape, **options),
    )
    orders = [dict(memory_orders(array)) for array in (x, weight, g)]
    for order in orders[0]:
        a, w, b = (each[order] for each in orders)
        got = (
            conv2d.forward(a, w, bias, case.out, **options),
            conv2d.backward_data(b, w, x.shape, **options),
            conv2d.backward_weight(b, a, w.shape, **options),
        )
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=order)
        assert is_channels_last(got[0])
        assert is_channels_last(got[1])
        assert got[2].flags.c_contiguous


@pytest.mark.parametrize("dtypes", [(np.float16, np.float16), (np.float32, np.float64), (np.int64, np.int64)])
def test_other_numbers_are_left_to_the_reference(dtypes):
    case = Case(1, (5, 6), 1, 2, 3, (3, 3), padding=(1, 1))
    x, weight, _, g = (np.rint(4 * a) for a in case.arrays(np.float64))  # exact in any of them
    x, g, weight = x.astype(dtypes[0]), g.astype(dtypes[0]), weight.astype(dtypes[1])
    y = conv2d.forward(x, weight, None, case.out, **case.options)
    np.testing.assert_array_equal(y, case.forward(x, weight, None))
    np.testing.assert_array_equal(
        conv2d.backward_data(g, weight, x.shape, **case.options), case.backward_data(g, weight)
    )
    np.testing.assert_array_equal(
        conv2d.backward_weight(g.astype(dtypes[1]), x, weight.shape, **case.options),
        case.backward_weight(g, x),
    )


def test_no_algorithm_changes_its_arguments():
    case = Case(2, (7, 6), 4, 1, 1, (3, 3), padding=(1, 1))
    for algorithm in possible(case):
        arrays = case.arrays(np.float32)
        before = [a.copy() for a in arrays]
        x, weight, bias, g = arrays
        options = {**case.options, "algorithm": algorithm}
        conv2d.forward(x, weight, bias, case.out, **options)
        conv2d.backward_data(g, weight, x.shape, **options)
        conv2d.backward_weight(g, x, weight.shape, **options)
        for one, other in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*LARGE, "small", "channelwise"])
def test_nothing_relies_on_what_memory_held_before(name, monkeypatch):
    """Buffers come from a pool and hold old numbers; NaN among them must neither spread nor be taken for one.

    (Winograd's results that are not finite would be thrown away and computed again.)
    """
    small = Case(3, (5, 4), 1, 3, 5, (3, 3), padding=(1, 1))
    channelwise = Case(2, (6, 5), 3, 1, 2, (3, 3), padding=(1, 1))
    case = {**LARGE, "small": small, "channelwise": channelwise}[name]

    def spoil(make):
        def spoiled(*args):
            array = make(*args)
            array.fill(np.nan)
            return array

        return spoiled

    def refuse(*_, **__):
        raise AssertionError("a finite result was thrown away")

    for maker in ("empty", "empty_channels_last"):
        monkeypatch.setattr(memory, maker, spoil(getattr(memory, maker)))
    for algorithm in possible(case):
        with monkeypatch.context() as patch:
            if algorithm in GROWTH:
                patch.setitem(conv2d.ALGORITHMS, "direct", conv2d.Algorithm(refuse, refuse, refuse))
            check(case, algorithm)
