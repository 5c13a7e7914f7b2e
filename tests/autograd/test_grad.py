"""autograd.grad: gradients as results, for leaves and for computed tensors, walking only what leads there."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.autograd import Function, grad


def leaf(*numbers):
    return minidl.tensor(np.array(numbers, dtype=np.float64), requires_grad=True)


def test_it_gives_the_gradient_and_leaves_grad_alone():
    x, w = leaf(1.0, 2.0), leaf(3.0, 5.0)
    dx, dw = grad((x * w * w).sum(), [x, w])
    np.testing.assert_array_equal(dx.numpy(), [9.0, 25.0])
    np.testing.assert_array_equal(dw.numpy(), [6.0, 20.0])
    assert x.grad is None and w.grad is None
    assert not dx.requires_grad


def test_a_single_input_gives_a_tuple_of_one():
    x = leaf(2.0)
    assert isinstance(grad((x * x).sum(), x), tuple)


def test_computed_tensors_are_inputs_too_and_paths_through_them_count():
    x = leaf(2.0)
    h = x * x
    y = (h * h + x).sum()  # dy/dh = 2h = 8; dy/dx = 8 * 2x + 1 = 33
    dx, dh = grad(y, [x, h])
    assert (dx.item(), dh.item()) == (33.0, 8.0)


def test_several_outputs_are_added_each_with_its_cotangent():
    x = leaf(1.0, 2.0)
    y, z = x * 3, x * x
    (dx,) = grad([y, z], x, [np.array([1.0, 10.0]), minidl.tensor(np.array([100.0, 1000.0]))])
    np.testing.assert_array_equal(dx.numpy(), [3 + 200.0, 30 + 4000.0])


def test_an_output_may_be_an_input():
    x = leaf(1.0, 2.0)
    y = x * 2
    dy, dx = grad(y, [y, x], np.array([5.0, 7.0]))
    np.testing.assert_array_equal(dy.numpy(), [5.0, 7.0])
    np.testing.assert_array_equal(dx.numpy(), [10.0, 14.0])
    (same,) = grad(x, x, np.array([3.0, 4.0]))
    np.testing.assert_array_equal(same.numpy(), [3.0, 4.0])


def test_an_input_named_twice_gets_its_gradient_twice():
    x = leaf(3.0)
    a, b = grad(x * x, [x, x])
    assert a.item() == b.item() == 6.0
    assert not np.shares_memory(a.numpy(), b.numpy())


def test_unused_inputs_raise_unless_allowed():
    x, other = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"input 1 of shape \(1,\).*allow_unused"):
        grad(x * x, [x, other], retain_graph=True)
    assert grad(x * x, [x, other], allow_unused=True)[1] is None


@pytest.mark.parametrize("which", ["output", "input"])
def test_tensors_without_a_gradient_raise(which):
    x, constant = leaf(1.0), minidl.tensor([1.0])
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        grad(constant if which == "output" else x * x, constant if which == "input" else x)


def test_a_wrong_number_or_shape_of_cotangents_raises():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match="1 cotangents for 2 outputs"):
        grad([x * 2, x * 3], x, [np.ones(2)])
    with pytest.raises(ValueError, match="grad: 1 cotangents for 2 outputs"):
        grad([x * 2, x * 3], x, np.ones(2))  # one for both might be meant, or one forgotten
    with pytest.raises(RuntimeError, match=r"shape \(3,\) for a tensor of shape \(2,\)"):
        grad(x * 2, x, np.ones(3))
    with pytest.raises(RuntimeError, match="no scalar"):
        grad(x * 2, x)


class Trap(Function):
    """The identity, whose backward must not run."""

    @staticmethod
    def forward(ctx, x):
        return x.copy()

    @staticmethod
    def backward(ctx, g):
        raise AssertionError("this part of the graph leads to no input")


def test_only_the_part_that_leads_to_the_inputs_is_walked():
    x, w = leaf(2.0), leaf(3.0)
    y = (Trap.apply(w) * x).sum()
    assert grad(y, x)[0].item() == 3.0


def test_below_an_input_nothing_is_walked():
    x = leaf(2.0)
    h = Trap.apply(x)
    assert grad((h * h).sum(), h)[0].item() == 4.0


def test_what_was_walked_is_freed_and_retain_graph_keeps_it():
    x = leaf(2.0)
    y = x * x * x
    assert grad(y, x, retain_graph=True)[0].item() == 12.0
    assert grad(y, x)[0].item() == 12.0
    with pytest.raises(RuntimeError, match="retain_graph"):
        grad(y, x)


def test_hooks_of_inputs_and_of_what_lies_between_run():
    x = leaf(2.0)
    h = x * 3
    h.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    dh, dx = grad((h * h).sum(), [h, x])
    assert dh.item() == 120.0
    assert dx.item() == 361.0


def test_results_own_their_memory_and_lie_in_c_order():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    g = np.random.default_rng(1).normal(size=(4, 3))
    (dx,) = grad(x.permute(1, 0), x, g)
    assert dx.numpy().flags.c_contiguous
    assert not np.shares_memory(dx.numpy(), g)


def test_it_works_where_recording_is_off():
    x = leaf(3.0)
    y = x * x
    with minidl.no_grad():
        assert grad(y, x)[0].item() == 6.0


def test_a_long_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1
    assert grad(y, x)[0].item() == 1.0


def test_scalars_need_no_cotangents_and_none_stands_for_one_that_is_left_out():
    x = leaf(1.0, 2.0)
    y, z = (x * 3).sum(), (x * x).sum()
    np.testing.assert_array_equal(grad([y, z], x, retain_graph=True)[0].numpy(), [5.0, 7.0])
    np.testing.assert_array_equal(grad([y, z], x, [None, np.array(10.0)])[0].numpy(), [23.0, 43.0])


def test_a_branch_that_leads_to_other_leaves_only_is_not_walked_however_long_it_is():
    x, w = leaf(2.0), minidl.tensor(np.array(3.0), requires_grad=True)
    y = (Trap.apply(w * 1) * 1 * x).sum()
    assert grad(y, x)[0].item() == 3.0


def test_a_ladder_of_diamonds_is_looked_through_once_per_node():
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    assert grad(y, x)[0].item() == 1.0


@pytest.mark.parametrize("retain", [None, True, False])
@pytest.mark.parametrize("create", [True, False])
def test_the_graph_is_kept_if_that_is_asked_for_or_by_default_with_create_graph(create, retain):
    """As in torch: retain_graph is by default what create_graph is."""
    x = leaf(2.0)
    for walk in (
        lambda y: grad(y, x, retain_graph=retain, create_graph=create),
        lambda y: y.backward(retain_graph=retain, create_graph=create),
    ):
        y = x * x * x
        walk(y)
        if create if retain is None else retain:
            assert grad(y, x)[0].item() == 12.0
        else:
            with pytest.raises(RuntimeError, match=r"mul: .*retain_graph"):
                grad(y, x)


@pytest.mark.parametrize("create", [True, False])
def test_cotangents_take_the_dtype_of_their_outputs(create):
    x = minidl.tensor(np.float32([1.0, 2.0]), requires_grad=True)
    for wrap in (np.array, lambda a: minidl.tensor(np.array(a)), list):
        (dx,) = grad([x * 3], x, [wrap([1.0, 0.1])], create_graph=create)
        assert dx.dtype == np.float32 and dx.tolist() == [3.0, float(np.float32(0.1) * np.float32(3))]


def test_an_empty_tensor_is_no_scalar():
    x = minidl.tensor(np.zeros(0), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"grad: a tensor of shape \(0,\) is no scalar"):
        grad(x * 2, x)
    with pytest.raises(RuntimeError, match=r"backward: a tensor of shape \(0,\) is no scalar"):
        (x * 2).backward()
    assert (leaf(4.0) * 2).reshape(1, 1).backward() is None, "one element is a scalar in any shape"


def test_a_gradient_is_given_away_where_nobody_else_holds_it_and_copied_where_somebody_does():
    """Otherwise a change of it in place would change the cotangent, or another gradient."""
    x = minidl.tensor(np.ones((2, 3)), requires_grad=True)
    z = minidl.tensor(np.ones((2, 3)), requires_grad=True)
    g = minidl.tensor(np.full((2, 3), 5.0))
    for y, inputs in ((x + z, (x, z)), (x.reshape(3, 2).reshape(2, 3), (x, x)), (x.clone(), (x,))):
        for gradients in (grad(y, inputs, g, retain_graph=True), grad(y, inputs, g)):
            for position, gradient in enumerate(gradients):
                gradient.data[...] = 100 + position
            assert (g.data == 5).all()
            assert [d.data[0, 0] for d in gradients] == [100 + k for k in range(len(gradients))]
    held = []

    class Keeps(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            held.append(g * 2)
            return held[-1][...]  # a view of what somebody holds

    (gradient,) = grad(Keeps.apply(x), x, g)
    gradient.data[...] = 7
    assert (held[0] == 10).all()
    Keeps.apply(x).backward(g)
    x.grad.data[...] = 7
    assert (held[1] == 10).all()


@pytest.mark.parametrize("shape", [(1000, 1000), (2, 3)])
def test_a_gradient_that_is_nobody_elses_is_not_copied(shape):
    made = []

    class Notes(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            dx = g * 2
            made.append(dx.__array_interface__["data"][0])
            return dx

    x = minidl.tensor(np.ones(shape), requires_grad=True)
    (gradient,) = grad(Notes.apply(x), x, np.ones(shape))
    Notes.apply(x).backward(np.ones(shape))
    places = [t.data.__array_interface__["data"][0] for t in (gradient, x.grad)]
    assert places == made
