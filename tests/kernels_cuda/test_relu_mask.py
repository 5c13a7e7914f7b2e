"""The kernel that is launched by RawKernel."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels.cuda.relu_mask import relu_mask
from minidl.kernels.sim import checked
from oracles.devices import compiler_or_skip


@pytest.fixture
def xp():
    compiler_or_skip()
    import minidl.kernels.sim.cupy as simulated

    return simulated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 300])
def test_values(xp, size, dtype):
    rng = np.random.default_rng(size)
    g, y = rng.normal(size=(2, size)).astype(dtype)
    y[0], y[-1] = 0, np.nan
    with checked():
        delta = relu_mask(xp.asarray(g), xp.asarray(y))
    expected = [a if b > 0 or b != b else 0 for a, b in zip(g, y, strict=True)]
    np.testing.assert_array_equal(delta.get(), np.array(expected, dtype))


def test_views(xp):
    g, y = np.random.default_rng(0).normal(size=(2, 4, 6))
    delta = relu_mask(xp.asarray(g)[:, ::2], xp.asarray(y)[:, ::2]).get()
    np.testing.assert_array_equal(delta, np.where(y > 0, g, 0)[:, ::2])


def test_nothing(xp):
    assert relu_mask(xp.zeros((0, 2)), xp.zeros((0, 2))).shape == (0, 2)


def test_wrong_arguments(xp):
    x = xp.zeros(3, "float32")
    with pytest.raises(TypeError, match="got float32 and float64"):
        relu_mask(x, xp.zeros(3, "float64"))
    with pytest.raises(TypeError, match="got int32 and int32"):
        relu_mask(xp.zeros(3, "int32"), xp.zeros(3, "int32"))
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(4,\) differ"):
        relu_mask(x, xp.zeros(4, "float32"))
