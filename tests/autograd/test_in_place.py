"""Whatever is written in place between a forward and its backward is noticed, and the operation named."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, ops, optim
from minidl.autograd import grad


def positive(*shape):
    return np.random.default_rng(0).uniform(0.5, 2.0, shape)


# --- the ways of writing: each takes the tensor that a forward saved ---


def setitem(x):
    with minidl.no_grad():
        x[0] = 9.0


def setitem_through_a_view(x):
    with minidl.no_grad():
        x.reshape(-1)[0] = 9.0


def setitem_through_a_view_of_a_view(x):
    with minidl.no_grad():
        x.permute(1, 0)[0].reshape(-1)[0:1][0] = 9.0


def copy_into_a_slice(x):
    with minidl.no_grad():
        x[0].copy_(np.full(x.shape[1:], 9.0))


def through_detach(x):
    x.detach()[0] = 9.0


def through_a_view_of_detach(x):
    x.detach().reshape(-1)[:1].copy_([9.0])


def out_argument(x):
    values = minidl.tensor(np.ones(x.shape))
    with minidl.no_grad():
        ops.add(values, values, out=x.detach())


def out_argument_of_a_view(x):
    values = minidl.tensor(np.ones(x.shape[1:]))
    with minidl.no_grad():
        ops.mul(values, values, out=x.detach()[0])


def initialisation(x):
    nn.init.ones_(x)


def optimizer_step(x):
    before, x.grad = x.grad, minidl.tensor(np.ones(x.shape))
    optim.SGD([x], lr=0.1).step()
    x.grad = before


WAYS = [
    setitem,
    setitem_through_a_view,
    setitem_through_a_view_of_a_view,
    copy_into_a_slice,
    through_detach,
    through_a_view_of_detach,
    out_argument,
    out_argument_of_a_view,
    initialisation,
    optimizer_step,
]

SAVING = {
    "mul": lambda x: x * x,
    "div": lambda x: 1.0 / x,
    "pow": lambda x: x**3,
    "log": lambda x: x.log(),
    "matmul": lambda x: x @ x.transpose(0, 1),
    "linear": lambda x: ops.linear(x, x),
    "conv2d": lambda x: ops.conv2d(x.reshape(1, 1, *x.shape), x.reshape(1, 1, *x.shape)),
    "abs": lambda x: x.abs(),
}


@pytest.mark.parametrize("write", WAYS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", SAVING)
def test_a_saved_input_that_was_written_to(name, write):
    x = minidl.tensor(positive(3, 3), requires_grad=True)
    y = SAVING[name](x)
    write(x)
    with pytest.raises(RuntimeError, match=f"^{name}: an array of shape .* changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("write", [w for w in WAYS if w is not optimizer_step], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "softmax", "relu"])
def test_a_saved_output_that_was_written_to(name, write):
    x = minidl.tensor(positive(3, 3), requires_grad=True)
    y = getattr(x, name)(1) if name == "softmax" else getattr(x, name)()
    with minidl.no_grad():
        write(y)
    with pytest.raises(RuntimeError, match=f"^{name}: an array of shape .* changed in place"):
        y.backward(np.ones((3, 3)))


@pytest.mark.parametrize("write", WAYS, ids=lambda f: f.__name__)
def test_writing_to_what_no_backward_needs_is_allowed(write):
    x = minidl.tensor(positive(3, 3), requires_grad=True)
    y = (x + 1.0) * 2.0
    write(x)
    (dx,) = grad(y, x, np.ones((3, 3)))
    np.testing.assert_array_equal(dx.numpy(), np.full((3, 3), 2.0))


def test_a_graph_made_after_the_writing_is_fine():
    x = minidl.tensor(positive(3, 3), requires_grad=True)
    setitem(x)
    (dx,) = grad((x * x).sum(), x)
    np.testing.assert_array_equal(dx.numpy(), 2 * x.numpy())


def test_writing_in_place_while_recording_is_refused():
    x = minidl.tensor(positive(2, 2), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"__setitem__.*no_grad"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="no_grad"):
        x.copy_(np.zeros((2, 2)))


def test_the_array_of_a_tensor_with_a_gradient_is_read_only():
    x = minidl.tensor(positive(2), requires_grad=True)
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 1.0


def test_what_cannot_be_noticed_writing_to_the_array_behind_a_detached_tensor():
    """The one hole, documented at Tensor.numpy: the array of a detached tensor belongs to NumPy."""
    x = minidl.tensor(np.array([2.0]), requires_grad=True)
    y = x * x
    x.detach().numpy()[0] = 5.0
    y.sum().backward()
    assert x.grad.item() == 10.0  # the derivative at 5, not at 2
    assert "not* noticed" in minidl.Tensor.numpy.__doc__
