"""SGD, Adam and AdamW against their update rules, for one number at a time in Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from oracles.update_rules import adam_by_hand, sgd_by_hand

STEPS = 6


RULES = {
    "SGD": (optim.SGD, sgd_by_hand, {"lr": 0.1}),
    "SGD, momentum": (optim.SGD, sgd_by_hand, {"lr": 0.1, "momentum": 0.9}),
    "SGD, weight decay": (optim.SGD, sgd_by_hand, {"lr": 0.1, "weight_decay": 0.3}),
    "SGD, dampening": (optim.SGD, sgd_by_hand, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}),
    "SGD, all but nesterov": (
        optim.SGD,
        sgd_by_hand,
        {"lr": 0.1, "momentum": 0.5, "dampening": 0.25, "weight_decay": 0.2},
    ),
    "SGD, nesterov": (
        optim.SGD,
        sgd_by_hand,
        {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1, "nesterov": True},
    ),
    "Adam": (optim.Adam, adam_by_hand, {}),
    "Adam, every option": (
        optim.Adam,
        adam_by_hand,
        {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.01, "weight_decay": 0.3},
    ),
    "AdamW": (
        optim.AdamW,
        lambda *a, **k: adam_by_hand(*a, decoupled=True, **({"weight_decay": 0.01} | k)),
        {},
    ),
    "AdamW, every option": (
        optim.AdamW,
        lambda *a, **k: adam_by_hand(*a, decoupled=True, **k),
        {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.01, "weight_decay": 0.3},
    ),
}


def walk(optimizer, parameter, gradients):
    """The parameter after each step, for given gradients."""
    path = []
    for g in gradients:
        parameter.grad = minidl.tensor(g)
        optimizer.step()
        path.append(parameter.data.copy())
    return path


@pytest.mark.parametrize("name", RULES)
def test_the_rule_number_by_number(name):
    make, by_hand, options = RULES[name]
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(STEPS, 2, 3))
    gradients[1] = 0.0  # a step without any pull: only momentum and decay act
    p = nn.Parameter(start.copy())
    path = walk(make([p], **options), p, gradients)
    for index in np.ndindex(start.shape):
        expected = by_hand(start[index], [float(g[index]) for g in gradients], **options)
        np.testing.assert_allclose([w[index] for w in path], expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", RULES)
def test_float32_parameters_and_state_stay_float32(name):
    make, _, options = RULES[name]
    p = nn.Parameter(np.ones((2, 2), np.float32))
    memory, optimizer = p.data, make([p], **options)
    walk(optimizer, p, np.ones((2, 2, 2), np.float32))
    assert p.data is memory and p.dtype == np.float32, (
        "in place: the module and the optimizer share the array"
    )
    arrays = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, np.ndarray)]
    assert all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays)


@pytest.mark.parametrize("name", RULES)
def test_gradients_are_left_as_they_were(name):
    make, _, options = RULES[name]
    p = nn.Parameter(np.ones(3))
    optimizer = make([p], **options)
    for _ in range(3):
        p.grad = minidl.tensor(np.array([1.0, -2.0, 3.0]))
        optimizer.step()
        np.testing.assert_array_equal(p.grad.data, [1, -2, 3])


def test_hand_worked_sgd_with_momentum():
    """w = 1, g = 2, 1, 0 with α = 0.5, μ = 0.5: v = 2, 2, 1; w = 0, -1, -1.5."""
    p = nn.Parameter(np.array([1.0]))
    path = walk(optim.SGD([p], lr=0.5, momentum=0.5), p, [np.array([g]) for g in (2.0, 1.0, 0.0)])
    np.testing.assert_array_equal(np.ravel(path), [0.0, -1.0, -1.5])


def test_adams_first_step_has_length_lr_whatever_the_gradient():
    for g in (1e-3, 1.0, -1e6):
        p = nn.Parameter(np.array([0.0]))
        (w,) = walk(optim.Adam([p], lr=0.25, eps=0.0), p, [np.array([g])])
        assert w.item() == pytest.approx(-0.25 * math.copysign(1, g), rel=1e-12)


def test_a_parameter_without_a_gradient_stays_and_keeps_no_state():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.Adam([a, b], weight_decay=0.5)
    a.grad = minidl.tensor(np.ones(2))
    optimizer.step()
    assert (a.data != 1).all() and (b.data == 1).all()
    assert list(optimizer.state_dict()["state"]) == [0]


def test_adam_counts_the_steps_of_each_parameter_by_itself():
    a, b = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    optimizer = optim.Adam([a, b], lr=0.1, eps=0.0)
    walk(optimizer, a, np.ones((3, 1)))
    a.grad = None
    walk(optimizer, b, np.ones((1, 1)))
    assert b.data.item() == pytest.approx(-0.1, rel=1e-12), "the bias correction of a first step"


def test_groups_have_their_own_options():
    a, b = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": iter([b])}], lr=0.1)
    assert [g["lr"] for g in optimizer.param_groups] == [1.0, 0.1]
    a.grad = b.grad = minidl.tensor(np.ones(1))
    optimizer.step()
    assert (a.data.item(), b.data.item()) == (-1.0, -0.1)
    optimizer.param_groups[1]["lr"] = 10.0
    optimizer.step()
    assert (a.data.item(), b.data.item()) == (-2.0, -10.1)


def test_zero_grad_forgets():
    p = nn.Parameter(np.ones(1))
    optimizer = optim.SGD([p], lr=0.1)
    p.grad = minidl.tensor(np.ones(1))
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.data.item() == 1.0


def test_a_step_between_forward_and_backward_is_noticed():
    p = nn.Parameter(np.ones(1))
    loss = p * p
    p.grad = minidl.tensor(np.ones(1))
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


@pytest.mark.parametrize("name", RULES)
def test_a_quadratic_bowl_is_descended(name):
    make, _, options = RULES[name]
    p = nn.Parameter(np.array([3.0, -2.0]))
    optimizer = make([p], **options | {"lr": 0.05})
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (p * p * np.array([1.0, 3.0])).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


# --- what they refuse ---------------------------------------------------------------------------------------

W = np.ones(2)
REFUSED = {
    "no parameters": (lambda: optim.SGD([], lr=0.1), ValueError, "SGD.*no parameters"),
    "a parameter twice": (lambda: (lambda p: optim.Adam([p, p]))(nn.Parameter(W)), ValueError, "Adam.*twice"),
    "a parameter in two groups": (
        lambda: (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]))(nn.Parameter(W)),
        ValueError,
        "SGD.*twice",
    ),
    "one tensor, not a list": (lambda: optim.SGD(nn.Parameter(W)), TypeError, "SGD"),
    "not tensors": (lambda: optim.SGD([W]), TypeError, "SGD.*ndarray"),
    "a computed tensor": (lambda: optim.SGD([nn.Parameter(W) * 2]), ValueError, "SGD.*leaf"),
    "negative rate": (lambda: optim.SGD([nn.Parameter(W)], lr=-1.0), ValueError, "SGD: lr.*-1"),
    "rate that is no number": (
        lambda: optim.Adam([nn.Parameter(W)], lr=math.nan),
        ValueError,
        "Adam: lr.*nan",
    ),
    "negative momentum": (lambda: optim.SGD([nn.Parameter(W)], momentum=-0.1), ValueError, "SGD: momentum"),
    "negative decay": (
        lambda: optim.AdamW([nn.Parameter(W)], weight_decay=-1),
        ValueError,
        "AdamW: weight_decay",
    ),
    "beta of one": (
        lambda: optim.Adam([nn.Parameter(W)], betas=(0.9, 1.0)),
        ValueError,
        r"Adam: betas\[1\].*1",
    ),
    "negative eps": (lambda: optim.Adam([nn.Parameter(W)], eps=-1e-8), ValueError, "Adam: eps"),
    "nesterov without momentum": (
        lambda: optim.SGD([nn.Parameter(W)], nesterov=True),
        ValueError,
        "SGD: nesterov",
    ),
    "nesterov with dampening": (
        lambda: optim.SGD([nn.Parameter(W)], momentum=0.9, dampening=0.1, nesterov=True),
        ValueError,
        "SGD: nesterov",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_optimizers_name_what_is_wrong(name):
    make, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        make()


def test_a_group_may_hold_a_single_tensor():
    p = nn.Parameter(W.copy())
    optimizer = optim.SGD([{"params": p}], lr=1.0)
    p.grad = minidl.tensor(W)
    optimizer.step()
    np.testing.assert_array_equal(p.data, [0, 0])


def test_a_closure_computes_the_loss_first_with_gradients_recorded():
    w = nn.Parameter(minidl.tensor([1.0]))
    optimizer = optim.SGD([w], 0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with minidl.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 1.0 and w.item() == 0.5, "the gradient is 2"
    assert optimizer.step() is None and w.item() == 0.0


def test_zero_grad_may_leave_zeros_in_place():
    w, untouched = (nn.Parameter(minidl.tensor([1.0])) for _ in range(2))
    optimizer = optim.SGD([{"params": [w]}, {"params": [untouched]}], 0.25)
    w.grad = gradient = minidl.tensor([2.0])
    optimizer.zero_grad(False)
    assert w.grad is gradient and gradient.item() == 0.0 and untouched.grad is None
    optimizer.zero_grad(set_to_none=True)
    assert w.grad is None
