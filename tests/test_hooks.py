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
