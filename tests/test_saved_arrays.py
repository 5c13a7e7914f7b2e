"""What a node saves: freed by the first walk, kept by retain_graph, guarded against changes in between."""

from __future__ import annotations

import contextlib
import gc
import weakref

import numpy as np
import pytest

import minidl


def leaf(*numbers):
    return minidl.tensor(np.array(numbers), requires_grad=True)


SAVING_AND_NOT = {
    "mul": lambda x: x * x,
    "add": lambda x: x + 1,
    "exp": lambda x: x.exp(),
    "reshape": lambda x: x.reshape(2, 1),
    "sum": lambda x: x.sum(),
}


@pytest.mark.parametrize("name", SAVING_AND_NOT)
def test_a_second_walk_raises_and_names_retain_graph(name):
    x = leaf(1.0, 2.0)
    y = SAVING_AND_NOT[name](x)
    g = np.ones(y.shape)
    y.backward(g)
    first = x.grad.numpy().copy()
    with pytest.raises(RuntimeError) as caught:
        y.backward(g)
    assert "retain_graph" in str(caught.value) and name in str(caught.value)
    np.testing.assert_array_equal(x.grad.numpy(), first)


@pytest.mark.parametrize("name", SAVING_AND_NOT)
def test_retain_graph_allows_a_second_walk_and_the_last_one_frees(name):
    x = leaf(1.0, 2.0)
    y = SAVING_AND_NOT[name](x)
    g = np.random.default_rng(0).normal(size=y.shape)
    y.backward(g, retain_graph=True)
    first = x.grad.numpy().copy()
    y.backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * first)
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward(g)


def test_a_second_walk_through_a_shared_part_raises():
    x = leaf(3.0)
    shared = x * x
    a, b = shared * 2, shared * 5
    a.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        b.backward()


def test_the_walk_lets_go_of_saved_arrays():
    x = minidl.tensor(np.ones(1000), requires_grad=True)
    y = (x * 2).exp()
    kept = weakref.ref(y.grad_fn.saved[0])
    loss = y.sum()
    del y
    loss.backward()
    gc.collect()
    assert kept() is None


# --- what was saved must not change ---


def test_an_optimizer_step_between_forward_and_backward_is_noticed():
    w = minidl.nn.Parameter(np.array([2.0, 3.0]))
    optimizer = minidl.optim.SGD([w], lr=0.1)
    y = (w * w).sum()
    (w * 1.0).sum().backward()
    optimizer.step()
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    assert "mul" in str(caught.value) and "(2,)" in str(caught.value)


@pytest.mark.parametrize("change", ["setitem", "copy_", "through a view", "through detach"])
def test_a_change_in_place_between_forward_and_backward_is_noticed(change):
    constant = minidl.tensor(np.array([[2.0, 3.0]]))
    x = minidl.tensor(np.array([[1.0, 1.0]]), requires_grad=True)
    y = x * constant
    if change == "setitem":
        constant[0, 0] = 7.0
    elif change == "copy_":
        constant.copy_(np.array([[0.0, 0.0]]))
    elif change == "through a view":
        constant.reshape(2)[0] = 7.0
    else:
        constant.detach()[0] = 7.0
    with pytest.raises(RuntimeError, match="mul"):
        y.backward(np.ones((1, 2)))


def test_a_change_of_what_backward_does_not_need_is_no_error():
    constant = minidl.tensor(np.array([2.0, 3.0]))
    x = leaf(1.0, 1.0)
    y = x + constant
    constant[0] = 7.0
    y.backward(np.array([1.0, 5.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [1, 5])


def test_a_tensor_that_requires_a_gradient_cannot_be_written_to():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError):
        x[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5.0
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])


def test_gradients_are_not_aliases_of_each_other():
    # add hands the same cotangent to both inputs: accumulating into one must not change the other.
    a, b = leaf(1.0), leaf(1.0)
    g = np.array([2.0])
    (a + b).backward(g)
    (a * 3).backward(g)
    assert a.grad.item() == 8 and b.grad.item() == 2 and g[0] == 2


def test_one_tensor_in_both_places_and_a_shared_cotangent():
    x = leaf(1.0, 2.0)
    y = x * 1
    (y + y + y).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [3, 30])


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "relu", "softmax"])
def test_a_change_of_a_saved_output_is_noticed(name):
    """These keep their output for the backward, where it is cheaper than the input."""
    x = leaf(1.0, 2.0)
    y = getattr(x, name)(0) if name == "softmax" else getattr(x, name)()
    with minidl.no_grad():
        y[0] = 5.0
    with pytest.raises(RuntimeError, match=name):
        y.backward(np.ones(2))
    assert x.grad is None


def test_accumulating_into_a_gradient_that_a_pending_backward_saved_is_noticed():
    """.grad is added to in place: a graph that holds it must not go on with other numbers."""
    x, w = leaf(2.0), leaf(5.0)
    (x * 3).backward()
    pending = w * x.grad
    (x * 4).backward()
    assert x.grad.item() == 7.0
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        pending.backward()


@pytest.mark.parametrize("kept", [np.float32, np.float64])
def test_a_gradient_has_the_dtype_of_its_leaf(kept):
    class Widened(minidl.autograd.Function):
        """A backward that forgets about the dtype."""

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g.astype(np.float64) * 2

    x = minidl.tensor(np.ones(2, kept), requires_grad=True)
    for total in (2.0, 4.0):
        Widened.apply(x).sum().backward()
        assert x.grad.dtype == kept and x.grad.tolist() == [total, total]


def test_gradients_of_graphs_add_up():
    x = leaf(3.0)
    (x * x).backward(create_graph=True)
    (x * x * x).backward(create_graph=True)
    total, x.grad = x.grad, None
    assert total.item() == 6 + 27
    total.backward()
    assert x.grad.item() == 2 + 18


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("needed", [True, False])
def test_nothing_is_kept_where_no_backward_will_come(recording, needed):
    kept = []

    class Twice(minidl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save(x)
            kept.append(ctx.saved)
            return 2 * x

    x = minidl.tensor([1.0, 2.0], requires_grad=needed)
    with contextlib.nullcontext() if recording else minidl.no_grad():
        Twice.apply(x)
    assert len(kept[0]) == (recording and needed)
