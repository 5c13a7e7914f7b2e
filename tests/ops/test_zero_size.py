"""Operations with nothing to work on: results and gradients have the right shapes; the rest is refused."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles.checks import check_op
from oracles.zero_size import ROWS


class Functions:
    """minidl.ops with `tensor` beside it: what the rows are written for."""

    def __getattr__(self, name):
        return getattr(ops, name)

    @staticmethod
    def tensor(array):
        return minidl.tensor(array)


@pytest.mark.parametrize("name", ROWS)
def test_it_gives_what_the_table_says_and_gradients_of_the_inputs_shapes(name):
    line, shapes, expected = ROWS[name]
    arrays = [np.random.default_rng(0).uniform(0.5, 1.5, shape) for shape in shapes]
    # `check_op` compares shapes and values, gradients (0, or of no size), every memory order and float32.
    check_op(lambda *t: line(Functions(), *t), lambda *a: expected, *arrays)


def test_a_mean_over_nothing_is_nan():
    assert np.isnan(ops.mean(minidl.tensor(np.zeros((0, 3)))).item())
    assert np.isnan(ops.cross_entropy(minidl.tensor(np.zeros((0, 3))), np.zeros(0, np.int64)).item())


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_an_extremum_of_nothing_is_refused(name):
    with pytest.raises((ValueError, IndexError), match=f"^{name}"):
        getattr(ops, name)(minidl.tensor(np.zeros((0, 3))), 0)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_an_extremum_of_nothing_at_all_is_refused(name):
    with pytest.raises((ValueError, IndexError), match=f"^{name}"):
        getattr(ops, name)(minidl.tensor(np.zeros((0, 3))))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.conv2d(x, minidl.tensor(np.zeros((1, 2, 1, 1)))),
        lambda x: ops.max_pool2d(x, 1),
        lambda x: ops.avg_pool2d(x, 1),
        lambda x: ops.interpolate(x, scale_factor=2),
    ],
    ids=["conv2d", "max_pool2d", "avg_pool2d", "interpolate"],
)
def test_images_without_pixels_are_refused(call):
    with pytest.raises(ValueError, match=r"\(3, 2, 0, 4\)"):
        call(minidl.tensor(np.zeros((3, 2, 0, 4))))
