"""½ erfcx on vectors against SciPy's, which is Faddeeva's algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfcx

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.vector_erfcx import half_erfcx
from minidl.kernels.cpu.vectors import lanes, load, store


@compiled
def kernel(x, y):
    for i in range(0, x.size, lanes(x)):
        store(y, i, half_erfcx(load(x, i, x.size - i)), x.size - i)


# The inverse r of a + 3 carries two roundings of half an eps each. It enters as a factor and through
# q = 1 - 6r, where |P'(q) / P(q)| < 1.2 and 6r <= 2: 3.4 eps in all at a = 0. Rounding q adds 0.6, the
# polynomial's last steps 1, the product 0.5; SciPy's result is within 2 eps of float64.
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 5.5), (np.float64, 7.5)])
def test_relative_error(dtype, bound):
    rng = np.random.default_rng(0)
    a = np.concatenate([[0], rng.uniform(0, 6, 20_000), np.exp(rng.uniform(-30, 30, 20_001))]).astype(dtype)
    y = np.empty_like(a)
    kernel(a, y)
    exact = erfcx(a.astype(np.float64)) / 2
    assert np.max(np.abs(y - exact) / exact) <= bound * np.finfo(dtype).eps


def test_nan_stays():
    a = np.array([np.nan, 1.0], np.float32)
    y = np.empty_like(a)
    kernel(a, y)
    assert np.isnan(y[0])
    assert y[1] == pytest.approx(erfcx(1.0) / 2, rel=1e-6)
