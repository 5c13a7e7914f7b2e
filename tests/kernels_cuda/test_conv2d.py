"""Convolution on a simulated GPU: every algorithm and version against literal loops and the reference."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from minidl.kernels.cuda import (
    conv2d,
    conv2d_direct,
    conv2d_im2col,
    conv2d_implicit,
    fused_conv2d,
)
from minidl.kernels.reference import conv2d as reference
from minidl.kernels.reference import fused_conv2d as reference_fused
from minidl.kernels.sim import checked
from oracles import loops
from oracles.conv_cases import CASES, Case, on
from oracles.devices import compiler_or_skip

ALGORITHMS = (None, *conv2d.ALGORITHMS)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture
def xp():
    compiler_or_skip()
    import minidl.kernels.sim.cupy as simulated

    return simulated


def tolerance(case, dtype, algorithm=None):
    """A sum of products of normal numbers: its error is below eps·terms·10 (each factor below 4 or so).

    Winograd's transforms of a tile make it larger by the sizes of the matrices' entries, below 8 for
    these points.
    """
    factor = 80 if algorithm == "winograd" else 10
    return factor * np.finfo(dtype).eps * (case.terms + 8)


def able(case, algorithm):
    """Whether an algorithm can do this case."""
    fits = getattr(conv2d.ALGORITHMS.get(algorithm), "fits", lambda _: True)
    return fits(case.geometry)


def run(xp, case, dtype, algorithm):
    """The four results on the host: y, dx, dw, db."""
    x, weight, bias, g = on(xp, *case.arrays(dtype))
    options = case.options | {"algorithm": algorithm}
    results = (
        conv2d.forward(x, weight, bias, case.out, **options),
        conv2d.backward_data(g, weight, case.x, **options),
        conv2d.backward_weight(g, x, case.weight, **options),
        conv2d.backward_bias(g),
    )
    return [result.get() for result in results]


def expected(case, dtype):
    x, weight, bias, g = (array.astype(np.float64) for array in case.arrays(dtype))
    return [
        loops.conv2d(x, weight, bias, **case.options),
        reference.backward_data(g, weight, case.x, **case.options),
        reference.backward_weight(g, x, case.weight, **case.options),
        reference.backward_bias(g),
    ]


@both_dtypes
@every_algorithm
@every_case
def test_values(xp, case, algorithm, dtype):
    if not able(case, algorithm):
        with pytest.raises(ValueError, match=f"{algorithm!r} cannot do weight"):
            run(xp, case, dtype, algorithm)
        return
    for got, wanted in zip(run(xp, case, dtype, algorithm), expected(case, dtype), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance(case, dtype, algorithm))


@every_algorithm
@every_case
def test_the_backwards_are_adjoints(xp, case, algorithm):
    """<conv(x, w), g> = <x, dx> = <w, dw>, in float64."""
    if not able(case, algorithm):
        return
    x, weight, _, g = case.arrays(np.float64, seed=5)
    options = case.options | {"algorithm": algorithm}
    xs, ws, gs = on(xp, x, weight, g)
    y = conv2d.forward(xs, ws, None, case.out, **options).get()
    dx = conv2d.backward_data(gs, ws, case.x, **options).get()
    dw = conv2d.backward_weight(gs, xs, case.weight, **options).get()
    inner = np.vdot(y, g)
    bound = tolerance(case, np.float64, algorithm) * np.abs(g).sum() * 10
    assert abs(np.vdot(x, dx) - inner) < bound
    assert abs(np.vdot(weight, dw) - inner) < bound


VERSIONS = (
    *(("direct", v) for v in conv2d_direct.VERSIONS),
    *(("implicit", v) for v in conv2d_implicit.VERSIONS),
    *(("im2col", v) for v in ("v1", "v2", "v3", "v4", "v5")),
    ("winograd", "v4"),
    ("winograd", "v5"),
)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("algorithm", "version"), VERSIONS)
@pytest.mark.parametrize("case", [CASES[2], CASES[9]], ids=lambda case: case.name)
def test_every_version_of_the_forward(xp, case, algorithm, version, relu):
    x, weight, bias, _ = case.arrays(np.float64)
    module = conv2d.ALGORITHMS[algorithm]
    y = module.forward(*on(xp, x, weight, bias), case.geometry, relu=relu, version=version).get()
    wanted = loops.conv2d(x, weight, bias, **case.options)
    wanted = np.maximum(wanted, 0) if relu else wanted
    np.testing.assert_allclose(y, wanted, rtol=0, atol=tolerance(case, np.float64, algorithm))


@pytest.mark.parametrize("scatter", ["v1", "v2"])
@pytest.mark.parametrize("version", ["v1", "v3", "v5"])
@every_case
def test_columns_are_added_back_by_atomics_and_by_gathering(xp, case, version, scatter):
    _, weight, _, g = case.arrays(np.float64)
    dx = conv2d_im2col.backward_data(*on(xp, g, weight), case.geometry, version=version, scatter=scatter)
    wanted = reference.backward_data(g, weight, case.x, **case.options)
    np.testing.assert_allclose(dx.get(), wanted, rtol=0, atol=tolerance(case, np.float64))


def test_columns_in_parts(xp, monkeypatch):
    """A bound below one image's columns: image by image."""
    case = Case("five images", (5, 2, 4, 5), (3, 2, 3, 3), padding=(1, 1))
    monkeypatch.setattr(conv2d_im2col, "COLUMN_BYTES", 1)
    monkeypatch.setattr(conv2d_im2col, "SHARES", 2)
    for got, wanted in zip(run(xp, case, np.float64, "im2col"), expected(case, np.float64), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance(case, np.float64))
    monkeypatch.undo()
    monkeypatch.setattr(conv2d_im2col, "SHARES", 2)
    for got, wanted in zip(run(xp, case, np.float64, "im2col"), expected(case, np.float64), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance(case, np.float64))


def test_several_shares_of_pixels_in_the_gradient_of_the_weight(xp, monkeypatch):
    monkeypatch.setattr(conv2d_implicit, "LEAST_PIXELS", 20)
    case = Case("shares", (3, 2, 7, 5), (4, 2, 3, 3), padding=(1, 1))
    got = run(xp, case, np.float64, "implicit")[2]
    np.testing.assert_allclose(got, expected(case, np.float64)[2], rtol=0, atol=tolerance(case, np.float64))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "weight", "g"])
@every_algorithm
def test_what_is_not_finite_arrives_where_it_does_by_definition(xp, algorithm, where, bad):
    """Along the border too: there padding is multiplied, forward and for the weight, but not for x."""
    case = Case("seven by nine", (2, 2, 7, 9), (3, 2, 3, 3), padding=(1, 1))
    if algorithm == "depthwise":
        case = case._replace(weight=(2, 1, 3, 3), groups=2)
    x, weight, bias, g = case.arrays(np.float64)
    {"x": x, "weight": weight, "g": g}[where][0, 0, 2, 0] = bad
    xs, ws, bs, gs = on(xp, x, weight, bias, g)
    results = (
        conv2d.forward(xs, ws, bs, case.out, **case.options, algorithm=algorithm),
        conv2d.backward_data(gs, ws, case.x, **case.options, algorithm=algorithm),
        conv2d.backward_weight(gs, xs, case.weight, **case.options, algorithm=algorithm),
    )
    with np.errstate(invalid="ignore"):
        wanted = (
            loops.conv2d(x, weight, bias, **case.options),
            reference.backward_data(g, weight, case.x, **case.options),
            reference.backward_weight(g, x, case.weight, **case.options),
        )
    seen = 0
    for got, right in zip(results, wanted, strict=True):
        got, bound = got.get(), tolerance(case, np.float64, algorithm)
        np.testing.assert_array_equal(
            np.where(np.isfinite(right), 0, got), np.where(np.isfinite(right), 0, right)
        )
        np.testing.assert_allclose(got[np.isfinite(right)], right[np.isfinite(right)], rtol=0, atol=bound)
        seen += not np.isfinite(right).all()
    assert seen == 2


CHECKED = (*CASES[1:3], CASES[5], CASES[8])


@pytest.mark.parametrize("order", [0, 1, 7])
@pytest.mark.parametrize("algorithm", conv2d.ALGORITHMS)
@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case.name)
def test_no_races_no_bounds_whatever_the_order(xp, case, algorithm, order):
    if not able(case, algorithm):
        return
    with checked(order):
        got = run(xp, case, np.float32, algorithm)
    for mine, wanted in zip(got, expected(case, np.float32), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=tolerance(case, np.float32, algorithm))


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("doubled", [None, False, True])
def test_fused(xp, doubled, relu, check):
    rng = np.random.default_rng(2)
    x, weight, bias = (rng.normal(size=size) for size in ((2, 3, 4, 6), (4, 5, 3, 3), 4))
    second = None if doubled is None else rng.normal(size=(2, 2, 2, 3) if doubled else (2, 2, 4, 6))
    if second is None:
        weight = weight[:, :3].copy()
    g = rng.normal(size=(2, 4, 4, 6))
    options = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    kind = {"doubled": bool(doubled), "relu": relu}
    wanted = reference_fused.forward(x, second, weight, bias, (4, 6), **kind, **options)
    gradients = reference_fused.backward(g, wanted, x, second, weight, (True, True), **kind, **options)
    xs, ws, bs, gs = on(xp, x, weight, bias, g)
    seconds = None if second is None else xp.asarray(second)
    with checked() if check else nullcontext():
        y = fused_conv2d.forward(xs, seconds, ws, bs, (4, 6), **kind, **options)
        got = fused_conv2d.backward(gs, y, xs, seconds, ws, (True, True), **kind, **options)
    np.testing.assert_allclose(y.get(), wanted, atol=1e-12)
    for mine, other in zip(got, gradients, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            np.testing.assert_allclose(mine.get(), other, atol=1e-12)


def test_fused_computes_what_is_needed_only(xp):
    x, weight, g = xp.ones((1, 1, 2, 2)), xp.ones((1, 1, 1, 1)), xp.ones((1, 1, 2, 2))
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    call = (g, g, x, None, weight)
    kind = {"doubled": False, "relu": False}
    given = [d is not None for d in fused_conv2d.backward(*call, (True, False), **kind, **options)]
    assert given == [True, False, False, False]
    given = [d is not None for d in fused_conv2d.backward(*call, (False, True), **kind, **options)]
    assert given == [False, False, True, True]


@pytest.mark.parametrize("algorithm", conv2d.ALGORITHMS)
def test_no_images(xp, algorithm):
    case = Case("none", (0, 3, 4, 5), (3, 1, 3, 3), padding=(1, 1), groups=3)
    y, dx, dw, db = run(xp, case, np.float32, algorithm)
    assert y.shape == (0, 3, 4, 5)
    assert dx.shape == case.x
    assert not dw.any()
    assert not db.any()


def test_views_are_read_as_they_are(xp):
    """Arrays that are not in C order: a transposed picture, every other filter."""
    case = Case("views", (2, 3, 6, 5), (4, 3, 3, 3), padding=(1, 1))
    x, weight, bias, _ = case.arrays(np.float64)
    turned = xp.asarray(np.ascontiguousarray(x.swapaxes(2, 3))).swapaxes(2, 3)
    spaced = xp.asarray(weight.repeat(2, axis=0))[::2]
    y = conv2d.forward(turned, spaced, xp.asarray(bias), case.out, **case.options).get()
    np.testing.assert_allclose(y, loops.conv2d(x, weight, bias, **case.options), atol=1e-12)


def test_the_same_input_gives_the_same_bits(xp):
    case = CASES[5]
    first, second = (run(xp, case, np.float32, None) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_version_that_does_not_exist(xp):
    x, weight, bias, _ = CASES[2].arrays(np.float32)
    with pytest.raises(ValueError, match="no version 'v9'"):
        conv2d_implicit.forward(*on(xp, x, weight, bias), CASES[2].geometry, version="v9")


@both_dtypes
def test_more_than_one_tile_in_every_direction(xp, dtype):
    """More filters, pixels and taps than a tile of the fastest kernels has, and none of them a multiple."""
    case = Case("tiles", (1, 15, 12, 13), (131, 15, 3, 3), padding=(1, 1))
    wanted = expected(case, dtype)
    for algorithm in ("implicit", "im2col", "winograd"):
        for got, value in zip(run(xp, case, dtype, algorithm), wanted, strict=True):
            np.testing.assert_allclose(got, value, rtol=0, atol=tolerance(case, dtype, algorithm))
