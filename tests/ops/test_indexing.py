"""x[index] and x[index] = value: each kind of index by itself, beside values that were read off by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import placed
from oracles.checks import check_adjoint

#: Element (i, j, k) of shape (2, 3, 4) is 12 i + 4 j + k: the number says where it stood.
NUMBERS = np.arange(24.0).reshape(2, 3, 4)


def x():
    return minidl.tensor(NUMBERS)


def t(values, dtype=None):
    return minidl.tensor(np.array(values, dtype))


READ = {
    "an integer beside a list": (lambda: (0, slice(None), [0, 1]), [[0, 1], [4, 5], [8, 9]]),
    "NumPy's integer beside a list": (lambda: (np.int8(0), slice(None), [0, 1]), [[0, 1], [4, 5], [8, 9]]),
    "a tensor's integer beside a list": (lambda: (t(0), slice(None), [0, 1]), [[0, 1], [4, 5], [8, 9]]),
    "an array's integer beside a list": (lambda: (np.array(0), ..., [0, 1]), [[0, 1], [4, 5], [8, 9]]),
    "an integer beside a tensor": (lambda: (0, slice(None), t([1, -1])), [[1, 3], [5, 7], [9, 11]]),
    "an integer beside a mask": (
        lambda: (1, slice(None), t([False, True, False, True])),
        [[13, 15], [17, 19], [21, 23]],
    ),
    "an integer between lists": (lambda: ([0, 1], 0, [0, 1]), [0, 13]),
    "lists apart": (lambda: ([0, 1], slice(1, None), [0, 3]), [[4, 8], [19, 23]]),
    "a list of lists is a tuple of lists": (lambda: [[0, 1], [2, 0]], [[8, 9, 10, 11], [12, 13, 14, 15]]),
    "a list of tensors is a tuple": (lambda: [t([0, 1]), t([2, 0]), t([1, 1])], [9, 13]),
    "a range": (lambda: (0, 0, range(1, 4, 2)), [1, 3]),
    "a tuple in a tuple": (lambda: (0, 0, (1, 3)), [1, 3]),
    "an empty list": (lambda: (0, 0, []), []),
    "every integer dtype": (
        lambda: (t([1], "int8"), t([2], "int16"), np.array([3], "uint64")),
        [23],
    ),
    "a mask of two dimensions": (
        lambda: (t([[False, True, False], [True, False, False]]), 2),
        [6, 14],
    ),
    "an array as mask of two dimensions": (
        lambda: (np.array([[False, True, False], [True, False, False]]), ..., 2),
        [6, 14],
    ),
    "uint8 as mask": (lambda: (1, t([0, 0, 2], "uint8"), slice(0, 2)), [[20, 21]]),
    "an array of uint8 as mask": (lambda: (1, np.uint8([0, 0, 1]), 0), [20]),
    "True": (lambda: (0, 0, True), [[0, 1, 2, 3]]),
    "NumPy's True": (lambda: (0, 0, np.bool_(True)), [[0, 1, 2, 3]]),
    "a tensor's True": (lambda: (t(True), 0, 0), [[0, 1, 2, 3]]),
    "backwards, other than torch": (lambda: (0, slice(None, None, -2), 0), [8, 0]),
    "a slice from a tensor": (lambda: (0, 0, slice(t(1), t([3]))), [1, 2]),
}


@pytest.mark.parametrize("what", READ)
def test_what_is_read_and_where_its_gradient_goes(what):
    index, expected = READ[what]
    np.testing.assert_array_equal(x()[index()].numpy(), np.array(expected, np.float64), strict=True)
    check_adjoint(lambda a: a[index()], NUMBERS, terms=4)


@pytest.mark.parametrize("what", READ)
def test_what_is_read_is_what_is_written(what):
    index, expected = READ[what]
    y = x()
    y[index()] = -1.0
    np.testing.assert_array_equal(y.numpy(), np.where(np.isin(NUMBERS, expected), -1.0, NUMBERS))
    y = x()
    y[index()] = t(expected, float) + 100
    np.testing.assert_array_equal(y.numpy(), np.where(np.isin(NUMBERS, expected), NUMBERS + 100, NUMBERS))


def test_values_are_stretched_and_lose_ones_in_front():
    y = x()
    y[:, [0, 2], 1] = t([[-1.0], [-2.0]])
    assert y[:, :, 1].tolist() == [[-1, 5, -1], [-2, 17, -2]]
    y[0, 0, [1, 2]] = t([[[7.0, 8.0]]])
    y[1] = np.zeros((1, 1, 3, 1))
    y[0, 1, 1] = [[5]]
    assert y.tolist() == [[[0, 7, 8, 3], [4, 5, 6, 7], [8, -1, 10, 11]], [[0] * 4] * 3]


def test_an_element_that_is_named_twice_gets_both_gradients():
    a = minidl.tensor(NUMBERS, requires_grad=True)
    a[1, :, [2, 2, 3]].backward(placed.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [0.0, 0.0, 64.0]]))
    expected = np.zeros((2, 3, 4))
    expected[1] = [[0, 0, 3, 4], [0, 0, 24, 32], [0, 0, 0, 64]]
    np.testing.assert_array_equal(a.grad.numpy(), expected)


def test_a_view_shares_memory_and_what_a_list_takes_does_not():
    for index in (0, (0, 1, 2), ..., (), None, slice(1, 2), (t(1), None, slice(0, 3, 2)), [None, 0]):
        y = x()
        y[index][...] = -5.0
        assert (y.numpy() == -5).any(), index
    for index in ([0], (0, [1]), True, t([True, False]), (slice(None), range(2))):
        y = x()
        y[index][...] = -5.0
        assert not (y.numpy() == -5).any(), index


def test_the_backward_sees_the_index_as_it_was():
    for index in (np.array([0, 2]), t([0, 2]), [0, 2], np.array([True, False, True]), t([True, False, True])):
        a = minidl.tensor(np.zeros(3), requires_grad=True)
        y = a[index]
        for part in (index, index.data if isinstance(index, minidl.Tensor) else index):
            part[0], part[1] = 1, 1
        y.sum().backward()
        assert a.grad.tolist() == [1, 0, 1]


REFUSED = {
    "out of range": (lambda: 2, IndexError, r"index 2 is out of range for dimension 0 of shape \(2, 3, 4\)"),
    "out of range beside others": (
        lambda: (0, ..., -5),
        IndexError,
        "index -5 is out of range for dimension 2",
    ),
    "out of range in a list": (lambda: (slice(None), [0, 3]), IndexError, "index 3 is out of range"),
    "too low in a list": (lambda: (slice(None), [0, -4]), IndexError, "index -4 is out of range"),
    "too large for int64": (lambda: [2**70], IndexError, "integers or bools, got object"),
    "too many": (lambda: (0, 0, 0, 0), IndexError, r"too many indices, 4 for shape \(2, 3, 4\)"),
    "two times dots": (lambda: (..., 0, ...), IndexError, "one ... at most"),
    "a mask of another shape": (
        lambda: (0, t([True, False])),
        IndexError,
        r"mask of shape \(2,\) does not fit dimensions of extents \(3,\)",
    ),
    "lists of other lengths": (
        lambda: ([0, 1], [0, 1, 2]),
        IndexError,
        r"\(2,\) and \(3,\) do not broadcast",
    ),
    "ragged lists": (lambda: ([[0, 1], [0]],), IndexError, "unequal lengths"),
    "a float": (lambda: 1.0, IndexError, "got float"),
    "floats in a list": (lambda: [1.0], IndexError, "got float64"),
    "floats in a tensor": (lambda: t([1.0]), IndexError, "got float64"),
    "an object": (lambda: object(), IndexError, "got object"),
    "text": (lambda: "a", TypeError, "got str"),
    "a slice to a float": (lambda: slice(0, 1.5), TypeError, "slices must be of integers or None, got float"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_what_it_is_about(what):
    index, error, message = REFUSED[what]
    with pytest.raises(error, match=f"^getitem: .*{message}"):
        x()[index()]
    y = x()
    with pytest.raises(error, match=f"^__setitem__: .*{message}"):
        y[index()] = 0.0
    np.testing.assert_array_equal(y.numpy(), NUMBERS)


def test_what_does_not_fit_is_not_written():
    y = x()
    for index in (0, [0], (0, [1, 2]), t([True, False])):
        with pytest.raises(ValueError, match=r"^__setitem__: shape \(5,\) cannot be written"):
            y[index] = t(np.zeros(5))
    for value in ("a", None, 1j, np.array(["a"]), object()):
        with pytest.raises(TypeError, match=r"^__setitem__: (elements must be numbers|the value must be a)"):
            y[0] = value
    row = ops.expand(minidl.tensor([[1.0], [2.0]]), (2, 3))
    with pytest.raises(
        ValueError, match=r"^__setitem__: several elements of this tensor .* clone\(\) it first"
    ):
        row[0] = 1.0
    np.testing.assert_array_equal(y.numpy(), NUMBERS)


def test_a_gradient_is_not_lost_in_writing():
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = minidl.zeros(2)
    for write in (lambda: y.__setitem__(0, w[0]), lambda: y.copy_(w)):
        with pytest.raises(RuntimeError, match="what is written requires a gradient"):
            write()
        with minidl.no_grad():
            write()
    assert y.tolist() == [1.0, 2.0]


def test_a_tensor_of_one_integer_counts():
    assert ["a", "b"][minidl.tensor(1)] == "b" and list(range(minidl.tensor([2]))) == [0, 1]
    for no_integer in (minidl.tensor(1.0), minidl.tensor([1, 2])):
        with pytest.raises(TypeError, match="of one integer"):
            range(no_integer)


def test_masks_of_uint8_and_lists_of_lists_warn_of_nothing():
    """torch says of both that they will mean something else one day, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x()[t([0, 1], "uint8")].shape == (1, 3, 4)
        assert x()[[[0, 1], [1, 0]]].shape == (2, 4)
