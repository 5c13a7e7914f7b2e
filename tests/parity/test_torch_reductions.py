"""Agreement with torch of what reduces, orders and selects values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import formulas, strategies
from parity.agreement import MINIDL, TORCH, agree, many

axes_of = {n: st.integers(-n, n - 1) for n in range(1, 5)}
special = np.array([0.0, 1.0, -1.0, 2.0, np.nan, np.inf, -np.inf, -0.0])


def same_indices(line, *arrays):
    """Index tensors are equal, in values, shape and dtype."""
    theirs, ours = (line(F, *(F.tensor(a) for a in arrays)) for F in (TORCH, MINIDL))
    assert ours.numpy().dtype == theirs.numpy().dtype == np.int64
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


# --- reductions ---


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", ["var", "std"])
@many
@given(case=strategies.reductions(), correction=st.sampled_from([None, 0, 1, 2, 0.5]), seed=strategies.seeds)
def test_var_and_std(name, case, correction, seed):
    shape, dim, keepdim = case
    count = math.prod(shape[d] for d in formulas.axes(dim, len(shape)))
    x = strategies.separated(np.random.default_rng(seed), shape)
    options = {} if correction is None else {"correction": correction}
    if count > (1 if correction is None else correction):
        agree(lambda F, x: getattr(F, name)(x, dim, keepdim=keepdim, **options), x, terms=256, steepness=16)
    else:  # NaN and infinities; whether their gradients are NaN depends in torch on how dim was given
        theirs, ours = (
            getattr(F, name)(F.tensor(x), dim, keepdim=keepdim, **options) for F in (TORCH, MINIDL)
        )
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", ["var", "std"])
def test_the_older_spelling(name):
    x = np.random.default_rng(0).normal(size=(3, 4))
    for arguments in ((), (False,), (True,), (0,), (0, False), ((0, 1), True), (1, False, True)):
        agree(lambda F, x, a=arguments: getattr(F, name)(x, *a), x)
        agree(lambda F, x, a=arguments: getattr(x, name)(*a), x)
    # dim=() is every dimension. (torch's gradient of that divides by 1 instead of by the count: its fault.)
    theirs, ours = (getattr(F, name)(F.tensor(x), (), False).numpy() for F in (TORCH, MINIDL))
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    agree(lambda F, x: getattr(F, name)(x, 0), np.ones((3, 2)))  # no deviation
    agree(lambda F, x: getattr(F, name)(x, 1), np.ones((3, 1)))  # no degree of freedom
    agree(lambda F, x: getattr(F, name)(x, 0), np.zeros((0, 2)))


@pytest.mark.parametrize("name", ["min", "max"])
@many
@given(data=st.data(), shape=strategies.shapes(1, 4), keepdim=st.booleans(), seed=strategies.seeds)
def test_extrema_along_a_dimension_with_ties(name, data, shape, keepdim, seed):
    dim = data.draw(axes_of[len(shape)])
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    agree(lambda F, x: getattr(F, name)(x, dim, keepdim)[0], x)
    same_indices(lambda F, x: getattr(F, name)(x, dim, keepdim)[1], x)


@pytest.mark.parametrize("name", ["amin", "amax"])
@many
@given(case=strategies.reductions(), seed=strategies.seeds)
def test_extrema_over_dimensions_with_ties(name, case, seed):
    shape, dim, keepdim = case
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    agree(lambda F, x: getattr(F, name)(x, () if dim is None else dim, keepdim), x)
    agree(lambda F, x: getattr(F, name[1:])(x), x)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
@many
@given(data=st.data(), shape=strategies.shapes(1, 4), keepdim=st.booleans(), seed=strategies.seeds)
def test_positions_with_ties_and_nan(name, data, shape, keepdim, seed):
    dim = data.draw(st.none() | axes_of[len(shape)])
    x = np.random.default_rng(seed).choice(special, shape)
    same_indices(lambda F, x: getattr(F, name)(x, dim, keepdim), x)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64", "float32", "float64"])
def test_dtypes_of_sums(dtype):
    x = np.array([[1, 0, 1], [1, 1, 1]]).astype(dtype)
    for line in (
        lambda F, x: F.sum(x),
        lambda F, x: F.sum(x, 0, True),
        lambda F, x: F.sum(x, (), dtype=x.sum().dtype),
        lambda F, x: x.sum(axis=1, keepdims=True),
    ):
        theirs, ours = (line(F, F.tensor(x)).numpy() for F in (TORCH, MINIDL))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


# --- order and selection ---


@many
@given(data=st.data(), shape=strategies.shapes(1, 4), descending=st.booleans(), seed=strategies.seeds)
def test_sort(data, shape, descending, seed):
    dim = data.draw(axes_of[len(shape)])
    ties = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    agree(lambda F, x: F.sort(x, dim=dim, descending=descending, stable=True)[0], ties)
    odd = np.random.default_rng(seed).choice(special, shape)
    same_indices(lambda F, x: F.sort(x, dim=dim, descending=descending, stable=True)[1], odd)
    same_indices(lambda F, x: F.argsort(x, dim=dim, descending=descending, stable=True), odd)


@many
@given(data=st.data(), shape=strategies.shapes(1, 4), largest=st.booleans(), seed=strategies.seeds)
def test_topk(data, shape, largest, seed):
    dim = data.draw(axes_of[len(shape)])
    k = data.draw(st.integers(0, shape[dim]))
    x = strategies.separated(np.random.default_rng(seed), shape)
    agree(lambda F, x: F.topk(x, k, dim, largest)[0], x)
    same_indices(lambda F, x: F.topk(x, k, dim, largest)[1], x)
    # Which of several equals torch takes is left open; their values are not.
    odd = np.random.default_rng(seed).choice(special, shape)
    theirs, ours = (F.topk(F.tensor(odd), k, dim, largest)[0].numpy() for F in (TORCH, MINIDL))
    np.testing.assert_array_equal(ours, theirs)


@many
@given(data=st.data(), shape=strategies.shapes(1, 3), seed=strategies.seeds)
def test_gather_and_scatter_add(data, shape, seed):
    dim = data.draw(axes_of[len(shape)])
    own = [data.draw(st.integers(0, 5 if d == dim % len(shape) else n)) for d, n in enumerate(shape)]
    rng = np.random.default_rng(seed)
    index = rng.integers(0, shape[dim], own).astype(data.draw(st.sampled_from([np.int64, np.int32])))
    agree(lambda F, x: F.gather(x, dim, F.tensor(index)), rng.normal(size=shape))
    index = index.astype(np.int64)  # torch's backward of scatter_add has no int32
    agree(
        lambda F, x, s: F.scatter_add(x, dim, F.tensor(index), s),
        rng.normal(size=shape),
        rng.normal(size=own),
    )
