"""A small U-Net trained for some steps on a simulated GPU goes the way it goes on the NumPy reference.

Tolerance: the first loss is one forward pass, whose longest sum has 8·2·9 = 144 products (and 128 pixels in
the normalisation's); after that each step adds its rounding. In float64 rounding is some 1e-13 of the loss;
Adam divides gradients by their own size, so an element whose gradient is rounding alone moves by up to the
learning rate in either direction: there is none here (checked by the bound holding in float64 at 1e-9).
"""

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.testing import tolerance
from oracles.devices import compiler_or_skip

STEPS = 5


def losses(device: str, dtype: Any, fused: bool, optimizer: str) -> list[float]:
    minidl.manual_seed(0)
    net = minidl.models.UNet(in_channels=1, num_classes=2, base=2, depth=2, norm="batch", dropout=0.2)
    if fused:
        net = minidl.fuse(net)
    net = net.to(device, dtype)
    options = {"lr": 1e-2} if optimizer == "Adam" else {"lr": 0.1, "momentum": 0.9}
    steps = getattr(minidl.optim, optimizer)(net.parameters(), **options)
    rng = np.random.default_rng(0)
    result = []
    for _ in range(STEPS):
        x = minidl.tensor(rng.standard_normal((2, 1, 8, 8)), dtype=dtype, device=device)
        y = minidl.tensor(rng.integers(0, 2, (2, 8, 8)), device=device)
        steps.zero_grad()
        loss = ops.cross_entropy(net(x), y)
        loss.backward()
        steps.step()
        result.append(loss.item())
    return result


@pytest.mark.parametrize(("fused", "optimizer"), [(False, "Adam"), (True, "SGD")])
def test_float64(fused: bool, optimizer: str) -> None:
    compiler_or_skip()
    with minidl.use("numpy"):
        expected = losses("cpu", np.float64, fused, optimizer)
    ours = losses("cuda_sim", np.float64, fused, optimizer)
    assert len(set(ours)) == STEPS  # it moves
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_float32_begins_with_the_same_loss() -> None:
    compiler_or_skip()
    with minidl.use("numpy"):
        expected = losses("cpu", np.float32, False, "SGD")
    ours = losses("cuda_sim", np.float32, False, "SGD")
    assert abs(ours[0] - expected[0]) < tolerance(np.float32, 144, 1.0)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=10 * tolerance(np.float32, 144, 1.0))


@pytest.mark.slow
def test_the_second_device_need_not_be_the_current_one() -> None:
    compiler_or_skip()
    ours, others = (losses(device, np.float32, False, "SGD") for device in ("cuda_sim:0", "cuda_sim:1"))
    assert ours == others  # the same kernels on the same numbers, in the same order
