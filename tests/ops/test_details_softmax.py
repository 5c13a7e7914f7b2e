"""What mutants of softmax showed to be unchecked."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1])
def test_every_row_is_shifted_by_its_own_maximum(name, dim):
    """By that of the whole array, the small row's exponentials would all be 0."""
    row = np.array([0.5, -1.0, 0.25])
    rows = np.stack([row, row + 2000, row - 2000])
    z = minidl.tensor(rows if dim == 1 else rows.T, requires_grad=True)
    g = np.random.default_rng(0).normal(size=3)
    y = getattr(ops, name)(z, dim)
    y.backward(minidl.tensor(np.stack([g, g, g]) if dim == 1 else np.stack([g, g, g]).T))
    for result in (y.detach().numpy(), z.grad.numpy()):
        result = result if dim == 1 else result.T
        np.testing.assert_allclose(result[1:], result[[0, 0]], rtol=1e-12)  # 2000 eps = 4e-13
