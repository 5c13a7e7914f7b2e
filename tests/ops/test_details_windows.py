"""Convolutions, pooling and resizing: gradients asked for one by one, derivatives of any order, counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import grad
from minidl.kernels.reference import conv2d as reference
from oracles import conv_forms, loops, pool_loops, resize_loops
from oracles.checks import leaf

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


# --- gradients asked for one by one ---

CONVOLUTIONS = {
    "conv2d": (normal(2, 4, 4, 3), normal(2, 2, 2, 2), normal(2), {"stride": (2, 1), "groups": 2}),
    "conv2d, 1x1": (normal(2, 2, 3, 2), normal(3, 2, 1, 1), normal(3), {}),
    "conv_transpose2d": (normal(2, 4, 3, 2), normal(4, 1, 2, 2), normal(2), {"stride": (2, 1), "groups": 2}),
}
SUBSETS = [s for n in (1, 2) for s in itertools.combinations(range(3), n)]


@pytest.mark.parametrize("wanted", SUBSETS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_each_gradient_of_a_convolution_comes_without_the_others(name, wanted):
    """Of input (0), weight (1) and bias (2); also the gradients' gradients, through a square on top."""
    *arrays, options = CONVOLUTIONS[name]
    operation = getattr(ops, name.split(",")[0])

    def fn(*chosen):
        given = dict(zip(wanted, chosen, strict=True))
        operands = [given.get(i, minidl.tensor(a)) for i, a in enumerate(arrays)]
        return operation(*operands, **options) ** 2

    leaves = [leaf(arrays[i]) for i in wanted]
    assert minidl.gradcheck(fn, leaves) and minidl.gradgradcheck(fn, leaves, max_elements=6)
    plain = grad(fn(*leaves).sum(), leaves)
    for once, differentiable in zip(plain, grad(fn(*leaves).sum(), leaves, create_graph=True), strict=True):
        np.testing.assert_allclose(differentiable.detach().numpy(), once.numpy(), rtol=1e-12)


def test_a_weights_gradient_is_differentiable_by_the_image_alone():
    """dw is bilinear in g and x. With g a constant, <dw, v> has by x the gradient E11 gives for the filter v,
    and that, multiplied by u, has by v the gradient E11 gives for the image u; and so on."""
    x, g = normal(2, 4, 5, 4), normal(2, 6, 2, 4)
    w, v, u = normal(6, 2, 2, 3), normal(6, 2, 2, 3), normal(*x.shape)
    geometry, groups = ((2, 1), (0, 1), (2, 1)), 2
    options = dict(zip(("stride", "padding", "dilation"), geometry, strict=True)) | {"groups": groups}
    x_leaf, w_leaf, v_leaf, u_leaf = (leaf(a) for a in (x, w, v, u))
    y = ops.conv2d(x_leaf, w_leaf, **options)
    (dw,) = grad(y, w_leaf, minidl.tensor(g), create_graph=True)
    (by_x,) = grad(dw, x_leaf, v_leaf, create_graph=True)
    (by_v,) = grad(by_x, v_leaf, u_leaf, create_graph=True)
    (by_u,) = grad(by_v, u_leaf, minidl.tensor(v))
    dx = conv_forms.input_gradient(g, v, x.shape, *geometry, groups)
    np.testing.assert_allclose(
        dw.detach().numpy(), conv_forms.weight_gradient(g, x, w.shape, *geometry, groups)
    )
    np.testing.assert_allclose(by_x.detach().numpy(), dx)
    np.testing.assert_allclose(
        by_v.detach().numpy(), conv_forms.weight_gradient(g, u, w.shape, *geometry, groups)
    )
    np.testing.assert_allclose(by_u.numpy(), dx)


def test_a_weights_gradient_is_differentiable_by_the_cotangent_alone():
    """<dw, v> has by g the gradient conv2d(x, v), whose gradients by v and back are E11's again."""
    x, g, v = normal(2, 2, 5, 4), normal(2, 3, 4, 4), normal(3, 2, 2, 3)
    options, geometry = {"padding": (0, 1)}, ((1, 1), (0, 1), (1, 1))
    w_leaf, g_leaf, v_leaf = leaf(normal(*v.shape)), leaf(g), leaf(v)
    (dw,) = grad(ops.conv2d(minidl.tensor(x), w_leaf, **options), w_leaf, g_leaf, create_graph=True)
    (by_g,) = grad(dw, g_leaf, v_leaf, create_graph=True)
    (by_v,) = grad(by_g, v_leaf, minidl.tensor(g))
    np.testing.assert_allclose(by_g.detach().numpy(), loops.conv2d(x, v, None, **options))
    np.testing.assert_allclose(by_v.numpy(), conv_forms.weight_gradient(g, x, v.shape, *geometry, 1))


# --- the work's parts ---


@pytest.mark.parametrize("images", [4, 5, 7, 9])
def test_the_weights_gradient_of_a_batch_is_the_sum_over_all_its_images(images):
    """They are added up in four shares, which need not be of one size."""
    x, g = normal(images, 2, 4, 3), normal(images, 3, 3, 2)
    w = leaf(normal(3, 2, 2, 2))
    ops.conv2d(minidl.tensor(x), w).backward(minidl.tensor(g))
    expected = conv_forms.weight_gradient(g, x, w.shape, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_allclose(w.grad.numpy(), expected)


def test_as_many_rows_as_fit_into_the_bound_and_one_at_least(monkeypatch):
    """9 taps, 10 columns, 8 bytes: 720 bytes a row."""
    parts = {5039: 6, 2160: 3, 2159: 2, 720: 1, 719: 1, 10: 1}
    for bound, rows in parts.items():
        monkeypatch.setattr(reference, "COLUMN_BYTES", bound)
        expected = [(first, min(first + rows, 7)) for first in range(0, 7, rows)]
        assert list(reference.row_blocks((7, 10), 9, 8)) == expected


# --- the adjoint of the adjoint ---

INDICES = np.array([[[[3, 0], [7, 3]], [[1, 2], [5, 11]]]])  # pixel 3 comes twice: the last value stays
MAPS = {
    "unfold": (
        lambda x: ops.unfold(x, (2, 1), (1, 2), (1, 0), (1, 2)),
        lambda x: loops.unfold(x, (2, 1), (1, 2), (1, 0), (1, 2)),
        (2, 2, 3, 4),
    ),
    "fold": (
        lambda x: ops.fold(x, (3, 4), (2, 1), (1, 2), (1, 0), (1, 2)),
        lambda x: loops.fold(x, (3, 4), (2, 1), (1, 2), (1, 0), (1, 2)),
        (2, 4, 8),
    ),
    "avg_pool2d": (
        lambda x: ops.avg_pool2d(x, (3, 2), (2, 1), (1, 0), True, False),
        lambda x: pool_loops.avg_pool2d(x, (3, 2), (2, 1), (1, 0), True, False),
        (2, 2, 4, 3),
    ),
    "adaptive_avg_pool2d": (
        lambda x: ops.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: pool_loops.adaptive_avg_pool2d(x, (3, 2)),
        (2, 2, 4, 5),
    ),
    "max_unpool2d": (
        lambda x: ops.max_unpool2d(x, minidl.tensor(INDICES), 2, output_size=(3, 4)),
        lambda x: pool_loops.max_unpool2d(x, INDICES, (3, 4)),
        (1, 2, 2, 2),
    ),
} | {
    f"interpolate, {mode}": (
        lambda x, mode=mode: ops.interpolate(x, (5, 2), mode=mode),
        lambda x, mode=mode: resize_loops.interpolate(x, (5, 2), None, mode),
        (2, 2, 3, 4),
    )
    for mode in ("nearest", "bilinear", "bicubic")
}


def adjoint_of(oracle, shape, g):
    """Aᵀ g, with the matrix A column by column: the images of the unit vectors."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.array([np.vdot(oracle(unit), g) for unit in units]).reshape(shape)


@pytest.mark.parametrize("name", MAPS)
def test_a_linear_operation_can_be_differentiated_any_number_of_times(name):
    """Of y = A x: by x with g it is Aᵀ g; that by g with v is A v; that by v with g is Aᵀ g, and so on."""
    operation, oracle, shape = MAPS[name]
    x, v = leaf(normal(*shape)), leaf(normal(*shape))
    y = operation(x)
    g = leaf(normal(*y.shape))
    there, back = oracle(v.detach().numpy()), adjoint_of(oracle, shape, g.detach().numpy())
    (first,) = grad(y, x, g, create_graph=True)
    (second,) = grad(first, g, v, create_graph=True)
    (third,) = grad(second, v, g, create_graph=True)
    (fourth,) = grad(third, g, v)
    for result, expected in ((first, back), (second, there), (third, back), (fourth, there)):
        np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12, atol=1e-13)


def test_max_pooling_near_a_point_is_linear_too():
    """Away from ties: its derivative puts g at the maxima, and the derivative of that reads them."""
    x, v = normal(2, 2, 5, 4), normal(2, 2, 5, 4)
    x_leaf, v_leaf = leaf(x), leaf(v)
    y, indices = pool_loops.max_pool2d_with_indices(x, 2, (2, 1), (0, 1))
    g = leaf(normal(*y.shape))
    read = np.take_along_axis(v.reshape(2, 2, 20), indices.reshape(2, 2, -1), 2).reshape(y.shape)
    put = pool_loops.max_pool2d_backward(x, g.detach().numpy(), indices)
    (first,) = grad(ops.max_pool2d(x_leaf, 2, (2, 1), (0, 1)), x_leaf, g, create_graph=True)
    (second,) = grad(first, g, v_leaf, create_graph=True)
    (third,) = grad(second, v_leaf, g, create_graph=True)
    (fourth,) = grad(third, g, v_leaf)
    for result, expected in ((first, put), (second, read), (third, put), (fourth, read)):
        np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12, atol=1e-13)


# --- what is counted ---


def test_the_multiplications_of_convolutions_are_counted():
    """Two for each product of a filter's tap with a pixel: of the output's windows, or the input's stamps."""
    seen = []
    with minidl.autograd.watch(
        lambda f, arrays, output, options: seen.append(f.flops(arrays, output, **options))
    ):
        x = minidl.tensor(normal(3, 4, 5, 7))
        ops.conv2d(x, minidl.tensor(normal(6, 2, 2, 3)), minidl.tensor(normal(6)), groups=2)
        ops.conv_transpose2d(x, minidl.tensor(normal(4, 3, 2, 5)), groups=2, stride=2)
    windows, stamps = 3 * 6 * 4 * 5, 3 * 4 * 5 * 7
    assert seen == [2 * windows * (2 * 2 * 3), 2 * stamps * (3 * 2 * 5)]
