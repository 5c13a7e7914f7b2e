"""pad beyond the constant of test_shaping: reflect, replicate, circular."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import shaping_loops, strategies
from oracles.checks import check_op, run

MODES = ["reflect", "replicate", "circular"]


@st.composite
def paddings(draw, mode):
    """(shape, widths) of one to three spatial dimensions; negative widths crop."""
    spatial = draw(st.integers(1, 3))
    outer = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2))
    extents = [draw(st.integers(1, 4)) for _ in range(spatial)]
    widths = []
    for n in reversed(extents):
        most = {"reflect": n - 1, "circular": n, "replicate": 5}[mode]
        before = draw(st.integers(-(n - 1), most))
        kept = n + min(before, 0)
        widths += [before, draw(st.integers(1 - kept, most))]
    return (*outer, *extents), tuple(widths)


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data(), seed=strategies.seeds)
def test_against_the_loops(mode, data, seed):
    shape, widths = data.draw(paddings(mode))
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.pad(x, widths, mode),
        lambda x: shaping_loops.pad(x, widths, mode),
        x,
        terms=64,
        seed=seed,
        second_order=True,
        linear=True,
    )


@given(
    before=st.integers(-2, 3),
    after=st.integers(-2, 3),
    value=st.sampled_from([None, 2.0]),
    seed=strategies.seeds,
)
def test_a_constant_can_be_differentiated_twice(before, after, value, seed):
    x = strategies.generic(np.random.default_rng(seed), (2, 4))

    def oracle(x):
        y = np.full((2, 4 + before + after), value or 0.0)
        for i, j in np.ndindex(y.shape):
            if 0 <= j - before < 4:
                y[i, j] = x[i, j - before]
        return y

    check_op(lambda x: ops.pad(x, (before, after), value=value), oracle, x, seed=seed, second_order=True)


def test_by_hand():
    x = minidl.tensor([[1, 2, 3]])
    assert ops.pad(x, (2, 1), "reflect").tolist() == [[3, 2, 1, 2, 3, 2]]
    assert ops.pad(x, (2, 1), "replicate").tolist() == [[1, 1, 1, 2, 3, 3]]
    assert ops.pad(x, (2, 1), "circular").tolist() == [[2, 3, 1, 2, 3, 1]]
    g = np.array([[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]])
    for mode, expected in [("reflect", [4, 42, 17]), ("replicate", [7, 8, 48]), ("circular", [36, 9, 18])]:
        _, (gradient,) = run(lambda x, mode=mode: ops.pad(x, (2, 1), mode), (np.zeros((1, 3)),), g)
        np.testing.assert_array_equal(gradient, [expected])


def test_a_corner_reads_the_pixel_mirrored_along_both_axes():
    x = minidl.tensor([[[1, 2], [3, 4]]])
    assert ops.pad(x, (1, 0, 1, 0), "reflect").tolist() == [[[4, 3, 4], [2, 1, 2], [4, 3, 4]]]
    assert ops.pad(x, (1, 0, 1, 0), "replicate").tolist() == [[[1, 1, 2], [1, 1, 2], [3, 3, 4]]]


@pytest.mark.parametrize("mode", MODES)
def test_widths_of_zero_copy_and_an_empty_batch_stays_empty(mode):
    x = minidl.tensor(np.ones((2, 3)))
    y = ops.pad(x, (0, 0), mode)
    assert y.shape == (2, 3) and not np.shares_memory(x.data, y.data)
    assert ops.pad(minidl.tensor(np.zeros((0, 2, 3))), (1, 1), mode).shape == (0, 2, 5)


@pytest.mark.parametrize("mode", MODES)
def test_nan_travels(mode):
    y = ops.pad(minidl.tensor([[np.nan, 1.0]]), (1, 1), mode).numpy()
    assert np.isnan(y).sum() == {"reflect": 2, "replicate": 2, "circular": 2}[mode]


ALL = (*MODES, "constant")
BAD = {
    "a mode that is not there": ((1, 2, 3), (1, 1), {"mode": "mirror"}, ("mirror",), ALL[:1]),
    "a value": ((1, 2, 3), (1, 1), {"value": 1.0}, ("1.0",), MODES),
    "odd": ((1, 2, 3), (1,), {}, ("1", "(1, 2, 3)"), ALL),
    "no width": ((1, 2, 3), (), {}, ("0", "(1, 2, 3)"), MODES),
    "a vector": ((3,), (1, 1), {}, ("(3,)",), MODES),
    "one of two dimensions": ((1, 2, 3, 3), (1, 1), {}, ("(1, 2, 3, 3)",), MODES),
    "too few dimensions": ((3, 3), (1, 1, 1, 1), {}, ("(3, 3)",), MODES),
    "cropped away": ((1, 2, 3), (-2, -2), {}, ("(-2, -2)",), ALL),
    "nothing left": ((1, 2, 3), (-2, -1), {}, ("(-2, -1)",), ["reflect", "replicate"]),
    "nothing left to wrap": ((1, 2, 3), (-3, 1), {}, ("(-3, 1)",), ["circular"]),
    "as much as there is": ((1, 2, 3), (3, 0), {}, ("(3, 0)", "2 at most"), ["reflect"]),
    "on the right": ((1, 2, 3), (0, 3), {}, ("(0, 3)", "2 at most"), ["reflect"]),
    "more than there is": ((1, 2, 3), (4, 0), {}, ("(4, 0)", "3 at most"), ["circular"]),
    "empty channels": ((1, 0, 3), (1, 1), {}, ("(1, 0, 3)",), ["reflect", "replicate"]),
    "no pixels": ((1, 2, 0), (1, 1), {}, ("(1, 2, 0)",), MODES),
    "an image without channels": ((0, 3), (1, 1), {}, ("(0, 3)",), ["reflect", "replicate"]),
    "an image without channels, twice": (
        (0, 3, 3),
        (1, 1, 1, 1),
        {},
        ("(0, 3, 3)",),
        ["reflect", "replicate"],
    ),
    "all of one dimension": ((3,), (1, 1, 1, 1), {}, ("4 widths", "(3,)"), ALL),
    "four dimensions": ((1, 2, 3, 3, 3, 3), (1,) * 8, {}, ("8 widths",), MODES),
    "two of five dimensions": ((1, 2, 3, 3, 3), (1,) * 4, {}, ("4 widths",), MODES),
    "three of three dimensions": ((3, 3, 3), (1,) * 6, {}, ("6 widths",), MODES),
    "three of six dimensions": ((1, 1, 2, 3, 3, 3), (1,) * 6, {}, ("6 widths",), MODES),
    "cropped away on the right": ((1, 2, 3), (1, -4), {}, ("(1, -4)",), ALL),
    "cropped away beside padding": ((1, 2, 3), (-4, 2), {}, ("(-4, 2)",), ALL),
    "nothing left on the right": ((1, 2, 3), (0, -3), {}, ("(0, -3)",), ["reflect", "replicate"]),
    "nothing left to wrap on the left": ((1, 2, 3), (1, -3), {}, ("(1, -3)",), ["circular"]),
    "more than there is above": ((2, 3, 5), (0, 0, 4, 0), {}, ("(4, 0)", "3 at most"), ["circular"]),
    "as much as there is below": ((2, 3, 5), (0, 0, 0, 3), {}, ("(0, 3)", "2 at most"), ["reflect"]),
}
CASES = [(name, mode) for name, row in BAD.items() for mode in row[4]]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_impossible_padding_is_named(name, mode):
    shape, widths, options, named, _ = BAD[name]
    with pytest.raises(ValueError, match=r"^pad: ") as caught:
        ops.pad(minidl.tensor(np.zeros(shape)), widths, **{"mode": mode, **options})
    assert all(text in str(caught.value) for text in named)


def test_types():
    with pytest.raises(TypeError, match=r"pad: .*integers"):
        ops.pad(minidl.tensor([1.0]), (1.0, 1))
    with pytest.raises(TypeError, match=r"pad: .*bool"):
        ops.pad(minidl.tensor([[True, False]]), (1, 1), "reflect")
    assert ops.pad(minidl.tensor([[True, False]]), (1, 0), "circular").tolist() == [[False, True, False]]


def test_the_most_and_the_least_that_is_possible():
    x = minidl.tensor([[1, 2, 3]])
    assert ops.pad(x, (2, 2), "reflect").tolist() == [[3, 2, 1, 2, 3, 2, 1]]
    assert ops.pad(x, (3, 3), "circular").tolist() == [[1, 2, 3] * 3]
    assert ops.pad(x, (4, 0), "replicate").tolist() == [[1, 1, 1, 1, 1, 2, 3]]
    for mode in ALL:
        assert ops.pad(x, (-1, -1), mode).tolist() == [[2]]
    for mode in ("constant", "circular"):
        assert ops.pad(x, (-1, -2), mode).shape == (1, 0)
    # What has been cropped is not wrapped around, though it is clamped to and mirrored.
    assert ops.pad(x, (-2, 1), "circular").tolist() == [[3, 3]]
    assert ops.pad(x, (1, -2), "circular").tolist() == [[1, 1]]
    assert ops.pad(x, (-2, 1), "reflect").tolist() == [[3, 2]]
    four = minidl.tensor([[1, 2, 3, 4]])
    assert ops.pad(four, (-1, 2), "circular").tolist() == [[2, 3, 4, 2, 3]]
    assert ops.pad(four, (2, -1), "circular").tolist() == [[2, 3, 1, 2, 3]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widths", [(0, 1), (1, 0), (-1, 0), (0, -1), (0, 0, 1, 0), (1, 0, 0, 0)])
def test_one_side_only(mode, widths):
    x = strategies.generic(np.random.default_rng(6), (2, 3, 3)[-1 - len(widths) // 2 :])
    check_op(
        lambda x: ops.pad(x, widths, mode),
        lambda x: shaping_loops.pad(x, widths, mode),
        x,
        terms=8,
        second_order=True,
        linear=True,
    )


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_widths_of_zero_is_the_cotangent(mode, create_graph):
    x = minidl.tensor([[1.0, 2.0]], requires_grad=True)
    g = minidl.tensor([[3.0, 5.0]])
    (gradient,) = minidl.autograd.grad(ops.pad(x, (0, 0), mode), x, g, create_graph=create_graph)
    assert gradient.tolist() == [[3.0, 5.0]]


def test_a_value_of_zero_is_no_value():
    x = minidl.tensor([[1.0, 2.0]])
    assert ops.pad(x, (1, 0), "reflect", 0).tolist() == [[2.0, 1.0, 2.0]]
    assert ops.pad(x, (1, 0)).tolist() == [[0.0, 1.0, 2.0]] and ops.pad(x, ()).tolist() == [[1.0, 2.0]]
    assert ops.pad(x, np.array([0, 1]), value=-1).tolist() == [[1.0, 2.0, -1.0]]
