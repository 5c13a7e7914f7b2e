"""Indices of every kind on devices: what they read, write and send back is what they do on the host."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minidl
from oracles.devices import KINDS
from oracles.index_strategies import indices, made

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)


def outcome(array: Any, index: Any, device: str, tensors_on: str) -> Any:
    """(y, gradient, what is there after writing) on the host; or the error."""
    where = made(index, lambda part: minidl.tensor(part, device=tensors_on))
    x = minidl.tensor(array, requires_grad=True, device=device)
    try:
        y = x[where]
    except IndexError as error:
        return str(error)
    weights = np.random.default_rng(0).integers(-9, 9, y.shape).astype(float)
    (y * minidl.tensor(weights, device=device)).sum().backward()
    written = minidl.tensor(array, device=device)
    written[where] = weights
    written[where] = written[where] * 2
    assert x.grad is not None
    return [t.detach().cpu().numpy() for t in (y, x.grad, written)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("tensors_on", ["device", "cpu"])
def test_drawn_indices(xp: ModuleType, data: st.DataObject, tensors_on: str) -> None:
    device = "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4), label="shape"))
    index = data.draw(indices(shape), label="index")
    array = np.arange(float(np.prod(shape))).reshape(shape)
    expected = outcome(array, index, "cpu", "cpu")
    actual = outcome(array, index, device, device if tensors_on == "device" else "cpu")
    if isinstance(expected, str):
        assert actual == expected
    else:
        for ours, host in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(ours, host, strict=True)


def test_writing_into_the_memory_that_is_read(xp: ModuleType) -> None:
    device = "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    for place in (device, "cpu"):
        x = minidl.arange(6, device=place)
        x[1:] = x[:-1]
        assert x.tolist() == [0, 0, 1, 2, 3, 4]
        x[:-1].copy_(x[1:])
        assert x.tolist() == [0, 1, 2, 3, 4, 4]
