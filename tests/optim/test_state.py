"""Saving and continuing optimizers: the same bits as without the break."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minidl
from minidl import nn, optim

MAKERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "SGD without momentum": lambda p: optim.SGD(p, lr=0.05),
    "Adam": lambda p: optim.Adam(p, lr=0.05, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05),
}


def network():
    minidl.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        rng = np.random.default_rng(step)
        optimizer.zero_grad()
        loss = nn.L1Loss()(
            model(minidl.tensor(rng.normal(size=(5, 3)).astype(np.float32))),
            minidl.tensor(rng.normal(size=(5, 1)).astype(np.float32)),
        )
        loss.backward()
        optimizer.step()


def through_text(state):
    """What a checkpoint does: options and numbers as JSON text (keys become strings), arrays as arrays."""
    arrays = {k: {n: v for n, v in s.items() if isinstance(v, np.ndarray)} for k, s in state["state"].items()}
    rest = {
        k: {n: v for n, v in s.items() if not isinstance(v, np.ndarray)} for k, s in state["state"].items()
    }
    read = json.loads(json.dumps({"state": rest, "param_groups": state["param_groups"]}))
    return {
        "state": {k: {**s, **arrays[int(k)]} for k, s in read["state"].items()},
        "param_groups": read["param_groups"],
    }


@pytest.mark.parametrize("name", MAKERS)
def test_continuing_from_a_saved_state_gives_the_same_bits(name):
    straight = network()
    train(straight, MAKERS[name](straight.parameters()), 6)

    broken = network()
    optimizer = MAKERS[name](broken.parameters())
    train(broken, optimizer, 3)
    weights, state = broken.state_dict(), through_text(optimizer.state_dict())
    train(broken, optimizer, 2, first=50)  # what happens after saving must not change what was saved

    resumed = network()
    resumed.load_state_dict(weights)
    optimizer = MAKERS[name](resumed.parameters())
    optimizer.load_state_dict(state)
    train(resumed, optimizer, 3, first=3)
    for key, array in straight.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[key], array, err_msg=key)


@pytest.mark.parametrize("name", MAKERS)
def test_the_layout_is_torchs_and_all_options_are_plain_values(name):
    model = network()
    groups = [{"params": [*model[0].parameters()], "lr": 0.5}, {"params": [*model[2].parameters()]}]
    optimizer = MAKERS[name](groups)
    train(model, optimizer, 1)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert [g["params"] for g in state["param_groups"]] == [[0, 1], [2, 3]]
    assert [g["lr"] for g in state["param_groups"]] == [0.5, 0.05]
    assert json.loads(json.dumps(state["param_groups"]))
    names = {
        "SGD": {"momentum_buffer"},
        "SGD without momentum": set(),
        "Adam": {"step", "exp_avg", "exp_avg_sq"},
        "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    }[name]
    assert all(set(s) == names for s in state["state"].values())


def test_options_come_back_too():
    p = nn.Parameter(np.ones(1))
    saved = through_text(optim.Adam([p], lr=0.5, betas=(0.1, 0.2), eps=0.3, weight_decay=0.4).state_dict())
    other = optim.Adam([nn.Parameter(np.ones(1))])
    other.load_state_dict(saved)
    (group,) = other.param_groups
    assert (group["lr"], tuple(group["betas"]), group["eps"], group["weight_decay"]) == (
        0.5,
        (0.1, 0.2),
        0.3,
        0.4,
    )
    assert len(group["params"]) == 1 and group["params"][0] is not p


def test_a_saved_state_is_a_copy():
    p = nn.Parameter(np.ones(2))
    optimizer = optim.Adam([p])
    p.grad = minidl.tensor(np.ones(2))
    optimizer.step()
    state = optimizer.state_dict()
    kept = state["state"][0]["exp_avg"].copy()
    optimizer.step()
    np.testing.assert_array_equal(state["state"][0]["exp_avg"], kept)
    optimizer.load_state_dict(state)
    optimizer.step()
    np.testing.assert_array_equal(state["state"][0]["exp_avg"], kept)


def other_groups(state):
    state["param_groups"][0]["params"] = [0]


def too_many_groups(state):
    state["param_groups"].append({"params": []})


def other_shape(state):
    state["state"][1]["exp_avg"] = np.zeros((1, 2))


def stranger(state):
    state["state"][7] = state["state"][0]


@pytest.mark.parametrize("spoil", [other_groups, too_many_groups, other_shape, stranger])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil):
    parameters = [nn.Parameter(np.ones(2)), nn.Parameter(np.ones(3))]
    optimizer = optim.Adam(parameters, lr=0.5)
    for p in parameters:
        p.grad = minidl.tensor(np.ones(p.shape))
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 0.25
    spoil(state)
    with pytest.raises(ValueError, match="Adam"):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.5 and sorted(optimizer.state) == [0, 1]
    assert optimizer.state[1]["exp_avg"].shape == (3,)
