"""The peer of the benchmarks is the same network; docs/results.md must not compare two different things."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import minidl
from minidl import models, ops, optim
from minidl.bench.sides.torch_unet import with_weights

Array = np.ndarray[Any, Any]

N, H, W = 3, 16, 20
#: The longest sum is that of a weight's gradient over N·H·W pixels; n roundings that point anywhere add up to
#: about √n of one.
ROUNDINGS = (N * H * W) ** 0.5


def pictures() -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(N, 2, H, W)), rng.integers(0, 3, (N, H, W))) for _ in range(5)]


def network(norm: str, bottleneck: bool) -> tuple[dict[str, Any], models.UNet]:
    minidl.manual_seed(1)
    sizes = {"in_channels": 2, "num_classes": 3, "base": 4, "depth": 2}
    architecture = {**sizes, "bottleneck": bottleneck, "norm": norm}
    return architecture, models.UNet(**architecture).double()


def five_steps_of_minidl(model: models.UNet, ulps: int = 0) -> dict[str, Array]:
    """Losses, weights and statistics, and an output in eval mode.

    Before each step every weight moves by ``ulps`` times eps, up or down.
    """
    optimizer, rng = optim.Adam(model.parameters(), 1e-2), np.random.default_rng(1)
    losses = []
    for x, y in pictures():
        for p in model.parameters() if ulps else ():
            p.data[...] *= 1 + ulps * np.finfo(np.float64).eps * rng.choice([-1, 1], p.shape)
        optimizer.zero_grad()
        loss = ops.cross_entropy(model(minidl.tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state = {name: array.copy() for name, array in model.state_dict().items()}
    return {"loss": np.array(losses), **state, "output": model.eval()(minidl.tensor(x)).detach().numpy()}


def five_steps_of_torch(architecture: dict[str, Any], start: dict[str, Array]) -> dict[str, Array]:
    model = with_weights(architecture, start).double()
    model.load_state_dict({name: torch.tensor(array) for name, array in start.items()})
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for x, y in pictures():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state = {name: array.numpy() for name, array in model.state_dict().items()}
    with torch.no_grad():
        output = model.eval()(torch.from_numpy(x)).numpy()
    return {"loss": np.array(losses), **state, "output": output}


def deviation(a: dict[str, Array], b: dict[str, Array]) -> float:
    """The greatest relative deviation in norm of any array."""
    assert a.keys() == b.keys()
    return max(float(np.linalg.norm(a[name] - b[name]) / np.linalg.norm(b[name])) for name in b)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_five_steps_of_adam(norm: str, bottleneck: bool) -> None:
    """In float64, where only rounding tells the two apart.

    How far rounding alone takes this network in five steps is measured: minidl runs once more with every
    weight moved by one eps before each step. Two right programs differ by no more than that for each of the
    roundings in which their sums differ: about 1e-13 in all, far below any wrong term.
    """
    architecture, model = network(norm, bottleneck)
    start = {name: array.copy() for name, array in model.state_dict().items()}
    expected = five_steps_of_torch(architecture, start)
    actual = five_steps_of_minidl(model)
    growth = deviation(five_steps_of_minidl(network(norm, bottleneck)[1], ulps=1), actual)
    assert 0 < growth < 1e-13
    assert deviation(actual, expected) <= ROUNDINGS * growth
