"""Windows as columns and back, on a simulated GPU: every version against literal loops."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels.cuda import unfold
from minidl.kernels.sim import checked
from oracles import loops
from oracles.conv_cases import CASES, Case
from oracles.devices import compiler_or_skip

WIDE = Case("rows longer than a warp", (1, 2, 3, 40), (1, 2, 2, 3), padding=(0, 1))
every_case = pytest.mark.parametrize("case", [*CASES, WIDE], ids=lambda case: case.name)
every_version = pytest.mark.parametrize("version", unfold.VERSIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture
def xp():
    compiler_or_skip()
    import minidl.kernels.sim.cupy as simulated

    return simulated


def window(case):
    return case.weight[2:], case.out, case.stride, case.padding, case.dilation


def options(case):
    return {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}


@both_dtypes
@every_version
@every_case
def test_forward_is_exact(xp, case, version, dtype):
    x = case.arrays(dtype)[0]
    col = unfold.forward(xp.asarray(x), *window(case), version=version)
    assert col.dtype == dtype
    np.testing.assert_array_equal(col.get(), loops.unfold(x, case.weight[2:], **options(case)))


@both_dtypes
@every_version
@every_case
def test_backward(xp, case, version, dtype):
    x = case.arrays(dtype)[0]
    n, rows, length = x.shape[0], x.shape[1] * case.weight[2] * case.weight[3], case.out[0] * case.out[1]
    col = np.random.default_rng(3).normal(size=(n, rows, length)).astype(dtype)
    got = unfold.backward(xp.asarray(col), x.shape, *window(case), version=version)
    wanted = loops.fold(col, x.shape[2:], case.weight[2:], **options(case))
    np.testing.assert_allclose(got.get(), wanted, rtol=0, atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("order", [0, 1, 7])
@every_version
@pytest.mark.parametrize("case", [CASES[3], CASES[5], CASES[6], WIDE], ids=lambda case: case.name)
def test_no_races_no_bounds_whatever_the_order(xp, case, version, order):
    x = case.arrays(np.float32)[0]
    with checked(order):
        col = unfold.forward(xp.asarray(x), *window(case), version=version)
        back = unfold.backward(col, x.shape, *window(case), version=version)
    ones = np.ones_like(x)
    counts = loops.fold(
        loops.unfold(ones, case.weight[2:], **options(case)), x.shape[2:], case.weight[2:], **options(case)
    )
    np.testing.assert_allclose(back.get(), x * counts, rtol=1e-5)


def test_no_images(xp):
    x = xp.zeros((0, 2, 3, 3), "float32")
    geometry = ((2, 2), (2, 2), (1, 1), (0, 0), (1, 1))
    col = unfold.forward(x, *geometry)
    assert col.shape == (0, 8, 4)
    assert unfold.backward(col, x.shape, *geometry).shape == x.shape


def test_a_version_that_does_not_exist(xp):
    with pytest.raises(ValueError, match="no version 'v3'"):
        unfold.forward(xp.zeros((1, 1, 2, 2)), (1, 1), (2, 2), (1, 1), (0, 0), (1, 1), version="v3")
