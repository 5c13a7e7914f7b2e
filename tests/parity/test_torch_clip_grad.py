"""Gradient clipping beside torch's: the norm that is returned and the gradients that are left."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from oracles.checks import tolerance
from parity.agreement import many


def both(arrays, function, *arguments, **options):
    """(torch's result and gradients, minidl's) of one function of torch.nn.utils."""
    results = []
    for nn, tensor in ((torch.nn, torch.tensor), (minidl.nn, minidl.tensor)):
        params = []
        for array in arrays:
            params.append(nn.Parameter(tensor(np.zeros(() if array is None else array.shape))))
            if array is not None:
                params[-1] = nn.Parameter(tensor(np.zeros_like(array)))
                params[-1].grad = tensor(array)
        result = getattr(nn.utils, function)(params, *arguments, **options)
        gradients = [None if p.grad is None else p.grad.numpy() for p in params]
        results.append((None if result is None else result.numpy(), gradients))
    return results


def agree(arrays, atol, function, *arguments, **options):
    (theirs, expected), (ours, actual) = both(arrays, function, *arguments, **options)
    if theirs is None:
        assert ours is None
    else:
        assert ours.shape == theirs.shape == () and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@many
@given(
    shapes=st.lists(st.one_of(st.none(), strategies.shapes(0, 3)), max_size=4),
    order=st.sampled_from([1, 2, 2.0, 3.5, float("inf"), "inf"]),
    max_norm=st.sampled_from([0.0, 0.3, 2, 1e6, float("inf")]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=strategies.seeds,
)
def test_clip_grad_norm(shapes, order, max_norm, dtype, seed):
    rng = np.random.default_rng(seed)
    arrays = [None if s is None else rng.normal(size=s).astype(dtype) for s in shapes]
    size = sum(float(np.abs(a).sum()) for a in arrays if a is not None)
    agree(arrays, tolerance(dtype, 32, size), "clip_grad_norm_", max_norm, order)


@many
@given(shape=strategies.shapes(0, 3), value=st.sampled_from([0.0, 0.5, 3]), seed=strategies.seeds)
def test_clip_grad_value(shape, value, seed):
    agree([2 * np.random.default_rng(seed).normal(size=shape), None], 0, "clip_grad_value_", value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
def test_what_is_not_finite(bad, order):
    arrays = [np.array([3.0, bad]), np.array([1.0])]
    agree(arrays, 0, "clip_grad_norm_", 1.0, order)
    agree(arrays, 0, "clip_grad_value_", 2.0)
    for nn, tensor in ((torch.nn, torch.tensor), (minidl.nn, minidl.tensor)):
        p = nn.Parameter(tensor(np.zeros(2)))
        p.grad = tensor(arrays[0])
        with pytest.raises(RuntimeError, match="norm of order"):
            nn.utils.clip_grad_norm_([p], 1.0, order, error_if_nonfinite=True)
        np.testing.assert_array_equal(p.grad.numpy(), arrays[0])
