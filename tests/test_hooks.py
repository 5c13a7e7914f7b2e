"""Hooks on gradients: they see what flows, may replace it, and can be taken off again."""

from __future__ import annotations

import numpy as np
import pytest

import minidl


def leaf(*numbers):
    return minidl.tensor(np.array(numbers), requires_grad=True)


def test_a_hook_on_a_computed_tensor_sees_its_whole_gradient_once():
    x = leaf(2.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * y + y).backward()  # two paths: 2y + 1 = 13
    assert seen == [13.0] and x.grad.item() == 39.0


def test_what_a_hook_returns_replaces_the_gradient():
    x = leaf(2.0, 3.0)
    y = x * 1
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)  # in the order of registration
    y.backward(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [11, 21])


def test_a_hook_on_a_leaf():
    x = leaf(2.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: g * 2)
    (x * 5).backward()
    (x * 7).backward()
    assert seen == [5.0, 7.0] and x.grad.item() == 24.0


@pytest.mark.parametrize("computed", [False, True])
def test_a_hook_can_be_removed(computed):
    x = leaf(2.0)
    y = x * 1 if computed else x
    handle = y.register_hook(lambda g: g * 100)
    handle.remove()
    handle.remove()  # once more does no harm
    (y * 3).backward()
    assert x.grad.item() == 3.0


def test_without_a_gradient_there_is_nothing_to_hook():
    with pytest.raises(RuntimeError, match="register_hook"):
        minidl.tensor(1.0).register_hook(print)


def test_retain_grad_fills_in_and_accumulates_the_gradient_of_a_computed_tensor():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    z = y * y
    z.backward(retain_graph=True)
    assert y.grad.item() == 12.0
    z.backward()
    assert y.grad.item() == 24.0 and x.grad.item() == 72.0


def test_one_output_of_several_can_be_hooked():
    x = minidl.tensor(np.array([[1.0, 3.0], [4.0, 2.0]]), requires_grad=True)
    values, _ = x.max(1)
    values.register_hook(lambda g: g * 10)
    values.backward(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 10], [20, 0]])


def test_a_hook_on_a_leaf_sees_the_sum_over_all_paths_once():
    """As torch's: d(x^2)/dx comes in two parts, of which the hook sees the sum, 6."""
    x, seen = leaf(3.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: g + 1)
    (x * x).backward()
    assert seen == [6.0] and x.grad.item() == 7.0
    (x * x).backward()
    assert seen == [6.0, 6.0] and x.grad.item() == 14.0
    assert minidl.autograd.grad(x * x, x)[0].item() == 7.0
    assert minidl.autograd.grad(x * x, [x, x])[1].item() == 7.0
    assert seen == [6.0] * 4
    assert x.grad.item() == 14.0


def test_a_hook_on_a_leaf_runs_only_where_its_gradient_is_asked_for():
    x, w, seen = leaf(3.0), leaf(5.0), []
    w.register_hook(seen.append)
    assert minidl.autograd.grad(x * w, x)[0].item() == 5.0
    assert seen == [] and w.grad is None


def test_hooks_on_leaves_and_second_derivatives():
    """What the hook makes of the gradient is differentiated too: d/dx (10 * 2 x) = 20."""
    x = leaf(3.0)
    x.register_hook(lambda g: g * 10)
    (slope,) = minidl.autograd.grad(x * x, x, create_graph=True)
    assert slope.item() == 60.0
    slope.backward()
    assert x.grad.item() == 200.0  # 20 times the hook's 10, once more


def test_a_checkpoint_leaves_the_hooks_of_its_inputs_to_the_walk_around_it():
    x, seen = leaf(3.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: g * 2)
    minidl.autograd.checkpoint(lambda x: x * x, x).backward()
    assert seen == [6.0] and x.grad.item() == 12.0


def test_an_output_that_nothing_was_made_of_has_no_gradient_to_hook():
    x = minidl.tensor(np.array([[4.0, 8.0], [2.0, 6.0]]), requires_grad=True)
    first, second = minidl.autograd.checkpoint(lambda x: (x * 1, x * 2), x)
    seen = []
    second.register_hook(seen.append)
    first.sum().backward()
    assert seen == []
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 2)))
