"""matmul and linear (E5): sums of products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_adjoint, check_op


@st.composite
def _factors(draw):
    """Shapes of two factors: matrices, vectors, and batches of matrices that broadcast."""
    inner, rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    left, right = draw(strategies.broadcastable())
    kind = draw(st.sampled_from(["matrices", "vector left", "vector right", "vectors", "batches"]))
    return {
        "matrices": ((rows, inner), (inner, cols)),
        "vector left": ((inner,), (*right[:1], inner, cols)),
        "vector right": ((*left[:1], rows, inner), (inner,)),
        "vectors": ((inner,), (inner,)),
        "batches": ((*left[-2:], rows, inner), (*right[-2:], inner, cols)),
    }[kind]


@given(shapes=_factors(), seed=strategies.seeds)
def test_matmul(shapes, seed):
    rng = np.random.default_rng(seed)
    a, b = (strategies.generic(rng, s) for s in shapes)
    check_op(ops.matmul, formulas.matmul, a, b, terms=64, seed=seed)
    check_adjoint(lambda x: x @ minidl.tensor(b), a, terms=64, seed=seed)


@given(
    outer=strategies.shapes(0, 2),
    inner=st.integers(1, 5),
    out=st.integers(1, 4),
    bias=st.booleans(),
    seed=strategies.seeds,
)
def test_linear(outer, inner, out, bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [strategies.generic(rng, s) for s in ((*outer, inner), (out, inner), (out,))][: 3 if bias else 2]
    check_op(ops.linear, formulas.linear, *arrays, terms=64, seed=seed)


def test_linear_is_the_columns_convention_transposed():
    # E5 by hand: z = W a + b with W = [[1, 2], [3, 4], [5, 6]], a = (10, 1), b = (0, 100, 0).
    w, a, b = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([[10.0, 1.0]]), np.array([0.0, 100.0, 0.0])
    z = ops.linear(minidl.tensor(a), minidl.tensor(w), minidl.tensor(b))
    np.testing.assert_array_equal(z.numpy(), [[12.0, 134.0, 56.0]])


BAD = {
    "matmul": [((2, 3), (4, 5)), ((3,), (4,)), ((2, 2, 3), (3, 3, 4)), ((), (3,))],
    "linear": [((2, 3), (5, 4)), ((2, 3), (5, 3), (4,)), ((), (5, 3))],
}


@pytest.mark.parametrize(("name", "shapes"), [(n, s) for n, rows in BAD.items() for s in rows])
def test_shapes_that_do_not_fit_are_named(name, shapes):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        getattr(ops, name)(*(minidl.tensor(np.zeros(s)) for s in shapes))
    message = str(caught.value)
    assert name in message
    assert str(shapes[-1]) in message
