"""Products of matrices on a simulated GPU: every version against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels.cuda import gemm
from minidl.kernels.cuda.errors import LaunchError
from minidl.kernels.sim import checked
from oracles.devices import compiler_or_skip

#: m, n, k: one element; less than a tile; more than one, and no multiple of anything.
SIZES = ((1, 1, 1), (3, 5, 2), (17, 19, 23), (130, 67, 9), (66, 132, 17))
every_version = pytest.mark.parametrize("version", gemm.VERSIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture
def xp():
    compiler_or_skip()
    import minidl.kernels.sim.cupy as simulated

    return simulated


def draw(*shapes, dtype=np.float64):
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def tolerance(dtype, terms):
    return 10 * np.finfo(dtype).eps * (terms + 8)


@both_dtypes
@every_version
@pytest.mark.parametrize("size", SIZES)
def test_one_product(xp, size, version, dtype):
    m, n, k = size
    a, b = draw((1, 1, m, k), (1, 1, k, n), dtype=dtype)
    operands = (gemm.matrices(xp.asarray(a)), gemm.matrices(xp.asarray(b)))
    c = gemm.multiply(*operands, size, 1, 1, version=version)
    assert c.dtype == dtype
    np.testing.assert_allclose(c.get(), a.astype(np.float64) @ b, rtol=0, atol=tolerance(dtype, k))


@every_version
@pytest.mark.parametrize("turned", [(True, False), (False, True), (True, True)])
def test_transposed_factors(xp, turned, version):
    a, b = draw((2, 1, 18, 21), (2, 1, 21, 35))
    operands = []
    for matrix, turn in zip((a, b), turned, strict=True):
        lies = np.ascontiguousarray(matrix.mT) if turn else matrix
        operand = gemm.matrices(xp.asarray(lies))
        operands.append(operand.mT if turn else operand)
    c = gemm.multiply(*operands, (18, 35, 21), 2, 1, version=version)
    np.testing.assert_allclose(c.get(), a @ b, rtol=0, atol=tolerance(np.float64, 21))


@every_version
def test_one_matrix_for_all_images_and_a_bias(xp, version):
    weight, x, bias = draw((2, 5, 7), (3, 2, 7, 6), 10)
    operands = (gemm.matrices(xp.asarray(weight)), gemm.matrices(xp.asarray(x)))
    c = gemm.multiply(*operands, (5, 6, 7), 3, 2, bias=xp.asarray(bias), version=version)
    wanted = weight @ x + bias.reshape(2, 5, 1)
    np.testing.assert_allclose(c.get(), wanted, rtol=0, atol=tolerance(np.float64, 8))


@every_version
@pytest.mark.parametrize("each", [1, 2, 3, 5, 9])
def test_sums_over_shares_of_the_images(xp, each, version):
    a, b = draw((5, 2, 3, 11), (5, 2, 11, 4))
    operands = (gemm.matrices(xp.asarray(a)), gemm.matrices(xp.asarray(b)))
    c = gemm.multiply(*operands, (3, 4, 11), 5, 2, each, version=version).get()
    products = a @ b
    wanted = np.stack([products[i : i + each].sum(axis=0) for i in range(0, 5, each)])
    np.testing.assert_allclose(c, wanted, rtol=0, atol=tolerance(np.float64, 55))


@pytest.mark.parametrize("order", [0, 1, 5])
@every_version
def test_no_races_whatever_the_order(xp, version, order):
    a, b = draw((2, 2, 19, 21), (2, 2, 21, 18), dtype=np.float32)
    at, bt = np.ascontiguousarray(a.mT), np.ascontiguousarray(b.mT)
    with checked(order):
        plain = gemm.multiply(
            gemm.matrices(xp.asarray(a)), gemm.matrices(xp.asarray(b)), (19, 18, 21), 2, 2, 2, version=version
        )
        turned = gemm.multiply(
            gemm.matrices(xp.asarray(at)).mT,
            gemm.matrices(xp.asarray(bt)).mT,
            *((19, 18, 21), 2, 2, 2),
            version=version,
        )
    wanted = (a.astype(np.float64) @ b).sum(axis=0, keepdims=True)
    for c in (plain, turned):
        np.testing.assert_allclose(c.get(), wanted, rtol=0, atol=tolerance(np.float32, 42))


@every_version
def test_nan_stays_in_its_row_and_column(xp, version):
    a, b = draw((1, 1, 6, 5), (1, 1, 5, 7))
    a[0, 0, 2, 3] = np.nan
    c = gemm.multiply(
        gemm.matrices(xp.asarray(a)), gemm.matrices(xp.asarray(b)), (6, 7, 5), 1, 1, version=version
    ).get()
    np.testing.assert_array_equal(np.isnan(c), np.isnan(a @ b))
    assert np.isnan(c).sum() == 7


def test_an_empty_result(xp):
    a, b = xp.zeros((0, 1, 2, 3)), xp.zeros((0, 1, 3, 2))
    assert gemm.multiply(gemm.matrices(a), gemm.matrices(b), (2, 2, 3), 0, 1).shape == (0, 1, 2, 2)


@pytest.mark.parametrize(
    ("size", "itemsize", "version"),
    [
        ((128, 128, 8), 4, "v5"),
        ((64, 4096, 27), 4, "v5"),
        ((63, 4096, 27), 4, "v4"),
        ((32, 32, 1000), 4, "v4"),
        ((31, 500, 1000), 4, "v3"),
        ((32, 64, 9), 8, "v5"),
    ],
)
def test_the_choice_follows_the_shape(size, itemsize, version):
    assert gemm.choose(*size, itemsize) == version


def test_wrong_calls_are_refused(xp):
    a, b = (gemm.matrices(xp.zeros((1, 1, 2, 2), dtype)) for dtype in ("float32", "float64"))
    with pytest.raises(LaunchError, match="wants float32, got an array of float64"):
        gemm.multiply(a, b, (2, 2, 2), 1, 1)
    with pytest.raises(ValueError, match="no version 'v6'"):
        gemm.multiply(a, a, (2, 2, 2), 1, 1, version="v6")
