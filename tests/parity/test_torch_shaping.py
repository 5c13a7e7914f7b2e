"""Agreement with torch of what reshapes, joins, cuts and pads, of einsum, and of second derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from parity.agreement import MINIDL, TORCH, agree, many

# --- shapes ---

SHAPES = {
    "squeeze": lambda F, x: F.squeeze(x),
    "squeeze one": lambda F, x: x.squeeze(-2),
    "squeeze some": lambda F, x: F.squeeze(x, (0, 2, 3)),
    "squeeze none": lambda F, x: x.squeeze(1),
    "unsqueeze": lambda F, x: F.unsqueeze(x, -1),
    "unsqueeze first": lambda F, x: x.unsqueeze(0),
    "expand": lambda F, x: x.expand(2, -1, 5, 4),
    "expand in front": lambda F, x: x.expand((3, 1, 3, 1, 4)),
    "expand to nothing": lambda F, x: x.expand(0, 3, 1, 4),
    "flip": lambda F, x: F.flip(x, (1, -1)),
    "flip one by one": lambda F, x: x.flip(0, 1, 2),
    "flip nothing": lambda F, x: x.flip(()),
    "stack": lambda F, x: F.stack([x, x * 2], 2),
    "stack last": lambda F, x: F.stack((x, x), dim=-1),
    "split": lambda F, x: F.cat([p * (k + 1) for k, p in enumerate(F.split(x, 3, -1))], -1),
    "split sections": lambda F, x: F.cat([p * (k + 1) for k, p in enumerate(x.split([1, 0, 2], 1))], 1),
    "split, one piece used": lambda F, x: F.split(x, 2, dim=1)[1],
    "chunk, one piece used": lambda F, x: F.chunk(x, 3, -1)[1],
    "chunk": lambda F, x: F.cat([p * (k + 1) for k, p in enumerate(F.chunk(x, 3, 3))], 3),
    "cat with an empty vector": lambda F, x: (
        F.cat([x, F.tensor(np.zeros(0)).to(x.dtype), x], 1)
        if F is TORCH
        else F.cat([x, F.tensor(np.zeros(0, x.dtype)), x], 1)
    ),
    "diagonal": lambda F, x: F.diagonal(x, 0, 1, 3),
    "diagonal above": lambda F, x: x.diagonal(2, -1, 1),
    "diagonal below": lambda F, x: x.diagonal(-1, 1, 3),
    "matrices transposed": lambda F, x: x.mT,
    "method matmul": lambda F, x: x.matmul(x.mT),
}


@pytest.mark.parametrize("name", SHAPES)
def test_moving_values(name):
    agree(SHAPES[name], np.random.default_rng(0).normal(size=(1, 3, 1, 4)))


@pytest.mark.parametrize("first", ["bool", "uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("second", ["bool", "uint8", "int32", "int64", "float32", "float64"])
def test_dtypes_of_cat_and_stack(first, second):
    a, b = np.ones(2, first), np.zeros(2, second)
    for name in ("cat", "stack"):
        theirs, ours = (getattr(F, name)([F.tensor(a), F.tensor(b)]).numpy() for F in (TORCH, MINIDL))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@st.composite
def _paddings(draw, mode):
    spatial = draw(st.integers(1, 3))
    outer = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2))
    extents = [draw(st.integers(1, 4)) for _ in range(spatial)]
    widths = []
    for n in reversed(extents):
        most = {"reflect": n - 1, "circular": n, "replicate": 5}[mode]
        # torch's circular padding of a cropped side copies from memory that it has not written yet.
        least = 0 if mode == "circular" else 1 - n
        before = draw(st.integers(least, most))
        widths += [before, draw(st.integers(max(least, 1 - n - min(before, 0)), most))]
    return (*outer, *extents), tuple(widths)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@many
@given(data=st.data(), seed=strategies.seeds)
def test_pad(mode, data, seed):
    shape, widths = data.draw(_paddings(mode))
    agree(lambda F, x: F.pad(x, widths, mode), np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("widths", [(-1, 1), (-1, 2), (2, -1), (-2, -1)])
def test_circular_padding_of_what_a_crop_has_left(widths):
    agree(lambda F, x: F.pad(x, widths, "circular"), np.random.default_rng(0).normal(size=(1, 2, 4)))


# --- products ---

EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij , jk -> k i": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 2)),
    "bchw,kc->bkhw": ((2, 3, 2, 2), (4, 3)),
    "i,j->ij": ((3,), (4,)),
    "i,i": ((3,), (3,)),
    "ij,ij->": ((2, 3), (1, 3)),
    "ij,jk->": ((2, 3), (3, 4)),
    "ij,j,jk->ik": ((2, 3), (3,), (3, 4)),
    "ab,bc,cd,da->": ((2, 3), (3, 2), (2, 4), (4, 2)),
    "ij,kl->": ((2, 3), (3, 4)),
    "ii": ((3, 3),),
    "ii->i": ((3, 3),),
    "iij->j": ((3, 3, 2),),
    "iii->i": ((2, 2, 2),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "ba": ((2, 3),),
    "bA": ((2, 3),),
    "": ((),),
    ",": ((), ()),
    "...ij,...jk": ((2, 2, 3), (3, 4)),
    "...j,jk->...": ((5, 2, 3), (3, 4)),
    "...j,jk->k": ((5, 2, 3), (3, 4)),
    "i...,i...->...": ((2, 3), (2, 1)),
    "ij->...": ((2, 3),),
    "ij,jk->ik...": ((2, 3), (3, 4)),
    "ij,jk ": ((2, 3), (1, 4)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    rng = np.random.default_rng(0)
    agree(lambda F, *t: F.einsum(equation, *t), *(rng.normal(size=s) for s in EQUATIONS[equation]))


@st.composite
def _equations(draw):
    extents = {label: draw(st.integers(1, 3)) for label in "abcde"}
    terms = st.lists(st.sampled_from("abcde"), min_size=1, max_size=3, unique=True).map("".join)
    inputs = draw(st.lists(terms, min_size=2, max_size=4))
    output = "".join(draw(st.lists(st.sampled_from(sorted(set("".join(inputs)))), unique=True)))
    equation = ",".join(inputs) + draw(st.sampled_from(["", f"->{output}"]))
    return equation, [tuple(extents[i] for i in own) for own in inputs]


@many
@given(case=_equations(), seed=strategies.seeds)
def test_einsum_of_drawn_equations(case, seed):
    equation, shapes = case
    rng = np.random.default_rng(seed)
    agree(lambda F, *t: F.einsum(equation, *t), *(rng.uniform(-1, 1, s) for s in shapes), terms=3**5)


# --- special values ---


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_infinite_logits_and_odd_shapes(name):
    for row in ([np.inf, 1.0], [-np.inf, -np.inf], [-np.inf, 0.0], [np.nan, 0.0]):
        theirs, ours = (getattr(F, name)(F.tensor(np.array(row)), 0).numpy() for F in (TORCH, MINIDL))
        np.testing.assert_allclose(ours, theirs, rtol=1e-15)
    for shape, dim in (((0, 3), 0), ((0, 3), 1), ((2, 0), 1), ((), 0), ((), -1)):
        agree(lambda F, x, d=dim: getattr(F, name)(x, d), np.zeros(shape))


def test_empty_products():
    for shapes in (((2, 0), (0, 3)), ((0, 2), (2, 3)), ((2, 3), (3, 0))):
        agree(lambda F, a, b: F.matmul(a, b), *(np.ones(s) for s in shapes))
        agree(lambda F, a, b: F.einsum("ij,jk", a, b), *(np.ones(s) for s in shapes))
    agree(lambda F, a, w, b: F.linear(a, w, b), np.ones((2, 3)), np.ones((0, 3)), np.ones(0))


# --- second derivatives ---

TWICE = {
    "sum": (lambda F, x: F.sum(x * x, 0), (3, 4)),
    "mean": (lambda F, x: F.mean(x * x * x, 1), (3, 4)),
    "var": (lambda F, x: F.var(x, 0), (3, 4)),
    "std": (lambda F, x: F.std(x, 1, keepdim=True), (3, 4)),
    "softmax": (lambda F, x: F.softmax(x, 1), (3, 4)),
    "log_softmax": (lambda F, x: F.log_softmax(x, 0), (3, 4)),
    "matmul": (lambda F, x: F.matmul(x, x.mT), (3, 4)),
    "linear": (lambda F, x: F.linear(x, x[:2], x[:2, 0]), (3, 4)),
    "einsum": (lambda F, x: F.einsum("ij,kj,kl->il", x, x, x), (3, 4)),
    "pad": (lambda F, x: F.pad(x * x, (2, 1), "reflect"), (3, 4)),
    "cat": (lambda F, x: F.cat([x * x, x], 1), (3, 4)),
    "topk": (lambda F, x: F.topk(x * x, 2)[0], (3, 4)),
}


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives(name):
    line, shape = TWICE[name]
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=shape), rng.normal(size=shape)

    def twice(F, gradient):
        t = F.tensor(x, requires_grad=True)
        y = line(F, t)
        g = F.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)))
        (first,) = gradient(y, t, g, create_graph=True)
        (second,) = gradient(first, t, F.tensor(v))
        return second.detach().numpy()

    theirs = twice(TORCH, torch.autograd.grad)
    ours = twice(MINIDL, minidl.autograd.grad)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1.0, float(np.abs(theirs).max())))
