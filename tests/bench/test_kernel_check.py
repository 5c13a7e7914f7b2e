"""What is wrong is noticed, and what is only rounded is not."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.bench.kernels.case import Draw
from minidl.bench.kernels.cases import CASES, find
from minidl.bench.kernels.check import Expected, as_double

EPS = np.finfo(np.float32).eps


def of(name):
    case = find(name)
    call = case.make(Draw(quick=True))
    return case, call, Expected(case, call)


@pytest.mark.parametrize(("variant", "n"), [("pointwise", 16), ("deep", 144)])
def test_the_bound_of_a_convolution_is_the_derived_one(variant, n):
    """8 √n ε S: n taps, S the largest sum of magnitudes."""
    _, call, expected = of(f"conv2d-forward-{variant}")
    x, weight, bias, _ = (np.abs(a) if isinstance(a, np.ndarray) else a for a in as_double(call).args)
    k = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))
    sums = np.einsum("nchwuv,kcuv->nkhw", windows, weight) + bias[:, None, None]
    assert expected.allowed == [pytest.approx(8 * np.sqrt(n) * EPS * sums.max(), rel=1e-12)]


def test_the_bound_of_a_long_sum_is_that_of_256_terms():
    _, call, expected = of("gemm-multiply")
    a, b = as_double(call).args
    scale = np.abs(a @ b).max() * (1 + max(np.abs(a).max(), np.abs(b).max()))
    assert expected.allowed == [pytest.approx(8 * np.sqrt(256) * EPS * scale, rel=1e-12)]


def test_rounding_is_allowed_and_a_missing_tap_is_not():
    case, call, expected = of("conv2d-forward-wide")
    right = expected.arrays[0].astype(np.float32)
    assert expected.fault([right * (1 + EPS)]) == "" and 0 < expected.share([right * (1 + EPS)]) < 1
    x, weight, bias, out = call.args
    weight = weight.copy()
    weight[3, 5, 1, 1] = 0
    wrong = case.reference()(x, weight, bias, out, **call.options)
    assert "result at (0, 3, " in expected.fault([wrong])


def test_a_sum_without_its_last_term_is_noticed():
    _, call, expected = of("reductions-sum-all")
    x = call.args[0].copy()
    x.flat[-1] += 1
    assert expected.allowed == [0.0]
    assert expected.fault([x.sum(keepdims=True)]).startswith("result at (0, 0, 0, 0) is ")


@pytest.mark.parametrize(
    ("result", "part"),
    [
        (np.zeros((2, 32, 16, 15), np.float32), "expected float32 (2, 32, 16, 16)"),
        (np.zeros((2, 32, 16, 16), np.float64), "result is float64"),
        (np.full((2, 32, 16, 16), np.nan, np.float32), "is nan, expected"),
    ],
)
def test_shapes_dtypes_and_nan(result, part):
    assert part in of("activations-relu")[2].fault([result])


def test_the_number_of_results():
    assert of("activations-relu")[2].fault([]) == "gives 0 arrays, expected 1"


def test_integers_must_be_the_same():
    _, _, expected = of("max_pool2d-forward")
    best, tap = (a.astype(t) for a, t in zip(expected.arrays, (np.float32, np.uint8), strict=True))
    assert expected.fault([best, tap]) == "" and expected.fault([best, None]) == ""
    tap[0, 0, 0, 0] ^= 1
    assert "result 1 at (0, 0, 0, 0)" in expected.fault([best, tap])


def test_arguments_stay_as_they_are():
    for case in CASES:
        if case.in_place:
            call, again = case.make(Draw(quick=True)), case.make(Draw(quick=True))
            Expected(case, call)
            np.testing.assert_equal(call.args[0], again.args[0])
