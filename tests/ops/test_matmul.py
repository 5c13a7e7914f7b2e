"""matmul and linear (E5): sums of products."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_adjoint, check_op, run


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
    check_op(ops.matmul, formulas.matmul, a, b, terms=64, seed=seed, second_order=True)
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
    check_op(ops.linear, formulas.linear, *arrays, terms=64, seed=seed, second_order=True)


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


@pytest.mark.parametrize("extents", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty_extents(extents):
    rows, inner, columns = extents
    a, b = np.ones((rows, inner)), np.ones((inner, columns))
    y, gradients = run(ops.matmul, (a, b), np.ones((rows, columns)))
    np.testing.assert_array_equal(y, np.full((rows, columns), float(inner)))
    for gradient, terms in zip(gradients, (columns, rows), strict=True):
        np.testing.assert_array_equal(gradient, np.full(gradient.shape, float(terms)))
    z, _ = run(ops.linear, (a, b.T.copy(), np.ones(columns)), np.ones((rows, columns)))
    np.testing.assert_array_equal(z, np.full((rows, columns), inner + 1.0))


ORDERS = {
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "sliced": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "transposed": lambda a: a.T.copy().T,
    "one row for all": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("order", ORDERS)
def test_long_float32_products_in_every_memory_order(order):
    """One after the other, 2^18 products would be off by many eps; BLAS adds in several lanes and blocks."""
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(1, 2, shape).astype(np.float32) for shape in ((2, 2**18), (2**18, 3)))
    moved = ORDERS[order](a), ORDERS[order](b)
    exact = moved[0].astype(np.float64) @ moved[1].astype(np.float64)
    bound = 16 * float(np.finfo(np.float32).eps)
    for z in (
        ops.matmul(minidl.Tensor(moved[0]), minidl.Tensor(moved[1])),
        ops.linear(minidl.Tensor(moved[0]), minidl.Tensor(moved[1]).T),
        ops.einsum("ij,jk->ik", minidl.Tensor(moved[0]), minidl.Tensor(moved[1])),
    ):
        np.testing.assert_allclose(z.numpy(), exact, rtol=bound)


@pytest.mark.parametrize("step", [-1, 2, -3])
def test_long_float32_inner_products_of_vectors_with_gaps(step):
    rng = np.random.default_rng(4)
    long = [rng.uniform(1, 2, 3 * 2**20).astype(np.float32) for _ in range(2)]
    a, b = (x[::step][: 2**20] for x in long)
    exact = math.fsum((a.astype(np.float64) * b.astype(np.float64)).tolist())
    bound = 16 * float(np.finfo(np.float32).eps) * exact
    vectors = minidl.Tensor(a), minidl.Tensor(b)
    for z in (ops.matmul(*vectors), ops.einsum("i,i->", *vectors), vectors[0][None] @ vectors[1][:, None]):
        assert abs(z.item() - exact) <= bound


def test_dtypes():
    integers, bools = minidl.tensor([[1, 2]]), minidl.tensor([[True, False]])
    assert ops.matmul(integers, integers.T).dtype == np.int64
    with pytest.raises(TypeError, match=r"matmul.*int64.*float32"):
        ops.matmul(integers, minidl.tensor([[1.0], [2.0]]))
    with pytest.raises(TypeError, match=r"matmul.*bool"):
        ops.matmul(bools, bools.T)


def test_the_matrices_transposed():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(minidl.tensor(x).mT.numpy(), x.swapaxes(1, 2))
