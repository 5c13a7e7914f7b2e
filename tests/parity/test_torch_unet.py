"""The documents' U-Net in float64 beside torch's, same weights, same picture, in the initial state that
minidl gives it. Twenty steps of it: test_torch_trajectory.py."""

from __future__ import annotations

import numpy as np
import torch

import minidl
from parity.trajectory import pairs_of, torch_unet


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
