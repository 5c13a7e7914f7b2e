"""A Tensor from outside: attributes, operators and methods, text, NumPy's protocols, writing in place."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import ops


def tensor(values, **options):
    return minidl.tensor(np.array(values, np.float64), **options)


# --- attributes ---------------------------------------------------------------------------------------------


def test_shape_and_its_relatives():
    x = minidl.tensor(np.zeros((2, 3, 4), np.float32))
    assert x.shape == (2, 3, 4) and x.size() == (2, 3, 4) and x.size(1) == 3 and x.size(-1) == 4
    assert x.ndim == x.dim() == 3 and x.numel() == 24 and len(x) == 2
    assert x.dtype == np.float32
    assert minidl.tensor(1.0).shape == () and minidl.tensor(1.0).numel() == 1


def test_a_leaf_and_a_result():
    x = tensor([1.0], requires_grad=True)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and x.grad is None
    assert not y.is_leaf and y.requires_grad and y.grad_fn is not None
    assert not tensor([1.0]).requires_grad


def test_requires_grad_can_be_switched_on_leaves_only():
    x = tensor([1.0])
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    y = x.requires_grad_() * 2
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="int64"):
        minidl.tensor([1, 2], requires_grad=True)


def test_retain_grad_keeps_that_of_a_result():
    x = tensor([2.0], requires_grad=True)
    y = x * x
    y.retain_grad()
    (y * 5).backward()
    assert y.grad.item() == 5.0 and x.grad.item() == 20.0


def test_a_gradient_hook_sees_and_may_replace_and_goes_away():
    x = tensor([2.0], requires_grad=True)
    seen = []
    remove = x.register_hook(lambda g: seen.append(g.item()))
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.backward()
    assert seen == [30.0] and x.grad.item() == 30.0
    remove()
    (x * 3).backward()
    assert seen == [30.0]
    with pytest.raises(RuntimeError, match="register_hook"):
        tensor([1.0]).register_hook(lambda g: None)


# --- operators and methods ----------------------------------------------------------------------------------

A, B = [[1.0, 2.0], [3.0, 4.0]], [[0.5, 4.0], [2.0, 1.0]]
OPERATORS = {
    "+": (lambda a, b: a + b, [[1.5, 6.0], [5.0, 5.0]]),
    "-": (lambda a, b: a - b, [[0.5, -2.0], [1.0, 3.0]]),
    "*": (lambda a, b: a * b, [[0.5, 8.0], [6.0, 4.0]]),
    "/": (lambda a, b: a / b, [[2.0, 0.5], [1.5, 4.0]]),
    "@": (lambda a, b: a @ b, [[4.5, 6.0], [9.5, 16.0]]),
    "**": (lambda a, b: a**b, [[1.0, 16.0], [9.0, 4.0]]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_between_tensors_and_with_arrays_on_either_side(name):
    apply, expected = OPERATORS[name]
    for a, b in (
        (tensor(A), tensor(B)),
        (tensor(A), np.array(B)),
        (np.array(A), tensor(B)),
    ):
        result = apply(a, b)
        assert isinstance(result, minidl.Tensor), "an array on the left must leave the work to the tensor"
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-15)


def test_operators_with_numbers_on_either_side():
    x = tensor([1.0, 2.0])
    results = [x + 1, 1 + x, x - 1, 1 - x, x * 3, 3 * x, x / 2, 2 / x, x**2, 2**x, -x]
    expected = [[2, 3], [2, 3], [0, 1], [0, -1], [3, 6], [3, 6], [0.5, 1], [2, 1], [1, 4], [2, 4], [-1, -2]]
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.numpy(), values)
    y = minidl.tensor([1.0]) * 2.5
    assert y.dtype == np.float32, "a Python number does not make float32 wider"


METHODS = {
    "exp": (lambda x: x.exp(), ops.exp),
    "log": (lambda x: x.log(), ops.log),
    "sum": (lambda x: x.sum(1, True), lambda x: ops.sum(x, 1, True)),
    "mean": (lambda x: x.mean((0, 1)), lambda x: ops.mean(x, (0, 1))),
    "max": (lambda x: x.max(), ops.max),
    "max along": (lambda x: x.max(1).values, lambda x: ops.max(x, 1).values),
    "reshape": (lambda x: x.reshape(4), lambda x: ops.reshape(x, (4,))),
    "reshape, extents": (lambda x: x.reshape(4, 1), lambda x: ops.reshape(x, (4, 1))),
    "reshape, tuple": (lambda x: x.reshape((1, -1)), lambda x: ops.reshape(x, (1, 4))),
    "permute": (lambda x: x.permute(1, 0), lambda x: ops.permute(x, (1, 0))),
    "permute, tuple": (lambda x: x.permute((1, 0)), lambda x: ops.permute(x, (1, 0))),
    "transpose": (lambda x: x.transpose(0, 1), lambda x: ops.transpose(x, 0, 1)),
    "T": (lambda x: x.T, lambda x: ops.permute(x, (1, 0))),
    "flatten": (lambda x: x.flatten(), ops.flatten),
    "relu": (lambda x: x.relu(), ops.relu),
    "sigmoid": (lambda x: x.sigmoid(), ops.sigmoid),
    "tanh": (lambda x: x.tanh(), ops.tanh),
    "softmax": (lambda x: x.softmax(1), lambda x: ops.softmax(x, 1)),
    "log_softmax": (lambda x: x.log_softmax(0), lambda x: ops.log_softmax(x, 0)),
    "getitem": (lambda x: x[1, :1], lambda x: ops.getitem(x, (1, slice(0, 1)))),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_its_operation(name):
    method, operation = METHODS[name]
    x = tensor(A, requires_grad=True)
    actual, expected = method(x), operation(x)
    assert actual.grad_fn.name() == expected.grad_fn.name()
    np.testing.assert_array_equal(actual.detach().numpy(), expected.detach().numpy())


def test_indices_may_be_tensors():
    x = tensor([10.0, 20.0, 30.0])
    np.testing.assert_array_equal(x[minidl.tensor([2, 0])].numpy(), [30, 10])
    np.testing.assert_array_equal(tensor(A)[minidl.tensor([1]), minidl.tensor([0])].numpy(), [3])


def test_conversions_between_dtypes_carry_the_gradient_back():
    x = minidl.tensor([1.5, 2.5], requires_grad=True)
    y = x.double()
    assert y.dtype == np.float64 and y.float().dtype == np.float32
    (y * y).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [3, 5])
    np.testing.assert_array_equal(x.detach().astype(np.int64).numpy(), [1, 2])


# --- as a Python value --------------------------------------------------------------------------------------


def test_numbers_and_truth():
    assert float(tensor([2.5])) == 2.5 and int(tensor([2.5])) == 2
    assert bool(tensor(1.0)) and not bool(tensor([0.0]))
    assert math.sqrt(tensor(4.0)) == 2.0
    assert tensor(A).tolist() == A
    for convert in (float, int, bool):
        with pytest.raises(ValueError, match=r"\(2, 2\)"):
            convert(tensor(A))


def test_iteration_is_along_the_first_dimension_and_ends():
    rows = list(tensor(A, requires_grad=True))
    assert [row.tolist() for row in rows] == A and all(row.requires_grad for row in rows)
    with pytest.raises(TypeError, match="0-d"):
        len(tensor(1.0))
    with pytest.raises(TypeError, match="0-d"):
        list(tensor(1.0))


def test_a_tensor_is_a_key_by_identity():
    x = tensor([1.0])
    assert {x: "x"}[x] == "x" and tensor([1.0]) not in {x}


TEXTS = {
    "tensor([1., 2.])": lambda: minidl.tensor([1.0, 2.0]),
    "tensor([1, 2])": lambda: minidl.tensor([1, 2]),
    "tensor(2.5, dtype=float64)": lambda: tensor(2.5),
    "tensor([1.], requires_grad=True)": lambda: minidl.tensor([1.0], requires_grad=True),
    "tensor([2.], grad_fn=<MulBackward>)": lambda: minidl.tensor([1.0], requires_grad=True) * 2,
    "tensor([[1., 2.],\n        [3., 4.]], dtype=float64)": lambda: tensor(A),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert repr(TEXTS[text]()) == text


# --- NumPy's side -------------------------------------------------------------------------------------------


def test_numpy_shares_memory_and_is_read_only_within_a_graph():
    x = tensor([1.0, 2.0])
    x.numpy()[0] = 9.0
    assert x[0].item() == 9.0
    array = tensor([1.0], requires_grad=True).numpy()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2.0


def test_conversion_by_numpy():
    x = tensor(A)
    assert np.asarray(x) is x.data or np.shares_memory(np.asarray(x), x.data)
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(x, np.float32, copy=False)
    np.testing.assert_array_equal(np.stack([x, x]), [A, A])


def test_tensor_of_many_kinds():
    for given, dtype in (
        ([[1, 2], [3, 4]], np.int64),
        ([True, False], np.bool_),
        ([np.float64(1.0)], np.float64),
        (np.float32(1.0), np.float32),
        (np.arange(3, dtype=np.uint8), np.uint8),
        (tensor(A), np.float64),
    ):
        assert minidl.tensor(given).dtype == dtype
    assert minidl.tensor([1, 2], dtype=np.float32).dtype == np.float32
    source = tensor(A, requires_grad=True)
    copy = minidl.tensor(source)
    assert copy.is_leaf and not copy.requires_grad and not np.shares_memory(copy.data, source.data)
    for given in (["a"], [object()], [1j]):
        with pytest.raises(TypeError, match="tensor: elements must be numbers"):
            minidl.tensor(given)


# --- writing in place ---------------------------------------------------------------------------------------


def test_copy_and_setitem_write_in_place():
    x = tensor(A)
    memory = x.data
    assert x.copy_(tensor(B)) is x and x.data is memory
    np.testing.assert_array_equal(memory, B)
    x[0] = 7.0
    x[minidl.tensor([1]), 1] = tensor([8.0])
    np.testing.assert_array_equal(memory, [[7, 7], [2, 8]])
    with pytest.raises(ValueError, match=r"copy_.*\(3,\).*\(2, 2\)"):
        x.copy_(np.zeros(3))


def test_what_requires_a_gradient_is_written_to_under_no_grad_only():
    x = tensor(A, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"copy_.*no_grad"):
        x.copy_(B)
    with minidl.no_grad():
        x.copy_(B)
    assert x.tolist() == B and x.is_leaf


def test_a_change_through_a_view_or_a_detached_alias_is_noticed():
    for alias in (lambda x: x.detach(), lambda x: x.detach()[0], lambda x: x.detach().reshape(4)):
        x = tensor(A, requires_grad=True)
        y = x * x
        alias(x)[0] = 5.0
        with pytest.raises(RuntimeError, match="in place"):
            y.backward(np.ones((2, 2)))
