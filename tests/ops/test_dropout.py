"""dropout, dropout2d: seeded, scaled by 1/(1-p), the same mask forward and backward, stated draws."""

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
from oracles.pointwise_formulas import philox_halves, philox_words

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
    # Not cut to one pixel, for which the mask would be another one.
    options = {"terms": 64, "extremes": False, "seed": seed}
    oracle = lambda x: x * (mask != 0) * scale  # noqa: E731
    check_op(_seeded(p, seed), oracle, x, second_order=p > 0, **options)


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


def test_integers_have_no_dropout():
    for fn in (ops.dropout, ops.dropout2d):
        with pytest.raises(TypeError, match=f"{fn.__name__}: input must be floating-point, got int64"):
            fn(minidl.tensor(np.ones((1, 2, 3, 3), np.int64)))


# --- whole channels ---


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    p=probabilities,
    seed=strategies.seeds,
)
def test_dropout2d_is_dropout_of_the_channels(shape, p, seed):
    channels = _seeded(p, seed)(minidl.tensor(np.ones(shape[:2]))).numpy()

    def fn(x):
        minidl.manual_seed(seed)
        return ops.dropout2d(x, p)

    x = strategies.generic(np.random.default_rng(seed), shape)
    oracle = lambda x: x * channels[:, :, None, None]  # noqa: E731
    check_op(fn, oracle, x, terms=64, extremes=False, seed=seed, second_order=p > 0)


def test_dropout2d_outside_training_and_with_p_of_one():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))
    assert ops.dropout2d(x, 0.9, training=False) is x and ops.dropout2d(x, 0.0) is x
    np.testing.assert_array_equal(ops.dropout2d(x, 1.0).numpy(), np.zeros(x.shape))
    assert ops.dropout2d(minidl.tensor(np.zeros((0, 3, 4, 5)))).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_dropout2d_is_for_images(shape):
    with pytest.raises(ValueError, match="dropout2d: input must be 4-dimensional"):
        ops.dropout2d(minidl.tensor(np.ones(shape)))
    with pytest.raises(ValueError, match="dropout2d: p must be a probability"):
        ops.dropout2d(minidl.tensor(np.ones((1, 1, 1, 1))), 1.5)


# --- which random numbers ---


def _halves(first, count):
    key = minidl.random.get_state()["state"]["key"]
    return philox_halves(key, first, count)


@given(
    shape=strategies.shapes(0, 3),
    before=st.integers(0, 9),
    p=st.sampled_from([0.1, 0.5, 0.9, 1e-9, 1 - 1e-12]),
    seed=strategies.seeds,
)
def test_the_mask_follows_from_seed_and_count_as_the_text_says(shape, before, p, seed):
    """Element i is kept if its 32-bit number is at least p 2^32, by Philox in Python's integers."""
    minidl.manual_seed(seed)
    minidl.random.generator().random(before)
    y = ops.dropout(minidl.tensor(np.ones(shape)), p).numpy()
    n = y.size
    kept = [u >= p * 2**32 for u in _halves(before, n)]
    assert (y.ravel() != 0).tolist() == kept
    following = philox_words(minidl.random.get_state()["state"]["key"], before + (n + 1) // 2, 1)[0]
    assert minidl.random.generator().random() == (following >> 11) / 2**53, "draws: half of the elements"


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout2d_draws_one_number_for_each_channel(p):
    minidl.manual_seed(5)
    y = ops.dropout2d(minidl.tensor(np.ones((3, 5, 2, 2))), p).numpy()
    assert (y[:, :, 0, 0].ravel() != 0).tolist() == [p < 1 and u >= p * 2**32 for u in _halves(0, 15)]
    following = philox_words(minidl.random.get_state()["state"]["key"], 8, 1)[0]
    assert minidl.random.generator().random() == (following >> 11) / 2**53


def test_without_training_or_with_p_of_zero_nothing_is_drawn():
    before = minidl.random.get_state()
    x = minidl.tensor(np.ones((1, 2, 3, 3)))
    for fn in (ops.dropout, ops.dropout2d):
        fn(x, 0.5, training=False)
        fn(x, 0.0)
    assert minidl.random.get_state() == before


@pytest.mark.parametrize("order", ["C", "fortran", "channels_last", "sliced", "reversed"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mask_depends_on_nothing_else(order, backend, threads, dtype):
    x = np.ones((2, 3, 4, 5), dtype)
    x = {"C": x, **strategies.memory_orders(x)}[order]
    minidl.manual_seed(9)
    minidl.set_num_threads(threads)
    try:
        with minidl.use(backend):
            y = ops.dropout(minidl.Tensor(x), 0.3).numpy()
    finally:
        minidl.set_num_threads(1)
    assert (y.ravel() != 0).tolist() == [u >= 0.3 * 2**32 for u in _halves(0, 120)]


def test_an_element_whose_number_is_just_at_the_limit_is_kept():
    """u >= p 2^32, where p 2^32 is the number itself: a whole number, so p is exact."""
    minidl.manual_seed(9)
    numbers = _halves(0, 6)
    for u in numbers:
        minidl.manual_seed(9)
        y = ops.dropout(minidl.tensor(np.ones(6)), u / 2**32).numpy()
        assert (y != 0).tolist() == [v >= u for v in numbers]
