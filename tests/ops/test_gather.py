"""gather and scatter_add, each the other's adjoint."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import shaping_loops, strategies
from oracles.checks import check_adjoint, check_op, run


@st.composite
def _selections(draw):
    """(shape of x, dim, index): no longer than x elsewhere, shorter or longer along dim."""
    shape = draw(strategies.shapes(1, 3))
    dim = draw(st.integers(0, len(shape) - 1))
    own = [draw(st.integers(0, 6) if d == dim else st.integers(0, n)) for d, n in enumerate(shape)]
    index = np.random.default_rng(draw(strategies.seeds)).integers(0, shape[dim], own)
    return shape, dim, index.astype(draw(st.sampled_from([np.int64, np.int32])))


@given(case=_selections(), negative=st.booleans(), seed=strategies.seeds)
def test_gather(case, negative, seed):
    shape, axis, index = case
    dim = axis - len(shape) if negative else axis
    x = strategies.generic(np.random.default_rng(seed), shape)
    t = minidl.tensor(index)
    check_op(
        lambda x: ops.gather(x, dim, t),
        lambda x: shaping_loops.gather(x, axis, index),
        x,
        seed=seed,
        second_order=True,
        linear=True,
    )


@given(case=_selections(), extra=st.integers(0, 2), seed=strategies.seeds)
def test_scatter_add(case, extra, seed):
    shape, dim, index = case
    rng = np.random.default_rng(seed)
    x, src = strategies.generic(rng, shape), strategies.generic(rng, tuple(n + extra for n in index.shape))
    t = minidl.tensor(index)
    check_op(
        lambda x, s: ops.scatter_add(x, dim, t, s),
        lambda x, s: shaping_loops.scatter_add(x, dim, index, s),
        x,
        src,
        seed=seed,
        second_order=True,
    )
    check_adjoint(
        lambda s: ops.scatter_add(minidl.tensor(np.zeros(shape)), dim, t, s), src, terms=16, seed=seed
    )


def test_an_element_picked_several_times_gets_the_sum():
    index = minidl.tensor([[0, 0, 1]])
    _, (gradient,) = run(lambda x: x.gather(1, index), (np.zeros((2, 2)),), np.array([[1.0, 10.0, 100.0]]))
    np.testing.assert_array_equal(gradient, [[11, 100], [0, 0]])
    y, _ = run(
        lambda s: minidl.tensor(np.ones((1, 2))).scatter_add(1, index, s), (np.array([[1.0, 2, 3]]),), None
    )
    np.testing.assert_array_equal(y, [[4, 4]])


def test_integers_are_added_as_integers():
    big = 2**53 + 1  # not a float64
    y = ops.scatter_add(minidl.tensor([0, 1]), 0, minidl.tensor([0, 0]), minidl.tensor([big, 1]))
    assert y.tolist() == [big + 1, 1] and y.dtype == np.int64
    x, index = minidl.tensor([[1, 2], [3, 4]]), minidl.tensor([[1, 0], [1, 1]])
    assert x.scatter_add(1, index, minidl.tensor([[10, 20], [30, 40]])).tolist() == [[21, 12], [3, 74]]
    assert ops.gather(minidl.tensor([5, 6]), 0, minidl.tensor([1, 1, 0])).tolist() == [6, 6, 5]


def test_nan_and_infinity_travel():
    x = minidl.tensor([1.0, np.nan, np.inf], dtype="float32")
    y = ops.scatter_add(
        x, 0, minidl.tensor([0, 0, 2]), minidl.tensor([np.inf, 1.0, -np.inf], dtype="float32")
    )
    np.testing.assert_array_equal(y.numpy(), np.array([np.inf, np.nan, np.nan], np.float32))


def test_float32_sums_of_many_are_accurate():
    """All of 2^18 values into one element: one after the other in float32 they would be off by thousands."""
    values = (1000 + np.random.default_rng(0).normal(size=2**18)).astype(np.float32)
    y = ops.scatter_add(
        minidl.tensor(np.zeros(1, np.float32)),
        0,
        minidl.tensor(np.zeros(2**18, np.int64)),
        minidl.tensor(values),
    )
    exact = math.fsum(values.tolist())
    assert abs(y.item() - exact) <= float(np.finfo(np.float32).eps) * exact
    assert abs(float(np.add.accumulate(values)[-1]) - exact) > 4 * float(np.finfo(np.float32).eps) * exact


def test_tensors_without_dimensions():
    x, zero = minidl.tensor(3.0, requires_grad=True), minidl.tensor(0)
    y = ops.gather(x, 0, zero)
    assert y.item() == 3.0 and y is not x
    z = ops.scatter_add(x, -1, zero, minidl.tensor(2.0))
    assert z.item() == 5.0
    (y + z).backward()
    assert x.grad.item() == 2.0
    with pytest.raises(IndexError, match="gather"):
        ops.gather(x, 0, minidl.tensor(1))


def test_a_changed_index_is_noticed():
    x, index = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([0, 1])
    y = ops.gather(x, 0, index)
    index[0] = 1
    with pytest.raises(RuntimeError, match=r"gather: .*changed in place"):
        y.sum().backward()


X, INDEX, SRC = np.zeros((2, 3)), np.zeros((2, 2), np.int64), np.zeros((2, 2))
BAD = {
    "no such dimension": ((X, 2, INDEX, SRC), IndexError, "(2, 3)"),
    "past the end": ((X, 1, INDEX + 3, SRC), IndexError, "index 3"),
    "one past the end": ((X, 1, np.array([[0, 2], [3, 1]]), SRC), IndexError, "index 3"),
    "one negative": ((X, 0, np.array([[1, 0], [-2, 1]]), SRC), IndexError, "index -2"),
    "negative": ((X, 1, INDEX - 1, SRC), IndexError, "index -1"),
    "floats": ((X, 1, INDEX.astype(float), SRC), TypeError, "float64"),
    "bools": ((X, 1, INDEX.astype(bool), SRC), TypeError, "bool"),
    "short integers": ((X, 1, INDEX.astype(np.int16), SRC), TypeError, "int16"),
    "more dimensions": ((X, 1, INDEX[None], SRC), ValueError, "(1, 2, 2)"),
    "other dimensions": ((X, 1, INDEX[0], SRC), ValueError, "(2,)"),
    "larger elsewhere": ((X, 1, np.zeros((3, 1), np.int64), SRC), ValueError, "(3, 1)"),
}
BAD_SOURCES = {
    "another dtype": ((X, 1, INDEX, SRC.astype(np.float32)), TypeError, "float32"),
    "too small": ((X, 1, INDEX, SRC[:, :1]), ValueError, "(2, 1)"),
    "of other dimensions": ((X, 1, INDEX, SRC[0]), ValueError, "(2,)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_indices_are_named(name):
    (x, dim, index, src), kind, named = BAD[name]
    arguments = minidl.tensor(x), dim, minidl.tensor(index)
    for operation, more in (("gather", ()), ("scatter_add", (minidl.tensor(src),))):
        with pytest.raises(kind) as caught:
            getattr(ops, operation)(*arguments, *more)
        assert str(caught.value).startswith(f"{operation}: ") and named in str(caught.value)


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_impossible_sources_are_named(name):
    (x, dim, index, src), kind, named = BAD_SOURCES[name]
    with pytest.raises(kind) as caught:
        ops.scatter_add(minidl.tensor(x), dim, minidl.tensor(index), minidl.tensor(src))
    assert str(caught.value).startswith("scatter_add: ") and named in str(caught.value)
