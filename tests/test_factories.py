"""zeros, ones, full, arange, and Tensor(...): what they make of numbers and extents, and what they refuse."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import minidl

ROWS = {
    "arange(3)": (lambda: minidl.arange(3), [0, 1, 2], "int64"),
    "arange(3.5)": (lambda: minidl.arange(3.5), [0, 1, 2, 3], "float32"),
    "arange(0)": (lambda: minidl.arange(0), [], "int64"),
    "arange(5, 5, -1)": (lambda: minidl.arange(5, 5, -1), [], "int64"),
    "arange(5, 0, -2)": (lambda: minidl.arange(5, 0, -2), [5, 3, 1], "int64"),
    "arange(0, 7, 3)": (lambda: minidl.arange(0, 7, 3), [0, 3, 6], "int64"),
    "arange(0, 6, 3)": (lambda: minidl.arange(0, 6, 3), [0, 3], "int64"),
    "arange(1, 0, -0.25)": (lambda: minidl.arange(1, 0, -0.25), [1, 0.75, 0.5, 0.25], "float32"),
    "arange to uint8": (lambda: minidl.arange(253, 256, dtype="uint8"), [253, 254, 255], "uint8"),
    "arange of floats to int64": (lambda: minidl.arange(1.5, 4.7, 1.5, dtype="int64"), [1, 2, 3], "int64"),
    "arange of a tensor": (lambda: minidl.arange(minidl.tensor(2), np.int64(4)), [2, 3], "int64"),
    "arange of large integers": (
        lambda: minidl.arange(2**62, 2**62 + 2),
        [4611686018427387904, 4611686018427387905],
        "int64",
    ),
    "full of an integer": (lambda: minidl.full((2,), 3), [3, 3], "int64"),
    "full of a float": (lambda: minidl.full(2, 3.0), [3, 3], "float32"),
    "full of a bool": (lambda: minidl.full([2], True), [True, True], "bool"),
    "full of a tensor": (lambda: minidl.full((2,), minidl.tensor(1.5)), [1.5, 1.5], "float32"),
    "full of NumPy's": (lambda: minidl.full((1,), np.int32(7)), [7], "int64"),
    "full of infinity": (lambda: minidl.full((1,), -math.inf), [-math.inf], "float32"),
    "full of what is cut off": (lambda: minidl.full((1,), 1.9, dtype="int32"), [1], "int32"),
    "zeros of NumPy's extents": (lambda: minidl.zeros(np.int64(1), np.int32(2)), [[0, 0]], "float32"),
    "zeros of a tensor's": (lambda: minidl.zeros(minidl.tensor(2)), [0, 0], "float32"),
    "zeros in another byte order": (lambda: minidl.zeros(1, dtype=">f8"), [0], "float64"),
    "ones of a list": (lambda: minidl.ones([1, 2]), [[1, 1]], "float32"),
    "Tensor of a list": (lambda: minidl.Tensor([1, 2]), [1, 2], "float32"),
    "Tensor of a tuple": (lambda: minidl.Tensor((2, 3)), [2, 3], "float32"),
    "Tensor of lists": (lambda: minidl.Tensor([[1, 2], [3, 4]]), [[1, 2], [3, 4]], "float32"),
    "Tensor of bools": (lambda: minidl.Tensor([True, False]), [1, 0], "float32"),
    "Tensor of arrays": (lambda: minidl.Tensor([np.arange(2), np.arange(2)]), [[0, 1], [0, 1]], "float32"),
    "Tensor of tensors": (lambda: minidl.Tensor([minidl.tensor(1.0), minidl.tensor(2)]), [1, 2], "float32"),
    "Tensor of a range": (lambda: minidl.Tensor(range(2)), [0, 1], "float32"),
    "Tensor of an extent": (lambda: minidl.Tensor(2), [0, 0], "float32"),
    "Tensor of extents": (lambda: minidl.Tensor(1, 2), [[0, 0]], "float32"),
    "Tensor of three extents": (lambda: minidl.Tensor(1, 1, 2), [[[0, 0]]], "float32"),
    "Tensor of nothing": (lambda: minidl.Tensor(), [], "float32"),
    "Tensor of an array": (lambda: minidl.Tensor(np.arange(2)), [0, 1], "int64"),
    "Tensor of a NumPy scalar": (lambda: minidl.Tensor(np.float64(3)), 3, "float64"),
}


@pytest.mark.parametrize("what", ROWS)
def test_values_and_dtypes(what):
    make, values, dtype = ROWS[what]
    np.testing.assert_array_equal(make().numpy(), np.array(values, dtype), strict=True)


def test_floats_in_a_row_are_rounded_once():
    x = minidl.arange(0, 1, 0.1).numpy()
    np.testing.assert_array_equal(x, np.array([k / 10 for k in range(10)]).astype(np.float32))
    assert minidl.arange(0, 1, 1e-3).shape == (1000,)
    assert minidl.arange(0.1, 1, 0.3).shape == (3,)


REFUSED = {
    "arange: step -1 does not lead from 0 to 10": (lambda: minidl.arange(0, 10, -1), ValueError),
    "arange: step 1 does not lead from 10 to 0": (lambda: minidl.arange(10, 0), ValueError),
    "arange: step 1 does not lead from 0 to -3": (lambda: minidl.arange(-3), ValueError),
    "arange: step -0.5 does not lead from 0 to 1": (lambda: minidl.arange(0, 1, -0.5), ValueError),
    "arange: step must not be 0 (from 0 to 10)": (lambda: minidl.arange(0, 10, 0), ValueError),
    "arange: step must not be 0 (from 1 to 2)": (lambda: minidl.arange(1, 2, 0.5, dtype="int64"), ValueError),
    "arange: numbers must be finite, got 0, nan and 1": (lambda: minidl.arange(math.nan), ValueError),
    "arange: numbers must be finite, got 0, inf and 1": (lambda: minidl.arange(math.inf), ValueError),
    "arange: numbers must be finite, got 0, 1 and nan": (lambda: minidl.arange(0, 1, math.nan), ValueError),
    "arange: bools do not count": (lambda: minidl.arange(2, dtype=bool), TypeError),
    "arange: end must be a number, got str": (lambda: minidl.arange("3"), TypeError),
    "arange: start must be a number, got list": (lambda: minidl.arange([1], 2), TypeError),
    "arange: 299 does not fit into uint8": (lambda: minidl.arange(300, dtype="uint8"), OverflowError),
    "arange: -1 does not fit into uint8": (lambda: minidl.arange(-1, 2, dtype="uint8"), OverflowError),
    "zeros: extents must not be negative, got (-1,)": (lambda: minidl.zeros(-1), ValueError),
    "ones: extents must not be negative, got (2, -1)": (lambda: minidl.ones((2, -1)), ValueError),
    "full: extents must not be negative, got (-2,)": (lambda: minidl.full(-2, 0), ValueError),
    "zeros: extents must be integers, got (2.0,)": (lambda: minidl.zeros(2.0), TypeError),
    "ones: extents must be integers, got (2.0, 3)": (lambda: minidl.ones((2.0, 3)), TypeError),
    "zeros: extents must be integers, got ('a',)": (lambda: minidl.zeros("a"), TypeError),
    "zeros: extents must be integers, got (True,)": (lambda: minidl.zeros(True), TypeError),
    "zeros: extents must be integers, got (None,)": (lambda: minidl.zeros(None), TypeError),
    "zeros: extents must be integers, got (2, (3,))": (lambda: minidl.zeros(2, (3,)), TypeError),
    "zeros: shape (1099511627776, 1099511627776) has more": (lambda: minidl.zeros(2**40, 2**40), ValueError),
    "zeros: 'abc' is no dtype": (lambda: minidl.zeros(2, dtype="abc"), TypeError),
    "ones: elements must be bools, integers or floats, not complex64": (
        lambda: minidl.ones(2, dtype="complex64"),
        TypeError,
    ),
    "full: fill_value must be a number, got str": (lambda: minidl.full((2,), "a"), TypeError),
    "full: fill_value must be a number, got list": (lambda: minidl.full((2,), [1, 2]), TypeError),
    "full: fill_value must be a number, got Tensor": (
        lambda: minidl.full((2,), minidl.tensor([1.0])),
        TypeError,
    ),
    "tensor: 'abc' is no dtype": (lambda: minidl.tensor([1], dtype="abc"), TypeError),
    "tensor: elements must be bools, integers or floats, not <U3": (
        lambda: minidl.tensor([1], dtype="U3"),
        TypeError,
    ),
    "tensor: elements must be numbers, got <U1": (lambda: minidl.tensor(["1"], dtype="float32"), TypeError),
    "tensor: setting an array element with a sequence": (lambda: minidl.tensor([[1], [2, 3]]), ValueError),
    "cast: elements must be bools, integers or floats, not object": (
        lambda: minidl.tensor([1.0]).astype(object),
        TypeError,
    ),
    "Tensor: data must be an array, a tensor, a list of numbers, or extents, got float": (
        lambda: minidl.Tensor(3.0),
        TypeError,
    ),
    "Tensor: data must be an array, a tensor, a list of numbers, or extents, got bool": (
        lambda: minidl.Tensor(True),
        TypeError,
    ),
    "Tensor: data must be an array, a tensor, a list of numbers, or extents, got NoneType": (
        lambda: minidl.Tensor(None),
        TypeError,
    ),
    "Tensor: data must be an array, a tensor, a list of numbers, or extents, got dict": (
        lambda: minidl.Tensor({}),
        TypeError,
    ),
    "Tensor: elements must be numbers, got <U1": (lambda: minidl.Tensor(["a"]), TypeError),
    "Tensor: extents must not be negative, got (-1,)": (lambda: minidl.Tensor(-1), ValueError),
    "Tensor: extents must be integers, got (2, 3.0)": (lambda: minidl.Tensor(2, 3.0), TypeError),
    "Tensor: setting an array element with a sequence": (lambda: minidl.Tensor([[1], [2, 3]]), ValueError),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_says_who_and_what(message):
    make, error = REFUSED[message]
    with pytest.raises(error, match="^" + re.escape(message)):
        make()


def test_a_tensor_of_a_tensor_is_a_view_of_it():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = minidl.Tensor(x)
    assert np.shares_memory(y.data, x.data) and not y.is_leaf
    (y * 3).backward([1.0, 10.0])
    assert x.grad.tolist() == [3.0, 30.0]
    z = x * x
    minidl.Tensor(x.detach())[0] = 5.0
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward([1.0, 1.0])
    ids = minidl.tensor([1, 2])
    assert minidl.Tensor(ids).dtype == np.int64 and not minidl.Tensor(ids).requires_grad


def test_a_tensor_shares_its_arrays_memory_and_may_require_a_gradient():
    array = np.zeros(2)
    x = minidl.Tensor(array, True)
    array[0] = 1.0
    assert x.tolist() == [1.0, 0.0] and x.requires_grad
    assert minidl.Tensor([1, 2], requires_grad=True).requires_grad
    assert minidl.Tensor(2, requires_grad=True).requires_grad
