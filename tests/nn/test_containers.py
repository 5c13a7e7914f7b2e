"""Sequential and ModuleList."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn


def test_sequential_passes_on_from_one_to_the_next():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    state = {"0.weight": [[2.0]], "0.bias": [1.0], "2.weight": [[-3.0]], "2.bias": [0.5]}
    model.load_state_dict(state)
    x = minidl.tensor([[1.0], [-1.0]])
    np.testing.assert_array_equal(model(x).detach().numpy(), [[-8.5], [0.5]])


def test_an_empty_sequential_is_the_identity():
    x = minidl.tensor([1.0])
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("make", [lambda *m: nn.Sequential(*m), lambda *m: nn.ModuleList(m)])
def test_both_are_sequences_of_modules(make):
    layers = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    container = make(*layers)
    assert len(container) == 3 and list(container) == layers
    assert container[0] is layers[0] and container[-1] is layers[2]
    assert [name for name, _ in container.named_children()] == ["0", "1", "2"]
    with pytest.raises(IndexError):
        container[3]


def test_a_module_list_is_seen_by_its_parent_and_grows():
    parent = nn.Module()
    parent.blocks = nn.ModuleList()
    assert len(parent.blocks) == 0
    parent.blocks.append(nn.Linear(1, 2)).append(nn.Linear(2, 1, bias=False))
    assert list(parent.state_dict()) == ["blocks.0.weight", "blocks.0.bias", "blocks.1.weight"]
    plain = nn.Module()
    plain.blocks = [nn.Linear(1, 2)]
    assert plain.state_dict() == {}, "a plain list is not looked into, as in torch"
