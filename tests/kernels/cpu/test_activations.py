"""Compiled activations against the reference kernels: values, edges, memory orders, sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.autograd import grad
from minidl.kernels import layout
from minidl.kernels.cpu import activations
from minidl.kernels.cpu.pointwise import PIECE
from minidl.kernels.reference import activations as reference
from oracles import strategies

OPTIONS = {"leaky_relu": (0.1,), "elu": (1.3,), "softplus": (1.5, 20.0)}
NAMES = [
    "relu", "leaky_relu", "hardswish", "sigmoid", "tanh", "silu", "elu", "softplus", "gelu", "gelu_tanh",
]  # fmt: skip
#: Those whose backward takes the output.
FROM_OUTPUT = ("relu", "sigmoid", "tanh")
DTYPES = ["float32", "float64"]
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.0, -3.0, 1e-30, -1e-30, 1e8, -1e8, 88.0, -88.0, 700.0, -700.0]


def values(dtype, seed=0):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=401) * scale for scale in (1e-4, 1, 4)]
    return np.concatenate([np.array(EDGES), *parts]).astype(dtype)


def agree(actual, expected, scale, dtype):
    """Formulas with a dozen roundings, some of which a factor x (or x³ in GELU's tanh) magnifies."""
    assert actual.dtype == dtype and actual.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(actual[infinite], expected[infinite])
    fine = np.isfinite(expected)
    error = np.abs(actual[fine] - expected[fine])
    assert (error <= 16 * np.finfo(dtype).eps * scale[fine]).all(), error.max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_forward_is_the_references(name, dtype):
    x, options = values(dtype), OPTIONS.get(name, ())
    with np.errstate(all="ignore"):
        expected = getattr(reference, name)(x, *options)
        agree(getattr(activations, name)(x, *options), expected, np.maximum(1, np.abs(x)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_backward_is_the_references(name, dtype):
    x, options = values(dtype), OPTIONS.get(name, ())
    g = np.random.default_rng(1).normal(size=x.shape).astype(dtype)
    if (
        name != "gelu_tanh"
    ):  # far out its slope is 0 or a rounding of it, and infinity times that is NaN or not
        g[-4:] = [np.inf, -np.inf, np.nan, 0]
    with np.errstate(all="ignore"):
        kept = getattr(reference, name)(x, *options) if name in FROM_OUTPUT else x
        expected = getattr(reference, f"{name}_backward")(g, kept, *options)
        power = 3 if name == "gelu_tanh" else 1  # 1 - t² comes with x (1 + 0.13 x²)
        scale = np.nan_to_num(np.maximum(1, np.abs(g)), nan=1) * np.nan_to_num(
            np.maximum(1, np.abs(x) ** power)
        )
        actual = getattr(activations, f"{name}_backward")(g, kept, *options)
        agree(actual, expected, scale, dtype)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "silu", "gelu", "elu"])
def test_the_left_tail_keeps_its_digits(name):
    """Relative error, against float64: what 1 + erf, or tanh from e^x - e^-x, would not have."""
    x = -np.geomspace(1e-6, 12, 2000).astype(np.float32)
    options = OPTIONS.get(name, ())
    exact = getattr(reference, name)(x.astype(np.float64), *options)
    # x/√2 is rounded to u, and d log erfc(a) / d log a is up to 2a² = x².
    bound = 16 + (x.astype(np.float64) ** 2 if name == "gelu" else 0)
    error = np.abs(getattr(activations, name)(x, *options) / exact - 1)
    assert (error <= bound * np.finfo(np.float32).eps).all()


@given(st.integers(0, 70), st.sampled_from(DTYPES))
def test_every_length(n, dtype):
    x = np.linspace(-2, 2, n + 2).astype(dtype)[1:-1]
    np.testing.assert_array_equal(activations.relu(x), np.maximum(x, 0))


def test_many_pieces_on_several_threads():
    x = np.random.default_rng(0).normal(size=5 * PIECE + 3).astype(np.float32)
    np.testing.assert_array_equal(activations.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(
        activations.leaky_relu_backward(x, -x, 0.5), reference.leaky_relu_backward(x, -x, 0.5)
    )


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (3, 1, 2)])
def test_scalars_and_nothing(shape):
    x = np.full(shape, -2.0)
    np.testing.assert_array_equal(activations.leaky_relu(x, 0.5), np.full(shape, -1.0))
    np.testing.assert_array_equal(activations.relu_backward(x, x), np.zeros(shape))


@pytest.mark.parametrize("order", ["channels_last", "fortran"])
def test_a_dense_order_is_kept_and_nothing_is_copied(order):
    x = strategies.memory_orders(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))[order]
    layout.conversions.reset()
    y = activations.relu(x)
    assert y.strides == x.strides
    dx = activations.relu_backward(x, y)
    assert dx.strides == x.strides and layout.conversions.count == 0
    np.testing.assert_array_equal(dx, np.where(x > 0, x, 0))


@pytest.mark.parametrize("order", ["channels_last", "fortran", "sliced", "reversed"])
@pytest.mark.parametrize("kept", ["C", "channels_last", "sliced", "reversed"])
def test_cotangents_in_any_order(order, kept):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 2, 3, 4, 5))
    moved_x, moved_g = ({"C": a, **strategies.memory_orders(a)}[o] for a, o in ((x, kept), (g, order)))
    np.testing.assert_array_equal(activations.relu_backward(moved_g, moved_x), np.where(x > 0, g, 0))


def test_read_only_stretched_and_foreign_arrays():
    x = np.arange(-3.0, 3.0)
    frozen = x.copy()
    frozen.flags.writeable = False
    swapped = x.astype(x.dtype.newbyteorder())
    for given_x in (frozen, swapped, np.broadcast_to(x, (4, 6))):
        y = activations.relu(given_x)
        assert y.flags.writeable and y.dtype.isnative
        np.testing.assert_array_equal(y, np.broadcast_to(np.maximum(x, 0), given_x.shape))
    for dtype in (np.int64, np.float16, np.longdouble):  # not compiled for: the reference's result and dtype
        assert activations.relu(x.astype(dtype)).dtype == dtype


def test_second_derivatives_on_this_backend():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3))
    x += np.sign(x) * 0.1
    with minidl.use("numba"):
        for fn in (ops.tanh, ops.sigmoid, ops.silu, ops.gelu, ops.elu, ops.softplus):
            t = minidl.Tensor(x.copy(), requires_grad=True)
            assert minidl.gradcheck(fn, (t,))
            (g,) = grad(fn(t).sum(), [t], create_graph=True)
            (second,) = grad(g.sum(), [t])
            h = 1e-5
            slopes = []
            for sign in (1, -1):
                moved = minidl.Tensor(x + sign * h, requires_grad=True)
                slopes.append(grad(fn(moved).sum(), [moved])[0].numpy())
            np.testing.assert_allclose(second.numpy(), (slopes[0] - slopes[1]) / (2 * h), atol=1e-7)
