"""What a Function may rely on, and what is said of one that breaks its side of the contract."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function, Node, grad


def leaf(*numbers):
    return minidl.tensor(np.array(numbers, dtype=np.float64), requires_grad=True)


class Given(Function):
    """The identity, whose backward gives what the test asks for."""

    answer = None

    @staticmethod
    def forward(ctx, x, *others):
        return x.copy()

    @staticmethod
    def backward(ctx, g):
        return Given.answer(g)


def backward_of(x, *others, answer):
    Given.answer = staticmethod(answer)
    Given.apply(x, *others).backward(np.ones(x.shape))


def test_a_function_without_a_forward_or_without_a_backward():
    class Nothing(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError):
        Nothing.apply(leaf(1.0))
    y = Forward.apply(leaf(1.0))
    with pytest.raises(NotImplementedError):
        y.backward()


def test_as_many_gradients_as_inputs_are_asked_for():
    with pytest.raises(RuntimeError, match="GivenBackward: gave 1 gradients for 2 inputs"):
        backward_of(leaf(1.0), leaf(2.0), answer=lambda g: g)
    with pytest.raises(RuntimeError, match="GivenBackward: gave 2 gradients for 1 inputs"):
        backward_of(leaf(1.0), answer=lambda g: (g, g))


def test_a_gradient_has_the_shape_of_its_input():
    message = r"GivenBackward: gradient 1 has shape \(1,\), but input 1 has shape \(2,\)"
    for second in (leaf(2.0, 3.0), leaf(2.0, 3.0) * 1):
        with pytest.raises(RuntimeError, match=message):
            backward_of(leaf(1.0), second, answer=lambda g: (g, g))
    rows = minidl.tensor(np.ones((2, 3)), requires_grad=True)
    values, _ = ops.max(rows, 1)  # one output of several: it is that output's shape that counts
    with pytest.raises(RuntimeError, match=r"gradient 0 has shape \(3,\), but input 0 has shape \(2,\)"):
        backward_of(values, answer=lambda g: np.ones(3))


def test_a_gradient_that_is_not_wanted_may_be_left_out_or_be_anything():
    x, constant = leaf(1.0), minidl.tensor([1.0, 2.0])
    for unwanted in (None, np.ones(7)):
        x.grad = None
        backward_of(x, constant, answer=lambda g, u=unwanted: (g, u))
        assert x.grad.item() == 1.0
    x.grad = None
    backward_of(x, answer=lambda g: None)
    assert x.grad is None


class Halves(Function):
    """Two outputs of different shapes and dtypes; notes the cotangents."""

    seen = None

    @staticmethod
    def forward(ctx, x):
        return x[:1].copy(), x[1:].astype(np.float32)

    @staticmethod
    def backward(ctx, first, second):
        Halves.seen = first, second
        return np.concatenate([first, second])


def test_the_cotangent_of_an_output_that_was_not_used_is_zeros_of_its_shape_and_dtype():
    x = leaf(1.0, 2.0, 3.0)
    first, second = Halves.apply(x)
    second.backward(np.float32([5, 7]))
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 5.0, 7.0])
    zeros, given = Halves.seen
    assert zeros.shape == (1,) and zeros.dtype == np.float64 and not zeros.any()
    assert given.dtype == np.float32
    first, second = Halves.apply(x)
    x.grad = None
    first.backward(np.array([9.0]))
    zeros = Halves.seen[1]
    assert zeros.shape == (2,) and zeros.dtype == np.float32 and not zeros.any()


def test_forward_is_told_which_gradients_are_wanted():
    wanted = []

    class Asks(Function):
        @staticmethod
        def forward(ctx, *inputs):
            wanted.append(ctx.needs_input_grad)
            return inputs[0] * 1

    x, constant = leaf(1.0), minidl.tensor([2.0])
    Asks.apply(x, constant, 3.0, None)
    Asks.apply(constant, x)
    with minidl.no_grad():
        assert not Asks.apply(x).requires_grad
    assert wanted == [(True, False, False, False), (False, True), (False,)]


def test_a_node_knows_its_name_and_where_its_gradients_go():
    x, constant = leaf(1.0), minidl.tensor([2.0])
    y = x * constant
    z = y + x
    assert repr(y.grad_fn) == "<MulBackward>" and y.grad_fn.name() == "MulBackward"
    assert y.grad_fn.next_functions == [x, None]
    (node, index), to_x = z.grad_fn.next_functions
    assert node is y.grad_fn and index == 0 and to_x is x
    z.grad_fn.next_functions.clear()  # a copy
    assert len(z.grad_fn.next_functions) == 2


@pytest.mark.parametrize(
    ("function", "name"),
    [(ops.conv2d, "conv2d"), (ops.max_pool2d, "max_pool2d"), (ops.leaky_relu, "leaky_relu")],
)
def test_the_name_in_messages_is_the_public_functions(function, name):
    class_name = "".join(part.capitalize() for part in name.split("_"))
    assert type(class_name, (Function,), {}).operation() == name == function.__name__


# --- one array as several inputs ---


class Weighted(Function):
    """a b x^2 with two options that are no arrays; a and b are constants."""

    @staticmethod
    def forward(ctx, a, b, x, first, second):
        ctx.save(a, b, x)
        return a * b * x * x

    @staticmethod
    def backward(ctx, g):
        a, b, x = ctx.saved
        return None, None, 2 * a * b * x * g, None, None

    tensor_backward = backward


@pytest.mark.parametrize("options", [(None, None), (2.0, 2.0)])
def test_one_array_in_three_places_has_a_gradient_only_where_it_is_asked_for(options):
    """a = b = x = 3 share their memory; the derivatives along x are 2 a b x = 54 and 2 a b = 18."""
    x = leaf(3.0)
    (first,) = grad(Weighted.apply(x.detach(), x.detach(), x, *options), x, create_graph=True)
    (second,) = grad(first, x)
    assert (first.item(), second.item()) == (54.0, 18.0)


# --- tensor_backward ---


class OnBoth(Function):
    """2 x, whose backward notes on what it works."""

    kinds: tuple[type, ...] = ()

    @staticmethod
    def forward(ctx, x):
        ctx.save(x, 2.0, None)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        x, number, nothing = ctx.saved
        OnBoth.kinds = type(x), type(g), type(number), type(nothing)
        return g * number

    @staticmethod
    def tensor_backward(ctx, g):
        OnBoth.backward(ctx, g)
        if g.data[0] < 0:
            raise ZeroDivisionError
        return g * 2


def test_saved_are_tensors_only_while_tensor_backward_runs():
    on_arrays = (np.ndarray, np.ndarray, float, type(None))
    x = leaf(3.0)
    y = OnBoth.apply(x)
    grad(y, x, create_graph=True)
    assert OnBoth.kinds == (minidl.Tensor, minidl.Tensor, float, type(None))
    grad(y, x, retain_graph=True)
    assert OnBoth.kinds == on_arrays
    with pytest.raises(ZeroDivisionError):
        grad(y, x, np.array([-1.0]), create_graph=True)
    grad(y, x)
    assert OnBoth.kinds == on_arrays


class Chosen(Function):
    """The first element, and its index (an integer), which is saved."""

    @staticmethod
    def forward(ctx, x):
        index = np.zeros(1, np.int64)
        ctx.save(x, index)
        return x[:1] ** 2, index

    @staticmethod
    def backward(ctx, g, of_index):
        raise AssertionError("only on tensors here")

    @staticmethod
    def tensor_backward(ctx, g, of_index):
        x, index = ctx.saved
        assert not index.requires_grad and index.grad_fn is None
        return ops.pad(2 * x[index] * g, (0, x.shape[0] - 1))


def test_a_saved_output_of_integers_is_a_constant():
    x = leaf(3.0, 5.0)
    y, index = Chosen.apply(x)
    assert not index.requires_grad
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first.sum(), x)
    assert first.tolist() == [6.0, 0.0] and second.tolist() == [2.0, 0.0]


class Masked(Function):
    """x^2 where x > 0, with a mask that is neither input nor output."""

    @staticmethod
    def forward(ctx, x):
        mask = (x > 0).astype(x.dtype)
        ctx.save(x, mask)
        return x * x * mask

    @staticmethod
    def backward(ctx, g):
        x, mask = ctx.saved
        return 2 * x * mask * g

    tensor_backward = backward


def test_whatever_else_is_saved_counts_as_a_constant():
    x = leaf(3.0, -5.0)
    (first,) = grad(Masked.apply(x).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x)
    assert first.tolist() == [6.0, 0.0] and second.tolist() == [2.0, 0.0]


def test_a_constant_changed_between_the_first_and_the_second_derivative_is_noticed():
    x, constant = leaf(3.0), minidl.tensor(np.array([5.0]))
    seed = leaf(2.0)
    (slope,) = grad(x * constant, x, seed, create_graph=True)  # seed times the constant
    assert grad(slope, seed, retain_graph=True)[0].item() == 5.0
    constant[0] = 7.0
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        grad(slope, seed)


def test_parts_of_one_array_have_versions_of_their_own():

    class KeepsSecond(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save(y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved[0], None

    memory = np.array([2.0, 3.0])
    x, y = minidl.Tensor(memory[:1], requires_grad=True), minidl.Tensor(memory[1:])
    product = KeepsSecond.apply(x, y)
    with minidl.no_grad():
        x[0] = 5.0
    product.backward(retain_graph=True)
    assert x.grad.item() == 3.0
    y[0] = 7.0
    with pytest.raises(
        RuntimeError, match=r"keeps_second: .*changed in place after forward \(version 1, exp"
    ):
        product.backward()


def test_a_function_need_not_be_used_through_tensors():
    y = ops.arithmetic.Add.apply(np.ones(2), np.ones(2))
    assert y.tolist() == [2.0, 2.0] and not y.requires_grad
    same = type("Same", (Function,), {"forward": staticmethod(lambda ctx, x: x)})
    assert same.apply(np.ones(2)).tolist() == [1.0, 1.0]
    assert Node(Given, (leaf(1.0),), (np.ones(1),)).saved == ()
