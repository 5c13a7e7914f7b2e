"""The peer of the benchmarks is the same network; docs/results.md must not compare two different things."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import minidl
from benchmarks.peers.torch_unet import with_weights
from minidl import models, ops, optim


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_five_steps_of_adam(norm: str, bottleneck: bool) -> None:
    """float64, where only rounding tells the two apart: eps times some thousand operations in a row."""
    minidl.manual_seed(1)
    sizes = {"in_channels": 2, "num_classes": 3, "base": 4, "depth": 2}
    architecture = {**sizes, "bottleneck": bottleneck, "norm": norm}
    ours = models.UNet(**architecture).double()
    theirs = with_weights(architecture, ours.state_dict()).double()
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    first, second = optim.Adam(ours.parameters(), 1e-2), torch.optim.Adam(theirs.parameters(), 1e-2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.normal(size=(3, 2, 16, 20)), rng.integers(0, 3, (3, 16, 20))
        for optimizer in (first, second):
            optimizer.zero_grad()
        loss = ops.cross_entropy(ours(minidl.tensor(x)), y)
        loss.backward()
        first.step()
        peer = F.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        peer.backward()
        second.step()
        assert loss.item() == pytest.approx(peer.item(), rel=1e-11)
    state = theirs.state_dict()
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, state[name].numpy(), rtol=0, atol=1e-9, err_msg=name)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours(minidl.tensor(x)).numpy(), expected, rtol=0, atol=1e-8)
