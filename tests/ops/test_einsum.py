"""einsum against a loop over every combination of the labels' values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import shaping_loops, strategies
from oracles.checks import check_op, run


@st.composite
def equations(draw, most=3, repeats=True):
    """(inputs, output or None, shapes): up to three operands of up to three of five labels each."""
    extents = {label: draw(st.integers(1, 3)) for label in "abcDe"}
    inputs = [
        "".join(draw(st.lists(st.sampled_from("abcDe"), max_size=3, unique=not repeats)))
        for _ in range(draw(st.integers(1, most)))
    ]
    present = sorted(set("".join(inputs)))
    chosen = draw(st.lists(st.sampled_from(present), unique=True)) if present else []
    shapes = []
    for own in inputs:
        ones = [len(set(own)) == len(own) and draw(st.integers(0, 5)) == 0 for _ in own]
        shapes.append(tuple(1 if one else extents[i] for i, one in zip(own, ones, strict=True)))
    return inputs, "".join(chosen) if draw(st.booleans()) else None, shapes


def _implicit(inputs):
    every = "".join(inputs)
    return "".join(sorted(i for i in set(every) if every.count(i) == 1))


@given(case=equations(), seed=strategies.seeds)
def test_against_the_loops(case, seed):
    inputs, output, shapes = case
    rng = np.random.default_rng(seed)
    arrays = [strategies.generic(rng, shape) for shape in shapes]
    equation = " , ".join(inputs) + ("" if output is None else " -> " + output)
    wanted = _implicit(inputs) if output is None else output
    check_op(
        lambda *t: ops.einsum(equation, *t),
        lambda *a: shaping_loops.einsum(inputs, wanted, *a),
        *arrays,
        terms=3**5,
        seed=seed,
        second_order=True,
    )


ELLIPSES = {
    "bmm": ("...ij,...jk->...ik", ["xij", "xjk"], "xik", [(2, 3, 4), (2, 4, 2)]),
    "implicit": ("...ij,jk", ["xij", "jk"], "xik", [(2, 3, 4), (4, 2)]),
    "of different lengths": ("...i,...i->...", ["xyi", "yi"], "xy", [(2, 3, 4), (3, 4)]),
    "stretched": ("...i,...i->...", ["xyi", "yi"], "xy", [(2, 3, 4), (1, 4)]),
    "in the middle": ("i...j->j...i", ["ixyj"], "jxyi", [(2, 3, 1, 4)]),
    "summed": ("...i->i", ["xi"], "i", [(2, 3)]),
    "not needed": ("ij,jk->ik...", ["ij", "jk"], "ik", [(2, 3), (3, 2)]),
    "alone": ("...->...", ["xy"], "xy", [(2, 3)]),
}


@pytest.mark.parametrize("name", ELLIPSES)
def test_ellipsis(name):
    equation, inputs, output, shapes = ELLIPSES[name]
    rng = np.random.default_rng(0)
    check_op(
        lambda *t: ops.einsum(equation, *t),
        lambda *a: shaping_loops.einsum(inputs, output, *a),
        *(strategies.generic(rng, shape) for shape in shapes),
        terms=64,
        second_order=True,
    )


def test_a_hand_worked_gradient():
    # Z = X Y: dX = G Yᵀ and dY = Xᵀ G.
    x, y, g = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[10.0]])
    z, (dx, dy) = run(lambda x, y: ops.einsum("ij,jk->ik", x, y), (x, y), g)
    assert z.tolist() == [[11.0]] and dx.tolist() == [[30.0, 40.0]] and dy.tolist() == [[10.0], [20.0]]


def test_one_operand_is_a_view_and_a_list_is_taken_too():
    x = minidl.tensor(np.arange(6.0).reshape(2, 3))
    turned = ops.einsum("ij->ji", x)
    assert np.shares_memory(turned.data, x.data) and turned._version is x._version
    assert ops.einsum("ij,ij->", [x, x]).item() == 55.0


def test_the_same_tensor_twice():
    _, (gradient,) = run(lambda x: ops.einsum("i,i->", x, x), (np.array([1.0, 2.0]),), np.array(3.0))
    np.testing.assert_array_equal(gradient, [6.0, 12.0])


def test_empty_extents():
    a, b = np.ones((2, 0)), np.ones((0, 3))
    z, gradients = run(lambda a, b: ops.einsum("ij,jk->ik", a, b), (a, b), np.ones((2, 3)))
    np.testing.assert_array_equal(z, np.zeros((2, 3)))
    assert [g.shape for g in gradients] == [(2, 0), (0, 3)]
    assert ops.einsum("ij->", minidl.tensor(a)).item() == 0.0


def test_integers():
    x = minidl.tensor([[1, 2], [3, 4]])
    assert ops.einsum("ij,jk->ik", x, x).tolist() == [[7, 10], [15, 22]]
    assert ops.einsum("ii", x).item() == 5


def test_nan_and_infinity_travel():
    x = minidl.tensor([[np.inf, 0.0], [np.nan, 1.0]], dtype="float32")
    y = ops.einsum("ij,j->i", x, minidl.tensor([0.0, 1.0], dtype="float32")).numpy()
    assert np.isnan(y).all()


def test_counted_operations():
    seen = []
    with minidl.autograd.watch(
        lambda f, arrays, output, options: seen.append(f.flops(arrays, output, **options))
    ):
        x, y = minidl.tensor(np.ones((2, 3))), minidl.tensor(np.ones((3, 4)))
        ops.einsum("ij,jk->ik", x, y)
        ops.einsum("ij,jk,kl->il", x, y, minidl.tensor(np.ones((4, 5))))
    assert seen == [2 * 2 * 3 * 4, 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5]


A, B = np.zeros((2, 3)), np.zeros((3, 4))
BAD = {
    "i1": ((A,), ValueError, "i1"),
    "ij->i->j": ((A,), ValueError, "i->j"),
    "..ij": ((A,), ValueError, "..ij"),
    "i...j...": ((A,), ValueError, "i...j..."),
    "ij->i..": ((A,), ValueError, "i.."),
    "ij,jk": ((A,), ValueError, "2 operands, got 1"),
    "ij": ((A, B), ValueError, "1 operands, got 2"),
    "": ((), ValueError, "1 operands, got 0"),
    "ijk": ((A,), ValueError, "(2, 3)"),
    "i": ((A,), ValueError, "(2, 3)"),
    "ijk...": ((A,), ValueError, "(2, 3)"),
    "ij,jk->ii": ((A, B), ValueError, "'i'"),
    "ij,jk->z": ((A, B), ValueError, "'z'"),
    "ij,kj": ((A, B), ValueError, "'j' stands for extents 3 and 4"),
    "ii": ((A,), ValueError, "'i' stands for extents 2 and 3"),
    "jj": ((np.zeros((1, 3)),), ValueError, "'j' stands for extents 1 and 3"),
    "ij,jk->ik": ((A, B.astype(np.float32)), TypeError, "float64, float32"),
    "ij,ij": ((A.astype(bool), A.astype(bool)), TypeError, "bool"),
}


@pytest.mark.parametrize("equation", BAD)
def test_equations_that_cannot_be(equation):
    arrays, kind, named = BAD[equation]
    with pytest.raises(kind) as caught:
        ops.einsum(equation, *(minidl.tensor(a) for a in arrays))
    assert str(caught.value).startswith("einsum: ") and named in str(caught.value)
