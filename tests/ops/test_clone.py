"""clone: the same values in memory of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import strategies
from oracles.checks import check_adjoint, check_op


@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_clone(shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(ops.clone, np.array, x, seed=seed)
    check_adjoint(ops.clone, x, terms=1, seed=seed)


@pytest.mark.parametrize("order", ["fortran", "sliced", "reversed", "channels_last"])
def test_a_clone_has_memory_of_its_own_in_c_order(order):
    x = minidl.Tensor(strategies.memory_orders(np.arange(24.0).reshape(2, 3, 4))[order])
    y = x.clone()
    assert y.data.flags.c_contiguous and not np.shares_memory(x.data, y.data)
    y[0, 0, 0] = 5.0
    assert x[0, 0, 0].item() == 0.0
