"""Tensors of zeros, ones and numbers in a row, on the host and on devices."""

from types import ModuleType

import numpy as np
import pytest

import minidl
from oracles.devices import KINDS

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)


@pytest.mark.parametrize("where", ["cpu", "device"])
def test_values_dtypes_and_places(xp: ModuleType, where: str) -> None:
    device = "cpu" if where == "cpu" else "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    rows = [
        (minidl.zeros(2, 3, device=device), np.zeros((2, 3), np.float32)),
        (minidl.zeros((), device=device), np.zeros((), np.float32)),
        (minidl.ones((2,), dtype="float64", device=device), np.ones(2)),
        (minidl.full((2, 0), 3, device=device), np.zeros((2, 0), np.int64)),
        (minidl.full(2, 2.5, device=device), np.full(2, 2.5, np.float32)),
        (minidl.full(2, True, device=device), np.full(2, True)),
        (minidl.arange(4, device=device), np.arange(4)),
        (minidl.arange(1, 3, 0.5, device=device), np.arange(1, 3, 0.5, np.float32)),
        (minidl.arange(5, 0, -2, device=device), np.array([5, 3, 1])),
    ]
    for ours, expected in rows:
        assert ours.device == minidl.device(device) and ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours.cpu().numpy(), expected, strict=True)
    like = minidl.zeros_like(minidl.ones(3, dtype="float64", device=device))
    assert like.device == minidl.device(device) and like.dtype == np.float64
    assert minidl.ones_like(like, dtype="int64", device="cpu").tolist() == [1, 1, 1]
    assert minidl.ones(2, device=device, requires_grad=True).requires_grad


def test_mistakes(xp: ModuleType) -> None:
    with pytest.raises(ValueError, match="choose from"):
        minidl.zeros(2, device="gpu")
    with pytest.raises(RuntimeError, match="floating-point"):
        minidl.arange(3, requires_grad=True)
    with pytest.raises(ValueError, match="negative"):
        minidl.zeros(-1)
