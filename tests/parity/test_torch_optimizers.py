"""Optimizers beside torch's: options in torch's forms, and steps with infinities, NaN and overflow."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from oracles.backends import both_backends

torch = pytest.importorskip("torch")

STRANGE = (np.inf, -np.inf, np.nan, 3e38, -3e38, 1e30, 1e-44, 0.0, 1.0)
WEIGHTS, GRADIENTS = (grid.ravel().astype(np.float32) for grid in np.meshgrid(STRANGE, STRANGE))
#: float32 through a few operations, on values of size 1 and steps of size 1.
ROUNDING = {"rtol": 2e-6, "atol": 1e-6}

STEPS = {
    "SGD": ("SGD", {"lr": 0.5}),
    "SGD, all options": ("SGD", {"lr": 0.5, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.5}),
    "SGD, nesterov": ("SGD", {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    "Adam": ("Adam", {"lr": 0.5}),
    "Adam, all options": (
        "Adam",
        {"lr": 0.5, "betas": (0.9, 0.5), "eps": 0.1, "weight_decay": 0.25},
    ),
    "AdamW": ("AdamW", {"lr": 0.5, "weight_decay": 3.0}),
}


@both_backends
@pytest.mark.parametrize("name", STEPS)
def test_what_is_not_finite_goes_where_torchs_goes(name, backend):
    kind, options = STEPS[name]
    ours, theirs = nn.Parameter(WEIGHTS.copy()), torch.nn.Parameter(torch.tensor(WEIGHTS))
    optimizer = getattr(minidl.optim, kind)([ours], **options)
    peer = getattr(torch.optim, kind)([theirs], **options)
    for gradients in (GRADIENTS, np.full_like(GRADIENTS, 0.25), GRADIENTS[::-1].copy()):
        ours.grad, theirs.grad = minidl.tensor(gradients), torch.tensor(gradients)
        optimizer.step()
        peer.step()
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), **ROUNDING)


def pair(values):
    return nn.Parameter(np.array(values)), torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("SGD", {"lr": 0.25, "momentum": 0.5}, "lr"),
        ("SGD", {"lr": 0.25, "momentum": 0.5}, "momentum"),
        ("Adam", {"lr": 0.25}, "lr"),
        ("Adam", {"lr": 0.25, "betas": (0.5, 0.75)}, "betas"),
        ("Adam", {"lr": 0.25, "eps": 0.125}, "eps"),
        ("AdamW", {"lr": 0.25}, "lr"),
        ("AdamW", {"lr": 0.25, "betas": (0.5, 0.75)}, "betas"),
    ],
)
def test_an_option_that_is_a_tensor(kind, options, name, shape):
    """Given, then changed in place by whoever holds it, then set in the group.

    (torch takes weight decay as a tensor without dimensions only, and dampening in that form by accident.)
    """

    def given(module):
        make = lambda x: module.tensor(np.full(shape, x).tolist())  # noqa: E731
        value = options[name]
        return {**options, name: tuple(map(make, value)) if name == "betas" else make(value)}

    ours, theirs = pair([1.0, -2.0])
    optimizer = getattr(minidl.optim, kind)([ours], **given(minidl))
    peer = getattr(torch.optim, kind)([theirs], **given(torch))
    for step in range(6):
        if step == 2 and name != "betas":
            optimizer.param_groups[0][name].copy_(minidl.tensor(np.full(shape, 0.5, np.float32)))
            peer.param_groups[0][name].fill_(0.5)
        if step == 4:
            optimizer.param_groups[0]["lr"] = minidl.tensor(0.75)
            peer.param_groups[0]["lr"] = torch.tensor(0.75)
        gradient = np.random.default_rng(step).normal(size=2)
        ours.grad, theirs.grad = minidl.tensor(gradient), torch.tensor(gradient)
        optimizer.step()
        peer.step()
        # With tensors, torch computes 1 - βᵗ, its root and the rate in float32: some 8 roundings a step.
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=6 * 8 * 2**-24)


def test_mixed_dtypes_in_a_group():
    (ours, theirs), rng = pair([1.0, -2.0, 3.0]), np.random.default_rng(0)
    small, small_peer = nn.Parameter(np.ones(2, np.float32)), torch.nn.Parameter(torch.ones(2))
    for kind in ("SGD", "Adam", "AdamW"):
        options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {})}
        optimizer = getattr(minidl.optim, kind)([small, ours], **options)
        peer = getattr(torch.optim, kind)([small_peer, theirs], **options)
        for _ in range(4):
            for p, q in ((ours, theirs), (small, small_peer)):
                gradient = rng.normal(size=p.shape).astype(p.dtype)
                p.grad, q.grad = minidl.tensor(gradient), torch.tensor(gradient)
            optimizer.step()
            peer.step()
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(small.numpy(), small_peer.detach().numpy(), **ROUNDING)


def test_a_saved_state_takes_the_parameters_dtype():
    """As in torch: a float32 optimizer's state goes on in float64."""
    first, peer_first = nn.Parameter(np.ones(3, np.float32)), torch.nn.Parameter(torch.ones(3))
    gradient = np.array([0.5, -1.0, 2.0], np.float32)
    first.grad, peer_first.grad = minidl.tensor(gradient), torch.tensor(gradient)
    a, b = minidl.optim.Adam([first], lr=0.1), torch.optim.Adam([peer_first], lr=0.1)
    a.step()
    b.step()
    ours, theirs = pair([1.0, 2.0, 3.0])
    optimizer, peer = minidl.optim.Adam([ours]), torch.optim.Adam([theirs])
    optimizer.load_state_dict(a.state_dict())
    peer.load_state_dict(b.state_dict())
    for step in range(3):
        gradient = np.random.default_rng(step).normal(size=3)
        ours.grad, theirs.grad = minidl.tensor(gradient), torch.tensor(gradient)
        optimizer.step()
        peer.step()
    assert {v.dtype for v in optimizer.state[0].values() if hasattr(v, "dtype")} == {np.dtype("float64")}
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6)
