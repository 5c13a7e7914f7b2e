"""Activation checkpointing: the same gradients with less memory."""

from __future__ import annotations

import tracemalloc
import weakref

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.autograd import Function, checkpoint, grad, is_recomputing
from minidl.kernels import memory


def leaf(*shape, seed=0):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def gradients(function, *leaves, again):
    for x in leaves:
        x.grad = None
    y = again(function, *leaves[:1])
    minidl.manual_seed(5)
    y.backward(np.random.default_rng(1).normal(size=y.shape))
    return [y.numpy().copy(), *(x.grad.numpy().copy() for x in leaves)]


def plain(function, *inputs):
    return function(*inputs)


def same_bits(function, *leaves):
    minidl.manual_seed(3)
    expected = gradients(function, *leaves, again=plain)
    minidl.manual_seed(3)
    actual = gradients(function, *leaves, again=checkpoint)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_of_inputs_and_of_captured_tensors():
    x, w = leaf(3, 4), leaf(4, 2, seed=1)
    same_bits(lambda x: (x @ w).tanh() @ w.transpose(0, 1), x, w)


def test_captured_tensors_alone():
    """The input has no gradient: torch's older form loses the parameters' here."""
    picture, w = minidl.tensor(np.ones((2, 3))), leaf(3, 2)
    y = checkpoint(lambda x: (x @ w).exp(), picture)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), np.full((3, 2), 2.0) * np.exp(w.numpy().sum(0)), rtol=1e-14)


def test_a_captured_computed_tensor_and_the_leaf_below_it():
    """Both x and h = x^2 are used inside: neither path may be counted twice."""
    x = leaf(3)
    h = x * x
    y = checkpoint(lambda h: h * h * x, h)  # x^5
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 5 * x.numpy() ** 4, rtol=1e-13)


def test_a_module_with_dropout_draws_the_same_mask_again():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    for p in net.parameters():
        p.data = p.data.astype(np.float64)
    same_bits(net, leaf(5, 6), *net.parameters())


def test_random_numbers_go_on_as_without_it():
    def after(run):
        minidl.manual_seed(0)
        y = run(lambda x: ops.dropout(x, 0.5), leaf(4))
        y.sum().backward()
        return minidl.random.generator().random()

    assert after(plain) == after(checkpoint)


def test_batch_norm_records_a_batch_once():
    def statistics(run):
        layer = nn.BatchNorm2d(3)
        x = minidl.tensor(
            np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32), requires_grad=True
        )
        run(layer, x).sum().backward()
        return {name: value.copy() for name, value in layer.state_dict().items()}

    expected, actual = statistics(plain), statistics(checkpoint)
    assert {"running_mean", "running_var"} <= set(expected)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


def test_a_checkpoint_within_a_checkpoint():
    w = leaf(3, 3)
    same_bits(
        lambda x: checkpoint(lambda h: (h @ w).tanh(), checkpoint(lambda h: h @ w, x)), leaf(2, 3, seed=4), w
    )


def test_several_outputs_of_which_one_is_used():
    x = leaf(3)
    a, b = checkpoint(lambda x: (x * x, x.exp()), x)
    assert b.requires_grad
    a.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())


def test_an_output_that_needs_no_gradient():
    x = leaf(3)
    a, b = checkpoint(lambda x: (x * x, x.detach() * 2), x)
    (a + b).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())


def test_grad_and_a_second_walk_with_retain_graph():
    x = leaf(3)
    y = checkpoint(lambda x: x * x * x, x).sum()
    for _ in range(2):
        np.testing.assert_allclose(grad(y, x, retain_graph=True)[0].numpy(), 3 * x.numpy() ** 2, rtol=1e-15)
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_it_tells_the_function_that_it_runs_again():
    seen = []

    def function(x):
        seen.append(is_recomputing())
        return x * 2

    checkpoint(function, leaf(2)).sum().backward()
    assert seen == [False, True] and not is_recomputing()


def test_without_recording_it_only_calls_the_function():
    x = leaf(2)
    with minidl.no_grad():
        assert not checkpoint(lambda x: x * x, x).requires_grad


def test_create_graph_through_it_raises_and_names_it():
    x = leaf(2)
    with pytest.raises(RuntimeError, match="checkpoint: create_graph=True"):
        grad(checkpoint(lambda x: x * x, x).sum(), x, create_graph=True)


def test_an_input_changed_in_between_raises():
    x = leaf(2)
    y = checkpoint(lambda x: x * x, x)
    with minidl.no_grad():
        x[0] = 0.0
    with pytest.raises(RuntimeError, match=r"checkpoint: .*changed in place"):
        y.sum().backward()


def test_a_function_that_gives_no_tensor_raises():
    with pytest.raises(TypeError, match="checkpoint: the function must give tensors, got float"):
        checkpoint(lambda x: 1.0, leaf(2))


def test_a_function_that_gives_other_shapes_the_second_time_raises():
    sizes = iter([2, 1])
    with pytest.raises(RuntimeError, match=r"gave shapes \[\(1,\)\] when run again .*, \[\(2,\)\] before"):
        checkpoint(lambda x: x[: next(sizes)] * 2, leaf(2)).sum().backward()


def test_an_error_inside_leaves_everything_as_it_was():
    x = leaf(2)

    def fails(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        checkpoint(fails, x)
    y = x * x
    assert y.grad_fn.name() == "MulBackward"
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())


def test_memory_grows_with_the_segments_not_with_the_layers():
    """16 layers that keep 4 arrays each: held at once plain, one segment of 4 layers at a time with it."""
    x = leaf(50_000)

    def layer(h):
        return ((h * 1.01).tanh() * 0.99).tanh()

    def segment(h):
        for _ in range(4):
            h = layer(h)
        return h

    def peak(run):
        x.grad = None
        memory.release()  # the compiled kernels' results come from a pool, which tracemalloc does not see
        before = memory.statistics()["in_use"]
        tracemalloc.start()
        h = x
        for _ in range(4):
            h = run(segment, h)
        h.sum().backward()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest + memory.statistics()["most"] - before

    whole, segments = peak(plain), peak(checkpoint)
    assert segments < 0.5 * whole, f"{segments} bytes at the peak, {whole} without checkpoints"


def test_random_numbers_drawn_before_the_backward_are_not_drawn_again():
    def after(run):
        minidl.manual_seed(0)
        y = run(lambda x: ops.dropout(x, 0.5), leaf(4))
        between = minidl.random.generator().random()
        y.sum().backward()
        return between, minidl.random.generator().random()

    assert after(plain) == after(checkpoint)


def test_a_walk_through_one_checkpoint_within_the_function_of_another():
    """What comes after the inner walk still belongs to the outer checkpoint: w gets its gradient."""
    x, w, other = leaf(3), leaf(3, seed=1), minidl.tensor(np.full(3, 2.0), requires_grad=True)
    square = checkpoint(lambda t: t * t, other).sum()

    def function(x):
        (slope,) = grad(square, other, retain_graph=True)
        return x * slope * w

    checkpoint(function, x).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 4 * x.numpy(), rtol=1e-15)
    np.testing.assert_allclose(x.grad.numpy(), 4 * w.numpy(), rtol=1e-15)


def test_a_view_of_an_input_is_a_view_of_it_outside_too():
    """Writing into what the function gave changes the input: whoever saved that must notice."""
    x = leaf(2, 3)
    h = x * 1
    flat, same = checkpoint(lambda h: (h.reshape(-1), h * 2), h)
    y = (h * h).sum()
    with minidl.no_grad():
        same[0, 0] = 5.0  # in memory of its own
    y.backward(retain_graph=True)
    with minidl.no_grad():
        flat[0] = 7.0
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        y.backward()


def probe(alive, kept):
    """An identity whose backward notes whether the array that ``kept`` ends with is still there."""

    class Probe(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            alive.append(kept[-1]() is not None)
            return g

    return Probe.apply


@pytest.mark.parametrize("returned", [lambda y: y * 1, lambda y: y, lambda y: (y, y * 1)])
def test_the_second_run_is_let_go_while_it_is_walked(returned):
    alive, kept = [], []
    marked = probe(alive, kept)

    def function(x):
        y = marked(x).exp()
        kept.append(weakref.ref(y.data))
        return returned(y)

    result = checkpoint(function, leaf(3))
    (result[-1] if isinstance(result, tuple) else result).sum().backward()
    assert alive == [False] and len(kept) == 2


def test_what_went_into_a_segment_is_let_go_when_the_walk_has_passed_it():
    """Else all that went between the segments would stay until the last of them has run again."""
    alive, kept = [], []
    marked, x = probe(alive, kept), leaf(3)
    h = checkpoint(lambda x: marked(x) * 2, x)
    kept.append(weakref.ref(h.data))
    y = checkpoint(lambda h: h.exp(), h)
    del h
    assert kept[0]() is not None
    y.sum().backward()
    assert alive == [False]
    with pytest.raises(RuntimeError, match="went through this part of the graph before"):
        y.sum().backward()


def test_gradients_within_a_checkpointed_function_are_refused_by_name():
    """The first run keeps no graph to walk. What was made outside can be walked there."""
    x = leaf(3)

    def by_grad(x):
        return minidl.autograd.grad((x * x).sum(), x)[0] * x

    def by_backward(x):
        (x * x).sum().backward()
        return x * 1

    for function, name in ((by_grad, "grad"), (by_backward, "backward")):
        with pytest.raises(RuntimeError, match=rf"^{name}: within a function given to checkpoint\(\)"):
            checkpoint(function, x)
        with pytest.raises(RuntimeError, match=rf"^{name}: within a function given to checkpoint\(\)"):
            checkpoint(lambda x, f=function: checkpoint(f, x) * 2, x)
    assert x.grad is None
    outside = (x * x).sum()
    y = checkpoint(lambda h: h * minidl.autograd.grad(outside, x, retain_graph=True)[0], x)
    np.testing.assert_array_equal(y.numpy(), 2 * x.numpy() ** 2)
    np.testing.assert_array_equal(by_grad(x).numpy(), 2 * x.numpy() ** 2)


def test_gradients_of_an_outer_graph_asked_for_inside_name_the_second_run():
    """Asked for once by the program; the second time is the checkpoint's, and the message says so."""
    w, x = (minidl.ones(2, requires_grad=True) for _ in range(2))
    outside = (w * w).sum()

    def function(x):
        (g,) = minidl.autograd.grad(outside, w)
        return (x * g).sum()

    y = checkpoint(function, x)
    with pytest.raises(RuntimeError, match=r"checkpoint.. runs a second time.*retain_graph=True"):
        y.backward()
