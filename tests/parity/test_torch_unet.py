"""The documents' U-Net in float64: same weights, same data, five steps; every loss and weight beside
torch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import minidl

STEPS = 5


def torch_unet(pairs, x):
    """The documents' program, line by line: `pairs` are the (weight, bias) of its 17 convolutions."""
    remaining = iter(pairs)

    def conv(x):
        weight, bias = next(remaining)
        return F.relu(F.conv2d(x, weight, bias, padding="same"))

    skips = []
    for _ in range(4):
        x = conv(conv(x))
        skips.append(x)
        x = F.max_pool2d(x, 2)
    for skip in reversed(skips):
        x = F.interpolate(x, scale_factor=2)  # UpSampling2D repeats pixels
        x = conv(conv(torch.cat([skip, x], 1)))
    weight, bias = next(remaining)
    assert not list(remaining)
    return F.conv2d(x, weight, bias)


def pairs_of(parameters):
    """(weight, bias) of every convolution, in the order in which the documents' program makes them."""
    return list(zip(parameters[0::2], parameters[1::2], strict=True))


OPTIMIZERS = {
    "SGD with momentum": lambda optim, p: optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda optim, p: optim.Adam(p, lr=1e-3),
}


def test_the_documents_parameter_count():
    model = minidl.models.unet_documents(2)
    assert sum(p.data.size for p in model.parameters()) == 3_716_898


def test_one_forward_and_backward():
    minidl.manual_seed(1)
    model = minidl.models.unet_documents(2).double()
    parameters = [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in model.parameters()]
    rng = np.random.default_rng(0)
    x, g = rng.uniform(size=(1, 3, 32, 16)), rng.normal(size=(1, 2, 32, 16))
    y, expected = model(minidl.tensor(x)), torch_unet(pairs_of(parameters), torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-12)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for (name, p), q in zip(model.named_parameters(), parameters, strict=True):
        theirs = q.grad.numpy()
        assert np.linalg.norm(p.grad.numpy() - theirs) <= 1e-12 * np.linalg.norm(theirs), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_steps(name):
    """Rounding alone gives 1e-15 to 7e-14 in norm; a wrong term anywhere is many orders above 1e-12."""
    minidl.manual_seed(0)
    model = minidl.models.unet_documents(2).double()
    parameters = [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in model.parameters()]
    optimizer = OPTIMIZERS[name](minidl.optim, model.parameters())
    peer = OPTIMIZERS[name](torch.optim, parameters)
    rng = np.random.default_rng(0)
    x, target = rng.uniform(size=(2, 3, 32, 32)), rng.integers(0, 2, (2, 32, 32))
    target[0, :4] = 255  # some pixels without a label
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        peer.zero_grad()
        loss = minidl.ops.cross_entropy(model(minidl.tensor(x)), minidl.tensor(target), ignore_index=255)
        expected = F.cross_entropy(
            torch_unet(pairs_of(parameters), torch.tensor(x)), torch.tensor(target), ignore_index=255
        )
        loss.backward()
        expected.backward()
        assert math.isclose(loss.item(), expected.item(), rel_tol=1e-12)
        optimizer.step()
        peer.step()
        losses.append(loss.item())
    assert losses[-1] != losses[0]
    for (key, p), q in zip(model.named_parameters(), parameters, strict=True):
        theirs = q.detach().numpy()
        assert np.linalg.norm(p.detach().numpy() - theirs) <= 1e-12 * np.linalg.norm(theirs), key
