"""interpolate (E12): nearest and bilinear resampling, both linear, both with an adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@given(data=st.data())
def test_against_the_loops(mode, data):
    case = data.draw(strategies.resamplings(mode))
    x = case.generic()
    check_op(
        lambda x: ops.interpolate(x, **case.options),
        lambda x: loops.interpolate(x, case.size, case.scale, mode),
        x,
        terms=81,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.interpolate(x, **case.options), x, terms=81, seed=case.seed)


@given(factor=st.integers(1, 4), shape=strategies.shapes(4, 4), seed=strategies.seeds)
def test_nearest_by_a_whole_factor_repeats_pixels_and_sums_them_back(factor, shape, seed):
    x = minidl.tensor(strategies.generic(np.random.default_rng(seed), shape), requires_grad=True)
    y = ops.interpolate(x, scale_factor=factor)
    np.testing.assert_array_equal(y.detach().numpy(), np.kron(x.numpy(), np.ones((1, 1, factor, factor))))
    g = np.random.default_rng(seed + 1).normal(size=y.shape)
    y.backward(g)
    blocks = g.reshape(*shape[:2], shape[2], factor, shape[3], factor)
    np.testing.assert_allclose(x.grad.numpy(), blocks.sum(axis=(3, 5)), rtol=1e-13, atol=1e-13)


@given(case=strategies.resamplings("bilinear"))
def test_bilinear_keeps_constants_and_stays_between_neighbours(case):
    constant = ops.interpolate(minidl.tensor(np.full(case.shape, 3.5)), **case.options).numpy()
    np.testing.assert_allclose(constant, 3.5, rtol=1e-15)
    x = case.generic()
    y = ops.interpolate(minidl.tensor(x), **case.options).numpy()
    assert y.min() >= x.min() - 1e-12 and y.max() <= x.max() + 1e-12


def test_a_hand_worked_row():
    # Doubling (0, 4): centres fall at -0.25 (clamped to 0), 0.25, 0.75, 1.25 (clamped to 1).
    x = np.array([[[[0.0, 4.0]]]])
    y = ops.interpolate(minidl.tensor(x), size=(1, 4), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(y.numpy()[0, 0], [[0, 1, 3, 4]], rtol=1e-15)


BAD = {
    "neither size nor scale_factor": ({}, "size"),
    "both size and scale_factor": ({"size": 4, "scale_factor": 2}, "scale_factor"),
    "unknown mode": ({"size": 4, "mode": "cubist"}, "cubist"),
    "align_corners with nearest": ({"size": 4, "align_corners": True}, "align_corners"),
    "output without pixels": ({"scale_factor": 0.1}, "(0, 0)"),
    "size of zero": ({"size": 0}, "size"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    options, named = BAD[name]
    with pytest.raises((ValueError, RuntimeError, NotImplementedError)) as caught:
        ops.interpolate(minidl.tensor(np.zeros((1, 1, 3, 3))), **options)
    assert "interpolate" in str(caught.value) and named in str(caught.value)


def test_a_vector_is_refused():
    with pytest.raises((ValueError, NotImplementedError, RuntimeError)) as caught:
        ops.interpolate(minidl.tensor(np.zeros(3)), size=4)
    assert "interpolate" in str(caught.value) and "(3,)" in str(caught.value)
