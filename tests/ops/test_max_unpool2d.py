"""max_unpool2d (E12): what max_pool2d found goes back to where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import pool_loops, strategies, window_strategies
from oracles.checks import check_adjoint, check_op, leaf


@given(case=window_strategies.unpoolings())
def test_max_unpool2d(case):
    y, indices = ops.max_pool2d(leaf(case.image()), **_pooling(case), return_indices=True)
    check_op(
        lambda y: ops.max_unpool2d(y, indices, **case.options),
        lambda y: pool_loops.max_unpool2d(y, indices.numpy(), case.size),
        y.detach().numpy().copy(),
        second_order=True,
        seed=case.pooling.seed,
    )
    check_adjoint(lambda y: ops.max_unpool2d(y, indices, **case.options), y.detach().numpy().copy(), terms=4)


def _pooling(case):
    return {name: case.options[name] for name in ("kernel_size", "stride", "padding") if name in case.options}


@given(case=window_strategies.unpoolings(overlapping=True))
def test_where_indices_repeat_the_last_value_stays_and_alone_has_the_gradient(case):
    y, indices = ops.max_pool2d(leaf(case.image()), **_pooling(case), return_indices=True)
    values = strategies.separated(np.random.default_rng(case.pooling.seed), y.shape)  # told apart, unlike y
    check_op(
        lambda y: ops.max_unpool2d(y, indices, **case.options),
        lambda y: pool_loops.max_unpool2d(y, indices.numpy(), case.size),
        values,
        second_order=True,
        seed=case.pooling.seed,
    )


@given(case=window_strategies.unpoolings())
def test_unpooling_puts_the_maxima_back_and_pooling_finds_them_again(case):
    x = np.abs(case.image()) + 1  # above the zeros in between
    y, indices = ops.max_pool2d(minidl.tensor(x), **_pooling(case), return_indices=True)
    back = ops.max_unpool2d(y, indices, **case.options)
    np.testing.assert_array_equal(back.numpy()[back.numpy() != 0], x[back.numpy() != 0])
    assert np.count_nonzero(back.numpy()) == y.numel()
    again, where = ops.max_pool2d(back, **_pooling(case), return_indices=True)
    np.testing.assert_array_equal(again.numpy(), y.numpy())
    np.testing.assert_array_equal(where.numpy(), indices.numpy())


def _unpool(
    shape=(1, 1, 2, 2), dtype=np.float64, index=0, index_shape=None, index_dtype=np.int64, kernel=2, **options
):
    x = minidl.tensor(np.zeros(shape, dtype))
    indices = minidl.tensor(np.full(index_shape or shape, index, index_dtype))
    return ops.max_unpool2d(x, indices, kernel, **options)


BAD = {
    "index past the end": (lambda: _unpool(index=16), "16"),
    "negative index": (lambda: _unpool(index=-1), "-1"),
    "shapes": (lambda: _unpool(index_shape=(1, 1, 2, 1)), "(1, 1, 2, 1)"),
    "short integers": (lambda: _unpool(index_dtype=np.int32), "int32"),
    "integers": (lambda: _unpool(dtype=np.int64), "int64"),
    "size too far off": (lambda: _unpool(output_size=(6, 4)), "(6, 4)"),
    "three sizes": (lambda: _unpool(output_size=(1, 4, 4)), "output_size"),
    "one size": (lambda: _unpool(output_size=4), "output_size"),
    "nothing left": (lambda: _unpool(shape=(1, 1, 1, 1), padding=1), "no pixels, (0, 0)"),
    "nothing left in one direction": (lambda: _unpool(shape=(1, 1, 1, 2), padding=1), "no pixels, (0, 2)"),
    "one size in a tuple": (lambda: _unpool(output_size=(4,)), "output_size"),
    "negative size": (lambda: _unpool(output_size=(4, -1)), "output_size"),
    "no rows": (
        lambda: _unpool(shape=(1, 1, 1, 1), output_size=(0, 2), kernel=1, stride=2),
        "no pixels, (0, 2)",
    ),
    "kernel of zero": (lambda: _unpool(kernel=0), "kernel_size"),
    "stride of zero": (lambda: _unpool(stride=0), "stride"),
    "negative padding": (lambda: _unpool(padding=-1), "padding"),
    "three dimensions": (lambda: _unpool(shape=(1, 2, 2)), "(1, 2, 2)"),
    "no pixels": (lambda: _unpool(shape=(1, 1, 0, 2)), "(1, 1, 0, 2)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    call, named = BAD[name]
    with pytest.raises((ValueError, TypeError), match=r"^max_unpool2d: ") as caught:
        call()
    assert named in str(caught.value)
