"""How axes are named and shapes put together, the same for every operation."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops


@pytest.mark.parametrize("values", [3.0, [3.0]])
def test_a_number_is_addressed_as_if_it_had_one_axis(values):
    x = minidl.tensor(values)
    for dim in (0, -1, np.int64(0), (0,), [-1]):
        assert ops.sum(x, dim).item() == 3
    for dim in (1, -2, (0, 1)):
        with pytest.raises(IndexError, match=r"^sum: dimension (1|-2) is out of range for shape"):
            ops.sum(x, dim)


def test_axes_count_from_either_end_and_are_named_once():
    x = minidl.tensor(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(ops.sum(x, -2).numpy(), [3, 5, 7])
    np.testing.assert_array_equal(ops.sum(x, (1,)).numpy(), [3, 12])
    assert ops.sum(x, (-1, 0)).item() == ops.sum(x, None).item() == 15
    for dim in (2, -3):
        with pytest.raises(IndexError, match=r"^sum: .*\(2, 3\)"):
            ops.sum(x, dim)
    with pytest.raises(RuntimeError, match=r"^sum: dimension named twice in \(0, -2\)"):
        ops.sum(x, (0, -2))


@pytest.mark.parametrize(
    ("shape", "full"),
    [
        ((1,), (0,)),
        ((1, 1), (1, 0)),
        ((), (2, 0)),
        ((1, 3), (2, 3)),
        ((2, 1), (2, 2)),
        ((1,), (3, 1)),
        ((1, 1), (2, 4, 1)),
    ],
)
def test_an_operand_that_was_stretched_gets_the_sum_of_its_copies_gradients(shape, full):
    x = minidl.tensor(np.ones(shape), requires_grad=True)
    (x + minidl.tensor(np.zeros(full))).sum().backward()
    copies = int(np.prod(full)) // x.numel()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, copies))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"^add: shapes \(4, 2\) and \(3,\) do not broadcast"):
        minidl.tensor(np.zeros((4, 2))) + minidl.tensor(np.zeros(3))


def test_an_operation_on_images_says_what_an_image_is():
    for shape in ((2, 3, 4), (2, 3, 4, 5, 6)):
        with pytest.raises(ValueError, match=r"^max_pool2d: input must be 4-dimensional \(N, C, H, W\)"):
            ops.max_pool2d(minidl.tensor(np.zeros(shape)), 2)
    for shape in ((1, 0, 2, 2), (1, 1, 0, 2), (1, 1, 2, 0)):
        with pytest.raises(ValueError, match=r"^max_pool2d: only the batch may be empty"):
            ops.max_pool2d(minidl.tensor(np.zeros(shape)), 1)
    for shape in ((1, 1, 0, 2), (1, 1, 2, 0)):
        with pytest.raises(ValueError, match=r"^adaptive_avg_pool2d: only batch and channels may be empty"):
            ops.adaptive_avg_pool2d(minidl.tensor(np.zeros(shape)), 1)
