"""Second derivatives: create_graph, gradgradcheck, and what is refused."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function, grad


def leaf(*numbers):
    return minidl.tensor(np.array(numbers, dtype=np.float64), requires_grad=True)


def test_derivatives_of_a_polynomial_to_the_fourth():
    x = leaf(1.5, -2.0)
    y = (x * x * x * x).sum()
    expected = [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x, lambda x: 24 + 0 * x]
    for derivative in expected:
        (g,) = grad(y, x, create_graph=True)
        np.testing.assert_allclose(g.numpy(), derivative(x.numpy()), rtol=1e-13)
        y = g.sum()


def test_derivatives_of_a_tower_of_functions():
    x = leaf(0.7)
    y = (x.tanh() * x.exp()).log()  # log tanh x + x
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first, x, create_graph=True)
    t = math.tanh(0.7)
    slope = 1 - t * t
    np.testing.assert_allclose(first.item(), slope / t + 1, rtol=1e-12)
    np.testing.assert_allclose(second.item(), -2 * slope - (slope / t) ** 2, rtol=1e-12)


def test_backward_fills_grad_with_tensors_of_a_graph():
    x = leaf(3.0)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.item() == 27.0
    first, x.grad = x.grad, None
    first.backward()
    assert x.grad.item() == 18.0 and not x.grad.requires_grad


def test_a_gradient_that_is_part_of_a_graph_is_not_added_to_in_place():
    x = leaf(3.0)
    (x * x).sum().backward(create_graph=True)
    first = x.grad
    (x * 5).sum().backward()
    assert x.grad.item() == 11.0
    assert first.item() == 6.0


class ExpOfScalar(Function):
    """e^x; where the input has no dimensions, NumPy's result, which is saved, is a scalar and no array."""

    @staticmethod
    def forward(ctx, x):
        y = np.exp(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved
        return g * y

    tensor_backward = backward


def test_a_saved_output_without_dimensions_is_still_the_output():
    x = minidl.tensor(0.5, requires_grad=True, dtype="float64")
    (first,) = grad(ExpOfScalar.apply(x), x, create_graph=True)
    (second,) = grad(first, x, create_graph=True)
    (third,) = grad(second, x)
    assert first.item() == second.item() == third.item() == math.exp(0.5)


def test_a_saved_scalar_output_that_was_written_to_raises():
    x = minidl.tensor(0.5, requires_grad=True, dtype="float64")
    y = ExpOfScalar.apply(x)
    y.detach().copy_(3.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_a_penalty_on_the_gradient_trains_through_it():
    """d/dw of (d/dx w x^2)^2 = (2 w x)^2 is 8 w x^2."""
    x, w = leaf(2.0), leaf(3.0)
    (slope,) = grad(w * x * x, x, create_graph=True)
    (slope * slope).sum().backward()
    assert w.grad.item() == 96.0
    assert x.grad.item() == 8 * 9.0 * 2.0  # d/dx 4 w^2 x^2


def test_detached_twins_are_constants():
    """Both inputs are one array: only one of them has a gradient."""
    x = leaf(3.0)
    (g,) = grad(x * x.detach(), x, create_graph=True)
    assert g.item() == 3.0
    assert not g.requires_grad or grad(g, x, allow_unused=True) == (None,)
    (g,) = grad(x.detach() * x * x, x, create_graph=True)
    assert grad(g, x)[0].item() == 6.0


def test_without_create_graph_gradients_have_no_graph():
    x = leaf(3.0)
    (g,) = grad(x * x, x)
    assert not g.requires_grad


class NotTwice(Function):
    """x^2 with a backward on arrays only."""

    @staticmethod
    def forward(ctx, x):
        ctx.save(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved
        return 2 * x * g


def test_an_operation_without_a_tensor_backward_is_named():
    x = leaf(3.0)
    with pytest.raises(RuntimeError, match="not_twice: create_graph=True"):
        grad(NotTwice.apply(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="not_twice: create_graph=True"):
        NotTwice.apply(x).sum().backward(create_graph=True)


def test_one_that_is_not_walked_through_is_no_obstacle():
    x, w = leaf(3.0), leaf(4.0)
    (g,) = grad(NotTwice.apply(w) * x * x, x, create_graph=True)
    assert grad(g, x)[0].item() == 32.0


class Lost(NotTwice):
    """A backward that turns tensors into arrays: the graph would end there without a word."""

    @staticmethod
    def tensor_backward(ctx, g):
        (x,) = ctx.saved
        return 2 * x.detach().numpy() * g.detach().numpy()


def test_a_tensor_backward_that_gives_arrays_is_refused():
    x = leaf(3.0)
    with pytest.raises(RuntimeError, match="LostBackward: tensor_backward must give tensors, got ndarray"):
        grad(Lost.apply(x), x, create_graph=True)


class Constant(NotTwice):
    """A backward whose factor is cut off from x: its derivative is wrong, though its value is right."""

    @staticmethod
    def tensor_backward(ctx, g):
        (x,) = ctx.saved
        return 2 * x.detach() * g


def test_gradgradcheck_finds_a_graph_that_was_cut():
    x = leaf(3.0, 0.5)
    assert minidl.gradcheck(Constant.apply, x)
    with pytest.raises(minidl.GradcheckError, match="input 0, element"):
        minidl.gradgradcheck(Constant.apply, x)
    assert not minidl.gradgradcheck(Constant.apply, x, raise_exception=False)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x.exp(),
        lambda x: ops.softmax(x, 1),
        lambda x: (x @ x.transpose(0, 1)).tanh().sum(dim=0),
        lambda x: ops.relu(x) * x,
        lambda x: x.reshape(4, 2).permute(1, 0)[:, 1:] * 3 / (x.sum() + 10),
    ],
    ids=["exp", "softmax", "matmul", "relu", "views"],
)
def test_gradgradcheck_of_compositions(function):
    x = minidl.tensor(np.random.default_rng(0).normal(size=(2, 4)), requires_grad=True)
    assert minidl.gradgradcheck(function, x)


def test_mutation_between_forward_and_a_recorded_backward_raises():
    x = leaf(3.0)
    y = x * x
    with minidl.no_grad():
        x[0] = 5.0
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        grad(y, x, create_graph=True)


def test_replaced_data_is_noticed():
    x = leaf(3.0)
    y = x * x
    x.data = np.array([7.0])
    with pytest.raises(RuntimeError, match=r"mul: the \.data of a tensor of shape \(1,\) was replaced"):
        grad(y, x, create_graph=True)


def test_the_graph_of_a_gradient_is_freed_without_the_collector():
    x = leaf(3.0)
    y = x.exp() * x
    gc.disable()
    try:
        (g,) = grad(y, x, create_graph=True)
        node = weakref.ref(g.grad_fn)
        assert grad(g, x)[0].item() == pytest.approx(math.exp(3) * 5)
        del g, y
        assert node() is None
    finally:
        gc.enable()


def test_hooks_see_tensors_with_a_graph():
    x = leaf(3.0)
    y = x * x
    seen = []
    y.register_hook(seen.append)
    (g,) = grad((y * y).sum(), x, create_graph=True)
    assert seen[0].requires_grad and seen[0].item() == 18.0
    assert g.item() == 108.0
