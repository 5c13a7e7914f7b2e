"""The engine: order of the walk, accumulation, broadcasting, what starts a walk, and what is recorded."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import minidl
from minidl import ops


def leaf(*numbers):
    return minidl.tensor(np.array(numbers), requires_grad=True)


# --- the walk ---


def test_gradients_accumulate_over_calls_until_they_are_cleared():
    x = leaf(2.0, -1.0)
    (x * 3).backward(np.array([1.0, 10.0]))
    (x * x).backward(np.array([1.0, 1.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [3 + 4, 30 - 2])
    x.grad = None
    (x * 3).backward(np.array([1.0, 1.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_a_diamond_sums_over_its_paths_before_going_on():
    # y = 2x, z = y·y + 3y: dz/dx = (2y + 3)·2. A walk in the wrong order would send y's first part on alone.
    x = leaf(5.0)
    y = x * 2
    (y * y + y * 3).backward()
    assert x.grad.item() == (2 * 10 + 3) * 2


def test_paths_of_different_length_to_a_shared_node():
    # The short path's consumer is made last and visited first; the shared node must still wait for the long
    # one.
    x = leaf(1.5)
    shared = x * x
    long = shared
    for _ in range(5):
        long = long * 2
    (long + shared).backward()
    assert x.grad.item() == 33 * 2 * 1.5


def test_a_ladder_of_diamonds_is_walked_once_per_node():
    # 2^200 paths, 400 nodes: only a walk that visits every node once comes back.
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_a_chain_of_twenty_thousand_operations():
    x = leaf(1.0, 2.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward(np.array([2.0, 3.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 3.0])
    del y  # letting go of the chain must not recurse either
    gc.collect()


def test_a_chain_that_is_never_walked_can_be_let_go():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    del y
    gc.collect()


def test_only_what_leads_to_a_leaf_is_computed():
    x, constant = leaf(1.0), minidl.tensor(np.array([2.0]))
    (x * constant).backward()
    assert constant.grad is None and not (constant * constant).requires_grad
    assert (constant * constant).grad_fn is None


def test_several_outputs_of_one_op_share_a_node():
    x = minidl.tensor(np.array([[1.0, 3.0], [4.0, 2.0]]), requires_grad=True)
    values, indices = ops.max(x, 1)
    assert values.requires_grad and not indices.requires_grad
    (values * values).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 6], [80, 0]])


# --- broadcasting ---


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 3), (1, 1), (2, 3)])
def test_broadcasting_is_undone(shape):
    g = np.random.default_rng(1).normal(size=(2, 3))
    small = minidl.tensor(np.full(shape, 2.0), requires_grad=True)
    (small + np.zeros((2, 3))).backward(g)
    expected = np.zeros(shape)
    for i, j in np.ndindex(2, 3):
        index = (i, j)[2 - len(shape) :]
        expected[tuple(0 if n == 1 else k for k, n in zip(index, shape, strict=True))] += g[i, j]
    assert small.grad.shape == shape
    np.testing.assert_allclose(small.grad.numpy(), expected, rtol=1e-14, atol=1e-15)


# --- starting the walk ---


def test_a_scalar_starts_with_one_and_anything_else_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError) as caught:
        (x * x).backward()
    assert "(2,)" in str(caught.value) and "gradient" in str(caught.value)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_the_gradient_argument_may_be_an_array_or_a_tensor_of_the_same_shape():
    for wrap in (np.array, lambda a: minidl.tensor(np.array(a))):
        x = leaf(1.0, 2.0)
        (x * x).backward(gradient=wrap([3.0, 5.0]))
        np.testing.assert_array_equal(x.grad.numpy(), [6, 20])
    with pytest.raises((RuntimeError, ValueError)) as caught:
        (x * x).backward(np.ones(3))
    assert "(3,)" in str(caught.value) and "(2,)" in str(caught.value)


def test_a_leaf_can_be_walked_itself():
    x = leaf(1.0, 2.0)
    x.backward(np.array([3.0, 4.0]))
    x.backward(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [6, 8])


def test_nothing_to_differentiate():
    with pytest.raises(RuntimeError, match="grad"):
        minidl.tensor(1.0).backward()


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_have_no_gradient(dtype):
    with pytest.raises((RuntimeError, TypeError), match="float"):
        minidl.tensor(np.ones(3, dtype), requires_grad=True)


# --- what is recorded ---


def test_no_grad_as_a_block_and_as_a_decorator():
    x = leaf(1.0)
    with minidl.no_grad():
        assert not (x * 2).requires_grad
        with minidl.no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @minidl.no_grad()
    def double(t):
        return t * 2

    assert not double(x).requires_grad and (x * 2).requires_grad


def test_no_grad_ends_with_an_exception_too():
    x = leaf(1.0)
    with pytest.raises(KeyError), minidl.no_grad():
        raise KeyError("inside")
    assert (x * 2).requires_grad


def test_no_grad_belongs_to_its_thread():
    x = leaf(1.0)
    inside, checked = threading.Event(), threading.Event()
    seen: dict[str, bool] = {}

    def other():
        with minidl.no_grad():
            inside.set()
            checked.wait(10)
            seen["other"] = (x * 2).requires_grad

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    seen["main"] = (x * 2).requires_grad
    checked.set()
    thread.join()
    assert seen == {"main": True, "other": False}


def test_threads_walk_their_own_graphs():
    w = np.random.default_rng(0).normal(size=(8, 8))
    results: dict[int, np.ndarray] = {}

    def work(number):
        x = minidl.tensor(np.full((8, 8), float(number)), requires_grad=True)
        for _ in range(50):
            x.grad = None
            (x @ minidl.tensor(w)).backward(np.eye(8))
        results[number] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_allclose(results[number], w.T, rtol=1e-14)


def test_detach_cuts_the_graph_and_shares_the_values():
    x = leaf(2.0, 3.0)
    y = x * x
    cut = y.detach()
    assert not cut.requires_grad and cut.grad_fn is None
    assert np.shares_memory(cut.numpy(), y.numpy())
    (cut * x).backward(np.array([1.0, 1.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [4, 9])  # d(c x)/dx = c, not 3x^2


def test_grad_fn_names_the_operation():
    x = leaf(1.0)
    assert x.grad_fn is None and x.is_leaf
    assert "Mul" in (x * x).grad_fn.name() and "Exp" in x.exp().grad_fn.name()
    assert "mul" in repr(x * x).lower()


def test_only_leaves_keep_their_gradient():
    x = leaf(1.0)
    y = x * 2
    (y * 3).backward()
    assert y.grad is None and x.grad.item() == 6


def test_backward_is_a_function_too_and_records_nothing_unless_asked_to():
    x = leaf(3.0)
    y = x * x * x
    minidl.autograd.backward(y)
    assert x.grad.item() == 27.0 and not x.grad.requires_grad
    with pytest.raises(RuntimeError, match="retain_graph"):
        minidl.autograd.backward(y)
