"""The checker is checked: wrong backwards are caught, right ones pass, kinks are told apart from mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function


def leaf(array):
    return minidl.tensor(np.asarray(array, np.float64), requires_grad=True)


def planted(forward, backward):
    """An operation with this forward and this (wrong) backward; both get the inputs' arrays."""

    class Planted(Function):
        @staticmethod
        def forward(ctx, *arrays):
            ctx.save(*arrays)
            return forward(*arrays)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved)

    return lambda *tensors: Planted.apply(*tensors)


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def matmul_backward(g, a, b):
    return g @ b.T, a.T @ g


SQUARE = np.random.default_rng(0).normal(size=(3, 3))
OTHER = np.random.default_rng(1).normal(size=(3, 3))

#: name -> (forward, wrong backward, inputs)
WRONG = {
    "sign": (np.sin, lambda g, x: -g * np.cos(x), [SQUARE]),
    "twice": (np.sin, lambda g, x: 2 * g * np.cos(x), [SQUARE]),
    "a thousandth too large": (np.sin, lambda g, x: 1.001 * g * np.cos(x), [SQUARE]),
    "missing transpose": (np.matmul, lambda g, a, b: (g @ b, a.T @ g), [SQUARE, OTHER]),
    "inputs exchanged": (np.matmul, lambda g, a, b: matmul_backward(g, a, b)[::-1], [SQUARE, OTHER]),
    "missing 1/N": (lambda x: x.mean(1), lambda g, x: np.broadcast_to(g[:, None], x.shape), [SQUARE]),
    "zeros for a softmax, which a sum cannot see": (softmax, lambda g, x: np.zeros_like(x), [SQUARE]),
    "softmax without its coupling": (softmax, lambda g, x: g * softmax(x) * (1 - softmax(x)), [SQUARE]),
    "transposed, which ones cannot see": (np.transpose, lambda g, x: g, [SQUARE]),
    "flipped, which ones cannot see": (lambda x: x[::-1], lambda g, x: g, [SQUARE]),
    "only one element": (np.sin, lambda g, x: g * np.cos(x) + 1e-3 * np.eye(9)[4].reshape(3, 3), [SQUARE]),
    "relu on the wrong side": (lambda x: np.maximum(x, 0), lambda g, x: g * (x < 0), [SQUARE]),
    "leaky where it should not": (
        lambda x: np.maximum(x, 0),
        lambda g, x: np.where(x > 0, g, 0.01 * g),
        [SQUARE],
    ),
    "ignored cotangent": (np.sin, lambda g, x: np.cos(x), [SQUARE]),
    "no gradient at all": (np.sin, lambda g, x: None, [SQUARE]),
    "second input forgotten": (np.multiply, lambda g, a, b: (g * b, None), [SQUARE, OTHER]),
    "broadcast not undone, averaged": (
        lambda a, b: a + b,
        lambda g, a, b: (g, g.mean(0, keepdims=True)),
        [SQUARE, OTHER[:1]],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_wrong_backward_is_caught(name):
    forward, backward, arrays = WRONG[name]
    fn = planted(forward, backward)
    with pytest.raises(minidl.GradcheckError, match="gradcheck"):
        minidl.gradcheck(fn, [leaf(a) for a in arrays])
    assert not minidl.gradcheck(fn, [leaf(a) for a in arrays], raise_exception=False)


RIGHT = {
    "sine": (np.sin, lambda g, x: g * np.cos(x), [SQUARE]),
    "product": (np.matmul, matmul_backward, [SQUARE, OTHER]),
    "steep": (lambda x: np.exp(5 * x), lambda g, x: 5 * g * np.exp(5 * x), [SQUARE]),
    "tiny": (lambda x: 1e-6 * np.sin(x), lambda g, x: 1e-6 * g * np.cos(x), [SQUARE]),
    "large inputs": (lambda x: x * x, lambda g, x: 2 * x * g, [1e6 * SQUARE]),
    "a scalar": (lambda x: x * x, lambda g, x: 2 * x * g, [np.array(1.5)]),
    "nothing": (np.sin, lambda g, x: g * np.cos(x), [np.zeros((0, 3))]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_backward_passes(name):
    forward, backward, arrays = RIGHT[name]
    assert minidl.gradcheck(planted(forward, backward), [leaf(a) for a in arrays])


def test_the_message_says_which_element_of_which_input_is_off_and_by_how_much():
    def backward(g, a, b):
        wrong = g * a
        wrong[1, 2] += 0.5
        return g * b, wrong

    a, b = leaf(np.arange(6.0).reshape(2, 3)), leaf(np.ones((2, 3)))
    with pytest.raises(minidl.GradcheckError) as caught:
        minidl.gradcheck(planted(np.multiply, backward), [a, b])
    message = str(caught.value)
    assert "input 1" in message and "(1, 2)" in message and "(2, 3)" in message
    # The two numbers: the true slope is 5 times the cotangent there, and the backward's is 0.5 more.
    numbers = [
        float(word.strip(","))
        for word in message.split()
        if word.strip(",").lstrip("-").replace(".", "").isdigit()
    ]
    assert any(abs(p - q - 0.5) < 1e-6 for p in numbers for q in numbers)


def test_a_point_on_a_kink_is_left_out_when_it_is_one_of_many():
    x = np.random.default_rng(0).normal(size=40)
    x[7] = 0.0
    for fn in (ops.relu, lambda t: ops.l1_loss(t, minidl.tensor(np.zeros(40)), reduction="none")):
        assert minidl.gradcheck(fn, leaf(x))


def test_a_tie_in_max_pooling_is_a_kink():
    x = np.random.default_rng(0).permutation(64).astype(np.float64).reshape(1, 1, 8, 8)
    x[0, 0, 0, 0] = x[0, 0, 0, 1] = 100.0  # two of 64 elements
    assert minidl.gradcheck(lambda t: ops.max_pool2d(t, 2), leaf(x))


def test_a_check_on_nothing_but_kinks_is_refused():
    with pytest.raises(minidl.GradcheckError, match="kink"):
        minidl.gradcheck(ops.relu, leaf(np.zeros(5)))


def test_a_mistake_is_not_taken_for_a_kink():
    """High curvature is no kink: x^2 of a wrong backward at every scale of x, and a steep but smooth tanh."""
    for scale in (1e-3, 1.0, 1e3):
        with pytest.raises(minidl.GradcheckError, match="central difference"):
            minidl.gradcheck(planted(np.square, lambda g, x: 1.9 * x * g), leaf(scale * (1 + np.abs(SQUARE))))
    steep = planted(lambda x: np.tanh(50 * x), lambda g, x: 49 * g * (1 - np.tanh(50 * x) ** 2))
    with pytest.raises(minidl.GradcheckError, match="central difference"):
        minidl.gradcheck(steep, leaf(SQUARE / 50))


def test_a_mistake_beside_a_kink_is_still_found():
    x = np.random.default_rng(0).normal(size=40)
    x[7] = 0.0
    wrong = planted(lambda x: np.maximum(x, 0), lambda g, x: np.where(np.arange(40) == 3, g + 1, g * (x > 0)))
    with pytest.raises(minidl.GradcheckError, match=r"\(3,\)"):
        minidl.gradcheck(wrong, leaf(x))


def test_only_inputs_that_require_a_gradient_are_checked():
    constant = minidl.tensor(OTHER)
    assert minidl.gradcheck(planted(np.multiply, lambda g, a, b: (g * b, None)), [leaf(SQUARE), constant])


def test_several_outputs_and_a_single_tensor():
    assert minidl.gradcheck(lambda x: (x * x, x.exp()), leaf(SQUARE))
    with pytest.raises(minidl.GradcheckError):
        minidl.gradcheck(lambda x: (x * x, planted(np.exp, lambda g, x: g)(x)), leaf(SQUARE))


def test_a_few_random_elements_of_a_large_input_suffice():
    calls = []

    def fn(x):
        calls.append(1)
        return x * x

    assert minidl.gradcheck(fn, leaf(np.ones(10_000)), max_elements=5)
    assert len(calls) < 50


def test_inputs_and_their_gradients_are_left_as_they_were():
    x = leaf(SQUARE)
    x.grad = minidl.tensor(OTHER)
    assert minidl.gradcheck(lambda x: x * x, x)
    np.testing.assert_array_equal(x.numpy(), SQUARE)
    np.testing.assert_array_equal(x.grad.numpy(), OTHER)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_only_float64_can_be_checked(dtype):
    x = minidl.tensor(np.ones(3, dtype), requires_grad=dtype == np.float32)
    with pytest.raises(TypeError, match=r"float64|requires a gradient"):
        minidl.gradcheck(lambda x: x * 2, x)


def test_in_any_memory_order():
    from oracles import strategies

    for name, moved in strategies.memory_orders(SQUARE).items():
        x = minidl.Tensor(moved, requires_grad=True)
        assert minidl.gradcheck(lambda x: x.exp() @ x, x), name
        with pytest.raises(minidl.GradcheckError):
            minidl.gradcheck(planted(np.exp, lambda g, x: 1.1 * g * np.exp(x)), x)
