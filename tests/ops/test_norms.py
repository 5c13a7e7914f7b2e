"""batch_norm and group_norm: normalised by the batch's own moments, or by the running ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_op, tolerance

affine = st.sampled_from(["none", "weight", "both"])
pictures = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(2, 3)
)  # 2 values at least


def _parameters(rng, kind, channels):
    weight, bias = strategies.generic(rng, (channels,)), strategies.generic(rng, (channels,))
    return {"none": (), "weight": (weight,), "both": (weight, bias)}[kind]


def _running(rng, channels):
    return rng.normal(size=channels), rng.uniform(0.5, 2.0, channels)


@given(shape=pictures, kind=affine, seed=strategies.seeds)
def test_batch_norm_in_training(shape, kind, seed):
    rng = np.random.default_rng(seed)
    x = 1.5 + strategies.separated(rng, shape)  # spread out: the variance is never near 0
    check_op(
        lambda x, *p: ops.batch_norm(x, None, None, *p, training=True),
        formulas.batch_norm,
        *(x, *_parameters(rng, kind, shape[1])),
        terms=512,
        seed=seed,
    )


@given(shape=pictures, kind=affine, seed=strategies.seeds)
def test_batch_norm_in_evaluation(shape, kind, seed):
    rng = np.random.default_rng(seed)
    x, moments = strategies.generic(rng, shape), _running(rng, shape[1])

    def fn(x, *parameters):
        mean, var = (minidl.tensor(m.astype(x.dtype)) for m in moments)
        return ops.batch_norm(x, mean, var, *parameters, eps=1e-3)

    def oracle(x, weight=None, bias=None):
        return formulas.batch_norm(x, weight, bias, moments, eps=1e-3)

    check_op(fn, oracle, x, *_parameters(rng, kind, shape[1]), terms=64, seed=seed)


@given(shape=pictures, momentum=st.sampled_from([0.1, 0.5, 1.0, 0.0]), seed=strategies.seeds)
def test_running_statistics_move_with_bessels_correction(shape, momentum, seed):
    rng = np.random.default_rng(seed)
    x, (mean, var) = strategies.generic(rng, shape), _running(rng, shape[1])
    tensors = minidl.tensor(mean), minidl.tensor(var)
    ops.batch_norm(minidl.tensor(x), *tensors, training=True, momentum=momentum)
    expected = formulas.running_statistics(x, mean, var, momentum)
    for actual, wanted in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=0, atol=tolerance(np.float64, 64, 16))


def test_evaluation_leaves_the_running_statistics_alone():
    mean, var = minidl.tensor(np.array([1.0, 2.0])), minidl.tensor(np.array([3.0, 4.0]))
    ops.batch_norm(minidl.tensor(np.ones((2, 2, 2, 2))), mean, var)
    np.testing.assert_array_equal(mean.numpy(), [1, 2])
    np.testing.assert_array_equal(var.numpy(), [3, 4])


@given(seed=strategies.seeds, kind=affine, features=st.integers(1, 4), samples=st.integers(2, 6))
def test_batch_norm_of_vectors(seed, kind, features, samples):
    rng = np.random.default_rng(seed)
    x = strategies.separated(rng, (samples, features))
    check_op(
        lambda x, *p: ops.batch_norm(x, None, None, *p, training=True),
        formulas.batch_norm,
        *(x, *_parameters(rng, kind, features)),
        terms=512,
        seed=seed,
    )


@given(groups=st.integers(1, 3), run=st.integers(1, 2), shape=pictures, kind=affine, seed=strategies.seeds)
def test_group_norm(groups, run, shape, kind, seed):
    rng = np.random.default_rng(seed)
    x = strategies.separated(rng, (shape[0], groups * run, *shape[2:]))
    check_op(
        lambda x, *p: ops.group_norm(x, groups, *p),
        lambda x, *p: formulas.group_norm(x, groups, *p),
        *(x, *_parameters(rng, kind, groups * run)),
        terms=512,
        seed=seed,
    )


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran", "sliced"])
def test_float32_batch_statistics_far_from_zero(order):
    """Mean 1000, deviation 1: E[x^2] - E[x]^2 in float32 has no correct digit, the two-pass form has."""
    rng = np.random.default_rng(2)
    x = (1000 + rng.normal(size=(4, 2, 64, 64))).astype(np.float32)
    moved = {"C": x, **strategies.memory_orders(x)}[order]
    y = ops.batch_norm(minidl.Tensor(moved), None, None, training=True).numpy()
    exact = x.astype(np.float64)
    exact = (exact - exact.mean((0, 2, 3), keepdims=True)) / np.sqrt(
        exact.var((0, 2, 3), keepdims=True) + 1e-5
    )
    # x - mean is exact to the rounding of the mean: eps * 1000, some of them from the sum over 16384 values.
    np.testing.assert_allclose(y, exact, rtol=0, atol=8 * 1000 * float(np.finfo(np.float32).eps))


X = (2, 4, 3, 3)
BAD = {
    "one value per channel": ("batch_norm", (1, 4, 1, 1), (None, None), {"training": True}, "(1, 4, 1, 1)"),
    "no statistics": ("batch_norm", X, (None, None), {}, "running"),
    "a vector": ("batch_norm", (4,), (None, None), {"training": True}, "(4,)"),
    "statistics of other channels": ("batch_norm", X, (np.zeros(3), np.ones(3)), {}, "(3,)"),
    "weight of other channels": ("batch_norm", X, (np.zeros(4), np.ones(4), np.ones(5)), {}, "(5,)"),
    "groups do not divide": ("group_norm", X, (3,), {}, "3"),
    "groups of zero": ("group_norm", X, (0,), {}, "0"),
    "bias of other channels": ("group_norm", X, (2, np.ones(4), np.ones(2)), {}, "(2,)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    operation, shape, positional, options, named = BAD[name]
    arguments = [minidl.tensor(a) if isinstance(a, np.ndarray) else a for a in positional]
    with pytest.raises((ValueError, RuntimeError)) as caught:
        getattr(ops, operation)(minidl.tensor(np.zeros(shape)), *arguments, **options)
    assert operation in str(caught.value) and named in str(caught.value)
