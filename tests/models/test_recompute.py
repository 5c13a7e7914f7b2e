"""UNet(recompute=True): the same training with less memory."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops, optim
from minidl.models import UNet


def train(recompute, norm, steps=3):
    minidl.manual_seed(0)
    model = UNet(3, 2, base=4, depth=2, norm=norm, dropout=0.5, recompute=recompute)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(1)
    losses = []
    for _ in range(steps):
        images = minidl.tensor(rng.normal(size=(2, 3, 16, 12)).astype(np.float32))
        optimizer.zero_grad()
        loss = ops.cross_entropy(model(images), rng.integers(0, 2, (2, 16, 12)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: value.copy() for name, value in model.state_dict().items()}, model


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_every_loss_weight_and_statistic_is_the_same_to_the_bit(norm):
    losses, state, _ = train(False, norm)
    recomputed_losses, recomputed_state, _ = train(True, norm)
    assert recomputed_losses == losses and losses[0] != losses[1]
    for name, value in state.items():
        np.testing.assert_array_equal(recomputed_state[name], value, err_msg=name)


def test_the_graph_consists_of_stages():
    def names(model):
        logits = model(minidl.tensor(np.zeros((1, 3, 16, 12), np.float32)))
        seen, stack = set(), [logits.grad_fn]
        found = []
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            found.append(node.name())
            stack += [edge[0] for edge in node.next_functions if isinstance(edge, tuple)]
        return found

    plain, recomputed = (train(flag, "none", steps=0)[2] for flag in (False, True))
    assert "ReluBackward" in names(plain) and "CheckpointBackward" not in names(plain)
    # Three blocks down (the bottleneck among them), two stages up; pools between and the head stay outside.
    assert names(recomputed).count("CheckpointBackward") == 5
    assert "ReluBackward" not in names(recomputed)


def test_in_evaluation_nothing_is_recomputed():
    _, _, model = train(True, "batch", steps=1)
    model.eval()
    image = minidl.tensor(np.ones((1, 3, 16, 12), np.float32))
    assert model(image).grad_fn.name() == "Conv2dBackward"
    model.recompute = False
    expected = model(image).numpy()
    model.recompute = True
    np.testing.assert_array_equal(model(image).numpy(), expected)
