"""Accuracy of the norms: float32 in every memory order, far from zero, over many rows; what is not finite."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import strategies

EPS32 = float(np.finfo(np.float32).eps)

NORMS = {
    "batch_norm": (lambda x: ops.batch_norm(x, None, None, training=True), (0, 2, 3)),
    "group_norm": (lambda x: ops.group_norm(x, 1), (1, 2, 3)),
    "instance_norm": (ops.instance_norm, (2, 3)),
    "layer_norm": (lambda x: ops.layer_norm(x, x.shape[1:]), (1, 2, 3)),
}
ORDERS = ["C", "channels_last", "fortran", "sliced", "reversed"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NORMS)
def test_float32_statistics_far_from_zero(name, order):
    """Mean 1000, deviation 1: E[x^2] - E[x]^2 in float32 has no correct digit, the two-pass form has."""
    norm, axes = NORMS[name]
    rng = np.random.default_rng(2)
    x = (1000 + rng.normal(size=(4, 2, 64, 64))).astype(np.float32)
    moved = {"C": x, **strategies.memory_orders(x)}[order]
    y = norm(minidl.Tensor(moved)).numpy()
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    # x - mean is exact to the rounding of the mean: eps * 1000, some of them from the sum over 16384 values.
    np.testing.assert_allclose(y, exact, rtol=0, atol=8 * 1000 * EPS32)


@pytest.mark.parametrize("order", ["C", "fortran", "sliced", "reversed"])
@pytest.mark.parametrize("name", ["batch_norm", "layer_norm"])
def test_float32_gradients_of_weight_and_bias_over_many_rows(name, order):
    """2^17 rows of two values: the rows are summed across memory, which in float32, one after the other,
    would be off by up to 2^17 eps = 0.016; the bound is 64 eps of what is summed."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 1 << 17, 2)).astype(np.float32)
    g += 1
    weight, bias = (minidl.tensor(v * np.ones(2, np.float32), requires_grad=True) for v in (1, 0))
    moved_x, moved_g = ({"C": a, **strategies.memory_orders(a)}[order] for a in (x, g))
    t = minidl.Tensor(moved_x)
    norm = {
        "batch_norm": lambda: ops.batch_norm(t, None, None, weight, bias, training=True),
        "layer_norm": lambda: ops.layer_norm(t, (2,), weight, bias),
    }[name]
    y = norm()
    y.backward(minidl.Tensor(moved_g))
    exact_g, xhat = g.astype(np.float64), y.detach().numpy().astype(np.float64)
    for actual, terms in ((bias.grad, exact_g), (weight.grad, exact_g * xhat)):
        np.testing.assert_allclose(
            actual.numpy(), terms.sum(0), rtol=0, atol=64 * EPS32 * np.abs(terms).sum(0).max()
        )


def test_an_infinity_spoils_its_own_group_and_no_other():
    x = np.array([[1.0, 2.0], [np.inf, 4.0], [0.0, np.nan]])
    y = ops.layer_norm(minidl.tensor(x), (2,), eps=0.0).numpy()
    np.testing.assert_array_equal(y, [[-1, 1], [np.nan, np.nan], [np.nan, np.nan]])
