"""Tensors as values: copies, dtypes, memory order, conversion; and the errors of users' own operations."""

from __future__ import annotations

import numpy as np
import pytest

import minidl


def leaf(*numbers):
    return minidl.tensor(np.array(numbers), requires_grad=True)


def test_tensor_copies_and_chooses_its_dtype():
    array = np.array([1.0, 2.0])
    x = minidl.tensor(array)
    array[0] = 9
    assert x.numpy()[0] == 1.0 and x.dtype == np.float64
    assert minidl.tensor([1.0, 2.0]).dtype == np.float32
    assert minidl.tensor(1.0).dtype == np.float32 and minidl.tensor(1.0).shape == ()
    assert minidl.tensor([1, 2]).dtype == np.int64
    with pytest.raises((TypeError, ValueError)):
        minidl.tensor(np.array(["a"]))


@pytest.mark.parametrize("view", ["fortran", "reversed", "sliced"])
def test_tensor_of_any_memory_order_is_in_c_order(view):
    from oracles import strategies

    array = np.random.default_rng(0).normal(size=(3, 4))
    x = minidl.tensor(strategies.memory_orders(array)[view])
    np.testing.assert_array_equal(x.numpy(), array)
    assert x.numpy().flags.c_contiguous


def test_item_and_conversion_to_arrays():
    assert minidl.tensor(2.5).item() == 2.5
    with pytest.raises((ValueError, RuntimeError)) as caught:
        minidl.tensor([1.0, 2.0]).item()
    assert "(2,)" in str(caught.value)
    x = leaf(1.0, 2.0)
    np.testing.assert_array_equal(np.asarray(x), [1, 2])
    np.testing.assert_array_equal(np.exp(np.asarray(x.detach())), np.exp([1.0, 2.0]))


@pytest.mark.parametrize("method", ["double", "astype"])
def test_a_cast_casts_the_gradient_back(method):
    x = minidl.tensor(np.array([1.5, -2.0], np.float32), requires_grad=True)
    y = x.double() if method == "double" else x.astype(np.float64)
    assert y.dtype == np.float64 and y.requires_grad
    np.testing.assert_array_equal(y.detach().numpy(), [1.5, -2.0])
    y.backward(np.array([0.1, 10.0]))
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), np.array([0.1, 10.0], np.float32))


def test_a_cast_to_the_own_dtype_changes_nothing_and_float_gives_float32():
    x = leaf(1.0, 2.0)
    assert x.double().dtype == np.float64
    x.double().backward(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])
    assert x.float().dtype == np.float32
    assert minidl.tensor(np.array([1, 2])).float().dtype == np.float32


def test_a_users_own_operation_with_a_wrong_number_or_shape_of_gradients_is_named():
    from minidl.autograd import Function

    class TwoInputs(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, g):
            return g

    class WrongShape(Function):
        @staticmethod
        def forward(ctx, a):
            return a.sum(keepdims=True)

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(RuntimeError, match=r"TwoInputs.*1 gradients for 2 inputs"):
        TwoInputs.apply(leaf(1.0), leaf(2.0)).backward()
    with pytest.raises(RuntimeError) as caught:
        WrongShape.apply(leaf(1.0, 2.0)).backward()
    assert "WrongShape" in str(caught.value) and "(1,)" in str(caught.value) and "(2,)" in str(caught.value)


def test_the_same_array_again_gives_the_same_bits():
    """One seed, one result: the walk's order does not depend on hashes or addresses."""
    grads = []
    for _ in range(3):
        rng = np.random.default_rng(0)
        x = minidl.tensor(rng.normal(size=(40, 40)).astype(np.float32), requires_grad=True)
        parts = [(x * float(k)).tanh() for k in rng.normal(size=20)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part @ x
        total.backward(rng.normal(size=(40, 40)))
        grads.append(x.grad.numpy().tobytes())
    assert len(set(grads)) == 1
