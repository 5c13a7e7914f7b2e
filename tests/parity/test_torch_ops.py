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
    "dropout: p": (lambda F, x: F.dropout(x, 1.5), _zeros((3,))),
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
