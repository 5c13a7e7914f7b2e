"""Twenty steps of the plain and of the fused documents' U-Net are the same training."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops, optim
from minidl.models import UNet

STEPS = 20


def train(fused, dtype, norm):
    minidl.manual_seed(0)
    model = UNet(3, 3, base=8, depth=3, bottleneck=False, norm=norm).astype(dtype)
    used = minidl.fuse(model) if fused else model
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3, 24, 16)).astype(dtype), rng.integers(0, 3, (2, 24, 16))
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ops.cross_entropy(used(minidl.tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_in_float64_to_rounding(norm):
    (losses, state), (fused_losses, fused_state) = (train(fused, np.float64, norm) for fused in (False, True))
    assert losses[-1] < 0.9 * losses[0], "it learns something"
    # Adam divides by the root of a squared gradient: what rounding leaves of it grows by some orders in 20
    # steps.
    np.testing.assert_allclose(fused_losses, losses, rtol=1e-9)
    for name, value in state.items():
        np.testing.assert_allclose(fused_state[name], value, rtol=0, atol=1e-8, err_msg=name)


def test_in_float32_the_losses_stay_together():
    (losses, _), (fused_losses, _) = (train(fused, np.float32, "none") for fused in (False, True))
    np.testing.assert_allclose(fused_losses, losses, rtol=1e-3)
