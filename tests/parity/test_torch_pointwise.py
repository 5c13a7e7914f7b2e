"""Element-wise operations against torch: values, gradients, second derivatives.

Dtypes, `out=`, refusals and layers: test_torch_pointwise_rules.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from oracles.pointwise_formulas import distinct
from parity.agreement import MINIDL, TORCH, agree, many

NAN, INF = math.nan, math.inf

#: Where element-wise functions have corners, limits and overflows. Whole and half numbers make ties likely.
SPECIAL = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 20.0, -20.0, 100.0, -100.0])
WILD = np.array([*SPECIAL, NAN, INF, -INF])

UNARY = {
    "exp": lambda F, x: F.exp(x),
    "log": lambda F, x: F.log(x),
    "sqrt": lambda F, x: F.sqrt(x),
    "rsqrt": lambda F, x: F.rsqrt(x),
    "abs": lambda F, x: F.abs(x),
    "sign": lambda F, x: F.sign(x),
    "neg": lambda F, x: F.neg(x),
    "relu": lambda F, x: F.relu(x),
    "sigmoid": lambda F, x: F.sigmoid(x),
    "tanh": lambda F, x: F.tanh(x),
    "silu": lambda F, x: F.silu(x),
    "hardswish": lambda F, x: F.hardswish(x),
    "leaky_relu": lambda F, x: F.leaky_relu(x),
    "leaky_relu 0.2": lambda F, x: F.leaky_relu(x, 0.2),
    "elu": lambda F, x: F.elu(x),
    "elu 2.5": lambda F, x: F.elu(x, alpha=2.5),
    "gelu": lambda F, x: F.gelu(x),
    "gelu tanh": lambda F, x: F.gelu(x, approximate="tanh"),
    "softplus": lambda F, x: F.softplus(x),
    "softplus 2, 1": lambda F, x: F.softplus(x, 2, 1),
    "softplus -1": lambda F, x: F.softplus(x, beta=-1.0, threshold=15),
    "clamp": lambda F, x: F.clamp(x, -0.5, 1),
    "clamp min": lambda F, x: F.clamp(x, min=0),
    "clip max": lambda F, x: F.clip(x, max=0.5),
    "clamp crossed": lambda F, x: F.clamp(x, 1, -1),
    "power 2": lambda F, x: F.pow(x, 2),
    "power 0": lambda F, x: x**0,
    "power -1": lambda F, x: x**-1,
    "power 0.5": lambda F, x: x**0.5,
    "2 to the power": lambda F, x: 2**x,
    "0 to the power": lambda F, x: 0.0**x,
    "where": lambda F, x: F.where(x > 0, x, 0.0),
}
#: Functions whose slope or value at 0 or below is infinite or NaN, so that rounding has no common measure.
POSITIVE = {"log", "sqrt", "rsqrt", "power -1", "power 0.5", "0 to the power"}
BINARY = {
    "add": lambda F, x, y: x + y,
    "sub": lambda F, x, y: F.sub(x, y),
    "mul": lambda F, x, y: x * y,
    "div": lambda F, x, y: x / F.where(y == 0, 1.0, y),
    "maximum": lambda F, x, y: F.maximum(x, y),
    "minimum": lambda F, x, y: F.minimum(x, y),
    "clamp min": lambda F, x, y: F.clamp(x, y),
    "clamp max": lambda F, x, y: F.clamp(x, max=y),
    "where": lambda F, x, y: F.where(x < y, x, 2 * y),
    "mask": lambda F, x, y: F.where((x < y) & ~(x == 0.5) | (y >= 1), y, x),
}


@pytest.mark.parametrize("name", UNARY)
@many
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_unary(name, shape, seed):
    draw = strategies.positive if name in POSITIVE else strategies.generic
    rng = np.random.default_rng(seed)
    x = draw(rng, shape)
    whole = rng.random(shape) < 0.2
    agree(UNARY[name], np.where(whole, np.round(x) + 1, x), steepness=16)


@pytest.mark.parametrize("name", BINARY)
@many
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_binary_with_ties(name, shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0, 2.0], shape) for shape in shapes)
    agree(BINARY[name], x, y, steepness=16)


@many
@given(shapes=strategies.broadcastable(3), seed=strategies.seeds)
def test_clamp_between_tensors_with_ties_and_crossed_bounds(shapes, seed):
    rng = np.random.default_rng(seed)
    shapes[0] = np.broadcast_shapes(*shapes)  # torch's own gradient of a smaller input fails on its shape
    x, low, high = (rng.choice([-1.0, 0.0, 0.5, 1.0], shape) for shape in shapes)
    agree(lambda F, x, low, high: F.clamp(x, low, high), x, low, high)


@many
@given(shapes=strategies.broadcastable(3), seed=strategies.seeds)
def test_where_a_condition_is_given(shapes, seed):
    rng = np.random.default_rng(seed)
    condition, x, y = rng.random(shapes[0]) < 0.5, rng.normal(size=shapes[1]), rng.normal(size=shapes[2])
    agree(lambda F, x, y: F.where(F.tensor(condition), x, y), x, y)


@many
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_pow_with_zeros(shapes, seed):
    rng = np.random.default_rng(seed)
    base, exponent = rng.choice([0.0, 0.5, 1.0, 2.0], shapes[0]), rng.choice([0.0, 1.0, 2.0, 1.5], shapes[1])
    agree(lambda F, x, y: F.pow(x, y), base, exponent, steepness=16)


@many
@given(shape=strategies.shapes(1, 4), one=st.booleans(), seed=strategies.seeds)
def test_prelu(shape, one, seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=1 if one or len(shape) < 2 else shape[1])
    agree(lambda F, x, w: F.prelu(x, w), rng.choice(SPECIAL[:9], shape), weight, terms=256)


# --- NaN, infinities, corners: each value alone, both libraries ---------------------------------------------


def slopes(F, line, x):
    """(values, gradients) of the line at each of these numbers, in float64."""
    leaf = F.tensor(x, requires_grad=True)
    y = line(F, leaf)
    y.backward(F.tensor(np.full(x.shape, 3.0)))
    return y.detach().numpy(), leaf.grad.numpy()


#: (value, slope) where the libraries differ: x Φ(x) at infinity, where torch has NaN, and the powers -1/2 of
#: -0 and -∞, the slopes of x^(1/2), which are IEEE 754's here while torch computes 1/√x.
OTHERWISE = {
    ("gelu", "inf"): (INF, NAN),
    ("gelu tanh", "inf"): (INF, NAN),
    ("power 0.5", "-0.0"): (0.0, INF),
    ("power 0.5", "-inf"): (NAN, 0.0),
}


@pytest.mark.parametrize("name", UNARY)
def test_every_special_value(name):
    line = UNARY[name]
    for number in WILD:
        x = np.array([number])
        actual = slopes(MINIDL, line, x)
        expected = OTHERWISE.get((name, str(number))) or slopes(TORCH, line, x)
        for a, b, what in zip(actual, expected, ("value", "slope"), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14, err_msg=f"{what} at {number}")


@pytest.mark.parametrize("name", [*BINARY, "pow"])
def test_every_pair_of_special_values(name):
    line = BINARY.get(name, lambda F, x, y: F.pow(x, y))
    pairs = [a.ravel() for a in np.meshgrid(WILD, WILD)]

    def both(F):
        leaves = [F.tensor(a, requires_grad=True) for a in pairs]
        y = line(F, *leaves)
        y.backward(F.tensor(np.full(y.shape, 3.0)))
        return [y.detach().numpy(), *(t.grad.numpy() for t in leaves)]

    for a, b, what in zip(both(MINIDL), both(TORCH), ("value", "first slope", "second slope"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14, err_msg=what)


# --- second derivatives -------------------------------------------------------------------------------------


def penalty(F, grad, line, arrays):
    """The gradient of the squared norm of the gradient."""
    leaves = [F.tensor(a, requires_grad=True) for a in arrays]
    y = line(F, *leaves)
    first = grad((y * y).sum(), leaves, create_graph=True)
    total = sum(((g * g).sum() for g in first[1:]), (first[0] * first[0]).sum())
    return [g.numpy() for g in grad(total, leaves)]


#: The gradient of the others is 0, a constant.
CURVED = [name for name in UNARY if name not in ("sign", "power 0")]


@pytest.mark.parametrize("name", [*CURVED, *(f"{name}, two tensors" for name in (*BINARY, "pow"))])
@given(shape=strategies.shapes(1, 3), seed=strategies.seeds)
def test_a_penalty_on_the_gradient(name, shape, seed):
    rng = np.random.default_rng(seed)
    if name in UNARY:
        draw = strategies.positive if name in POSITIVE else strategies.generic
        line, arrays = UNARY[name], [draw(rng, shape)]
    else:
        line = BINARY.get(name.partition(",")[0], lambda F, x, y: F.pow(x + 3.0, y))
        arrays = distinct(rng, shape, shape[-1:])
    expected = penalty(TORCH, torch.autograd.grad, line, arrays)
    actual = penalty(MINIDL, minidl.autograd.grad, line, arrays)
    # Up to five functions in a row, each with slopes and values up to 32 in size.
    scale = max(1.0, *(float(np.abs(e).max()) for e in expected))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13 * scale)


@pytest.mark.parametrize("name", ["elu", "elu 2.5"])
def test_the_second_derivative_of_elu_at_its_corner(name):
    x = np.array([-1.0, -0.0, 0.0, 1.0])
    expected, actual = (
        penalty(F, grad, lambda F, x: UNARY[name](F, x) + 1.0, [x])
        for F, grad in ((TORCH, torch.autograd.grad), (MINIDL, minidl.autograd.grad))
    )
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-14)
