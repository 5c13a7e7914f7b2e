"""Agreement with torch, forward and backward, in float64 and float32, on drawn configurations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from parity.agreement import agree, both_raise, many


@many
@given(case=strategies.convolutions())
def test_conv2d(case):
    agree(lambda F, *t: F.conv2d(*t, **case.options), *case.arrays(), terms=case.terms)


@many
@given(case=strategies.transposed_convolutions())
def test_conv_transpose2d(case):
    options = case.options
    agree(
        lambda F, x, w, b=None: F.conv_transpose2d(
            x,
            w,
            b,
            options["stride"],
            options["padding"],
            options["output_padding"],
            options["groups"],
            options["dilation"],
        ),
        *case.arrays(),
        terms=case.terms,
    )


@many
@given(case=strategies.unfoldings())
def test_unfold_and_fold(case):
    agree(lambda F, x: F.unfold(x, **case.options), case.generic())
    columns = np.random.default_rng(case.seed).normal(size=strategies.columns_of(case))
    agree(lambda F, c: F.fold(c, case.shape[2:], **case.options), columns)


@many
@given(case=strategies.pools())
def test_max_pool2d(case):
    agree(lambda F, x: F.max_pool2d(x, **case.options), case.generic())


@many
@given(case=strategies.pools())
def test_max_pool2d_with_ties(case):
    ties = np.random.default_rng(case.seed).integers(-1, 2, case.shape).astype(np.float64)
    agree(lambda F, x: F.max_pool2d(x, **case.options), ties)


@many
@given(case=strategies.pools())
def test_avg_pool2d(case):
    agree(lambda F, x: F.avg_pool2d(x, **case.options), case.generic())


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@many
@given(data=st.data())
def test_interpolate(mode, data):
    case = data.draw(strategies.resamplings(mode))
    agree(lambda F, x: F.interpolate(x, **case.options), case.generic(), terms=81)


pictures = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(2, 4))


@many
@given(
    shape=pictures,
    training=st.booleans(),
    affine=st.booleans(),
    momentum=st.sampled_from([0.1, 0.7]),
    seed=strategies.seeds,
)
def test_batch_norm_and_its_running_statistics(shape, training, affine, momentum, seed):
    rng = np.random.default_rng(seed)
    mean, var = rng.normal(size=shape[1]), rng.uniform(0.5, 2, shape[1])
    arrays = [strategies.separated(rng, shape), *(rng.normal(size=(2, shape[1])) if affine else ())]
    moved: dict[str, list] = {}

    def line(F, x, weight=None, bias=None):
        dtype = np.float64 if "64" in str(x.dtype) else np.float32
        running = F.tensor(mean.astype(dtype)), F.tensor(var.astype(dtype))
        y = F.batch_norm(x, *running, weight, bias, training=training, momentum=momentum)
        moved.setdefault(str(dtype), []).append([r.numpy().copy() for r in running])
        return y

    agree(line, *arrays, terms=256, steepness=16)
    for dtype, eps in ((np.float64, 2e-16), (np.float32, 1e-7)):
        theirs, ours = moved[str(dtype)]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=256 * eps)


@many
@given(
    groups=st.integers(1, 3),
    run=st.integers(1, 2),
    shape=pictures,
    affine=st.booleans(),
    seed=strategies.seeds,
)
def test_group_norm(groups, run, shape, affine, seed):
    rng = np.random.default_rng(seed)
    x = strategies.separated(rng, (shape[0], groups * run, *shape[2:]))
    parameters = rng.normal(size=(2, groups * run)) if affine else ()
    agree(lambda F, x, *p: F.group_norm(x, groups, *p), x, *parameters, terms=256, steepness=16)


@many
@given(
    picture=st.sampled_from([(), (2, 3), (1, 1), (4, 4)]),
    samples=st.integers(1, 4),
    classes=st.integers(1, 5),
    weighted=st.booleans(),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
    ignore_index=st.sampled_from([-100, 255, -1]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    seed=strategies.seeds,
)
def test_cross_entropy(picture, samples, classes, weighted, ignored, ignore_index, reduction, seed):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(samples, classes, *picture))
    target = rng.integers(0, classes, (samples, *picture))
    target[rng.random(target.shape) < ignored] = ignore_index
    weight = rng.uniform(0.2, 3, classes) if weighted else None

    def line(F, x):
        dtype = np.float64 if "64" in str(x.dtype) else np.float32
        own = None if weight is None else F.tensor(weight.astype(dtype))
        return F.cross_entropy(x, F.tensor(target), own, ignore_index=ignore_index, reduction=reduction)

    agree(line, logits, terms=256)  # all ignored: NaN on both sides, which assert_allclose holds equal


@many
@given(shape=strategies.shapes(), reduction=st.sampled_from(["mean", "sum", "none"]), seed=strategies.seeds)
def test_l1_loss(shape, reduction, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    agree(lambda F, a, b: F.l1_loss(a, b, reduction=reduction), a, np.where(rng.random(shape) < 0.3, a, b))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
@many
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_arithmetic(name, shapes, seed):
    rng = np.random.default_rng(seed)
    first = strategies.positive if name == "pow" else strategies.generic
    a, b = first(rng, shapes[0]), strategies.away_from_zero(rng, shapes[1])
    agree(lambda F, a, b: getattr(F, name)(a, b), a, b, steepness=16)


@pytest.mark.parametrize("exponent", [2, 3, 0, 1, -1, 0.5, 2.0])
@given(shape=strategies.shapes(), seed=strategies.seeds)
def test_powers(exponent, shape, seed):
    x = strategies.positive(np.random.default_rng(seed), shape)
    agree(lambda F, x: F.pow(x, exponent), x, steepness=16)
    agree(lambda F, x: x**exponent, x, steepness=16)


def test_power_at_zero():
    base, exponent = (a.ravel() for a in np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 0.5 + 1]))
    agree(lambda F, x, y: F.pow(x, y), base, exponent, steepness=4)
    agree(lambda F, y: 0.0**y, exponent)
    agree(lambda F, y: 2**y, exponent)


@pytest.mark.parametrize("name", ["exp", "log", "relu", "sigmoid", "tanh", "neg"])
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_pointwise(name, shape, seed):
    draw = strategies.positive if name == "log" else strategies.generic
    agree(lambda F, x: getattr(F, name)(x), draw(np.random.default_rng(seed), shape))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@many
@given(data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds)
def test_softmax(name, data, shape, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    agree(lambda F, x: getattr(F, name)(x, dim), 3 * np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("name", ["sum", "mean"])
@many
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_reductions(name, case, seed):
    shape, dim, keepdim = case
    x = np.random.default_rng(seed).normal(size=shape)
    agree(lambda F, x: getattr(F, name)(x, dim, keepdim), x, terms=256)


@many
@given(data=st.data(), shape=strategies.shapes(1, 4), keepdim=st.booleans(), seed=strategies.seeds)
def test_max(data, shape, keepdim, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    agree(lambda F, x: F.max(x, dim, keepdim)[0], x)
    theirs, ours = torch.tensor(x).max(dim, keepdim), minidl.tensor(x).max(dim, keepdim)
    np.testing.assert_array_equal(ours.indices.numpy(), theirs.indices.numpy())


@given(shape=strategies.shapes(), seed=strategies.seeds)
def test_max_of_everything_with_ties_shares_the_gradient_as_torch(shape, seed):
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    agree(lambda F, x: F.max(x), x)


MATRICES = [((2, 3), (3, 4)), ((3,), (3,)), ((3,), (2, 3, 4)), ((5, 2, 3), (3,)), ((5, 1, 2, 3), (4, 3, 2))]


@pytest.mark.parametrize(
    "shapes", [*MATRICES, ((4, 2, 3), (3, 5)), ((2, 3), (4, 3, 5)), ((1, 1), (1, 1)), ((0, 3), (3, 2))]
)
def test_matmul(shapes):
    rng = np.random.default_rng(0)
    agree(lambda F, a, b: F.matmul(a, b), *(rng.normal(size=s) for s in shapes))
    agree(lambda F, a, b: a @ b, *(rng.normal(size=s) for s in shapes))


@given(
    outer=strategies.shapes(0, 3),
    extents=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    bias=st.booleans(),
    seed=strategies.seeds,
)
def test_linear(outer, extents, bias, seed):
    rng = np.random.default_rng(seed)
    shapes = ((*outer, extents[0]), extents[::-1], extents[1:])[: 3 if bias else 2]
    agree(lambda F, *t: F.linear(*t), *(rng.normal(size=s) for s in shapes))


MOVES = {
    "reshape": lambda F, x: F.reshape(x, (4, -1)),
    "permute": lambda F, x: F.permute(x, (2, 0, 1)),
    "flatten": lambda F, x: F.flatten(x, 1),
    "row": lambda F, x: x[1],
    "slices": lambda F, x: x[:, 1::2, None],
    "integers": lambda F, x: x[F.tensor(np.array([0, 1, 1]))],
    "dots": lambda F, x: x[..., -1],
    "cat": lambda F, x: F.cat([x, x * 2, x], 1),
    "cat last": lambda F, x: F.cat((x, x), dim=-1),
    "pad": lambda F, x: F.pad(x, (1, 2, 0, 3)),
    "pad value": lambda F, x: F.pad(x, (1, 0, -1, 3, 0, 1), "constant", 2.5),
}


@pytest.mark.parametrize("name", MOVES)
def test_moving_values(name):
    agree(MOVES[name], np.random.default_rng(0).normal(size=(2, 4, 3)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_where_nothing_is_left_to_chance(p, training):
    agree(lambda F, x: F.dropout(x, p, training), np.random.default_rng(0).normal(size=(3, 4)))


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


X, W = (2, 4, 5, 5), (6, 4, 3, 3)
MISTAKES = {
    "add: shapes": (lambda F, a, b: F.add(a, b), _zeros((2, 3), (4, 3))),
    "mul: shapes": (lambda F, a, b: a * b, _zeros((2,), (3,))),
    "matmul: inner extents": (lambda F, a, b: a @ b, _zeros((2, 3), (2, 3))),
    "matmul: a scalar": (lambda F, a, b: a @ b, _zeros((), (2, 3))),
    "linear: features": (lambda F, x, w: F.linear(x, w), _zeros((2, 3), (4, 5))),
    "linear: bias": (lambda F, x, w, b: F.linear(x, w, b), _zeros((2, 3), (4, 3), (3,))),
    "reshape: count": (lambda F, x: F.reshape(x, (4, 2)), _zeros((2, 3))),
    "permute: twice": (lambda F, x: F.permute(x, (0, 0)), _zeros((2, 3))),
    "cat: extents": (lambda F, a, b: F.cat([a, b]), _zeros((2, 3), (2, 4))),
    "getitem: outside": (lambda F, x: x[2], _zeros((2, 3))),
    "sum: axis": (lambda F, x: F.sum(x, 2), _zeros((2, 3))),
    "sum: axis twice": (lambda F, x: F.sum(x, (0, 0)), _zeros((2, 3))),
    "softmax: axis": (lambda F, x: F.softmax(x, 2), _zeros((2, 3))),
    "max: empty": (lambda F, x: F.max(x), _zeros((0,))),
    "pad: odd": (lambda F, x: F.pad(x, (1, 1, 1)), _zeros((2, 3))),
    "pad: crops too much": (lambda F, x: F.pad(x, (-2, -2)), _zeros((2, 3))),
    "conv2d: dimensions": (lambda F, x, w: F.conv2d(x, w), _zeros((5, 5), W)),
    "conv2d: channels": (lambda F, x, w: F.conv2d(x, w), _zeros((2, 3, 5, 5), W)),
    "conv2d: groups": (lambda F, x, w: F.conv2d(x, w, groups=3), _zeros(X, W)),
    "conv2d: filters": (lambda F, x, w: F.conv2d(x, w, groups=2), _zeros(X, (5, 2, 3, 3))),
    "conv2d: kernel": (lambda F, x, w: F.conv2d(x, w, padding=1), _zeros(X, (6, 4, 8, 8))),
    "conv2d: padding": (lambda F, x, w: F.conv2d(x, w, padding=-1), _zeros(X, W)),
    "conv2d: stride": (lambda F, x, w: F.conv2d(x, w, stride=0), _zeros(X, W)),
    "conv2d: dilation": (lambda F, x, w: F.conv2d(x, w, dilation=0), _zeros(X, W)),
    "conv2d: bias": (lambda F, x, w, b: F.conv2d(x, w, b), _zeros(X, W, (5,))),
    "conv_transpose2d: channels": (lambda F, x, w: F.conv_transpose2d(x, w), _zeros(X, (5, 2, 3, 3))),
    "conv_transpose2d: output_padding": (
        lambda F, x, w: F.conv_transpose2d(x, w, output_padding=1),
        _zeros(X, (4, 2, 3, 3)),
    ),
    "conv_transpose2d: nothing left": (
        lambda F, x, w: F.conv_transpose2d(x, w, padding=9),
        _zeros(X, (4, 2, 3, 3)),
    ),
    "unfold: kernel": (lambda F, x: F.unfold(x, 9), _zeros(X)),
    "fold: columns": (lambda F, x: F.fold(x, 4, 2), _zeros((1, 8, 8))),
    "max_pool2d: padding": (lambda F, x: F.max_pool2d(x, 2, padding=2), _zeros(X)),
    "max_pool2d: kernel": (lambda F, x: F.max_pool2d(x, 6), _zeros(X)),
    "avg_pool2d: padding": (lambda F, x: F.avg_pool2d(x, 2, padding=2), _zeros(X)),
    "avg_pool2d: kernel": (lambda F, x: F.avg_pool2d(x, 6), _zeros(X)),
    "interpolate: nothing given": (lambda F, x: F.interpolate(x), _zeros(X)),
    "interpolate: both given": (lambda F, x: F.interpolate(x, 4, 2), _zeros(X)),
    "interpolate: mode": (lambda F, x: F.interpolate(x, 4, mode="cubist"), _zeros(X)),
    "interpolate: corners": (lambda F, x: F.interpolate(x, 4, align_corners=True), _zeros(X)),
    "batch_norm: one value": (lambda F, x: F.batch_norm(x, None, None, training=True), _zeros((1, 4, 1, 1))),
    "batch_norm: no statistics": (lambda F, x: F.batch_norm(x, None, None), _zeros(X)),
    "batch_norm: weight": (lambda F, x, w: F.batch_norm(x, None, None, w, training=True), _zeros(X, (3,))),
    "group_norm: groups": (lambda F, x: F.group_norm(x, 3), _zeros(X)),
    "group_norm: weight": (lambda F, x, w: F.group_norm(x, 2, w), _zeros(X, (3,))),
    "dropout: p": (lambda F, x: F.dropout(x, 1.5), _zeros((3,))),
    "cross_entropy: sizes": (
        lambda F, x: F.cross_entropy(x, F.tensor(np.zeros((2, 5, 4), np.int64))),
        _zeros(X),
    ),
    "cross_entropy: class past the end": (
        lambda F, x: F.cross_entropy(x, F.tensor(np.full((2, 5, 5), 4))),
        _zeros(X),
    ),
    "cross_entropy: negative class": (
        lambda F, x: F.cross_entropy(x, F.tensor(np.full((2, 5, 5), -1))),
        _zeros(X),
    ),
    "cross_entropy: weights": (
        lambda F, x, w: F.cross_entropy(x, F.tensor(np.zeros((2, 5, 5), np.int64)), w),
        _zeros(X, (3,)),
    ),
    "cross_entropy: reduction": (
        lambda F, x: F.cross_entropy(x, F.tensor(np.zeros((2, 5, 5), np.int64)), reduction="median"),
        _zeros(X),
    ),
    "backward: no scalar": (
        lambda F, x: (F.tensor(np.ones(3), requires_grad=True) * x).backward(),
        _zeros((3,)),
    ),
    "requires_grad: integers": (lambda F: F.tensor(np.ones(3, np.int64), requires_grad=True), ()),
    "item: several": (lambda F, x: x.item(), _zeros((3,))),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)
