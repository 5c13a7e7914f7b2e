"""dropout: seeded, scaled by 1/(1-p), the same mask forward and backward."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import strategies
from oracles.checks import check_op, run

probabilities = st.sampled_from([0.0, 0.1, 0.5, 0.9])


def _seeded(p, seed):
    """Dropout whose mask depends on the shape alone, so that it can be called again and differentiated."""

    def fn(x):
        minidl.manual_seed(seed)
        return ops.dropout(x, p)

    return fn


@given(shape=strategies.shapes(1, 3), p=probabilities, seed=strategies.seeds)
def test_given_its_mask_dropout_is_a_product(shape, p, seed):
    mask = _seeded(p, seed)(minidl.tensor(np.ones(shape))).numpy()
    scale = 1 / (1 - p)
    assert all(v == 0 or math.isclose(v, scale, rel_tol=1e-15) for v in mask.ravel())
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(_seeded(p, seed), lambda x: x * (mask != 0) * scale, x, terms=64, orders=False, seed=seed)


@given(shape=strategies.shapes(1, 3), seed=strategies.seeds)
def test_the_gradient_uses_the_forwards_mask_and_scale(shape, seed):
    x = strategies.positive(np.random.default_rng(seed), shape)
    for name, moved in {"C": x, **strategies.memory_orders(x)}.items():
        g = strategies.positive(np.random.default_rng(seed + 1), shape)
        y, (gradient,) = run(lambda x: ops.dropout(x, 0.5), (moved,), g)
        np.testing.assert_array_equal(gradient, np.where(y != 0, 2 * g, 0), err_msg=name)
        np.testing.assert_array_equal(y, np.where(y != 0, 2 * x, 0), err_msg=name)


def test_one_seed_one_mask_and_the_next_call_another():
    x = minidl.tensor(np.ones(200, np.float32))
    minidl.manual_seed(3)
    first, second = ops.dropout(x).numpy(), ops.dropout(x).numpy()
    minidl.manual_seed(3)
    np.testing.assert_array_equal(ops.dropout(x).numpy(), first)
    np.testing.assert_array_equal(ops.dropout(x).numpy(), second)
    assert (first != second).any()


def test_float32_and_float64_draw_the_same_mask():
    minidl.manual_seed(3)
    single = ops.dropout(minidl.tensor(np.ones(100, np.float32)), 0.25).numpy()
    minidl.manual_seed(3)
    double = ops.dropout(minidl.tensor(np.ones(100)), 0.25).numpy()
    np.testing.assert_array_equal(single != 0, double != 0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_that_survives(p):
    """Binomial(40000, 1-p): five standard deviations."""
    n = 40_000
    minidl.manual_seed(11)
    kept = np.count_nonzero(ops.dropout(minidl.tensor(np.ones(n)), p).numpy())
    assert abs(kept - n * (1 - p)) < 5 * math.sqrt(n * p * (1 - p))


def test_outside_training_it_is_the_identity():
    x = np.random.default_rng(0).normal(size=(3, 4))
    y, (gradient,) = run(lambda x: ops.dropout(x, 0.9, training=False), (x,), np.full((3, 4), 2.0))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(gradient, np.full((3, 4), 2.0))


def test_p_of_one_drops_everything_without_dividing_by_zero():
    y, (gradient,) = run(lambda x: ops.dropout(x, 1.0), (np.ones((2, 3)),), np.ones((2, 3)))
    np.testing.assert_array_equal(y, np.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_probabilities_outside_zero_to_one(p):
    with pytest.raises(ValueError, match="dropout"):
        ops.dropout(minidl.tensor(np.ones(3)), p)
