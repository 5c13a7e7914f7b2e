"""<A x, g> = <x, A^T g> and A(2x - z) = 2 A x - A z, for linear operations whose own files do not ask it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import strategies
from oracles.checks import check_adjoint


def fixed(shape, seed):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape))


@given(shape=strategies.shapes(1, 4), data=st.data(), seed=strategies.seeds)
def test_operations_that_only_move_numbers(shape, data, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    dim = data.draw(st.integers(0, len(shape) - 1), label="dim")
    order = data.draw(st.permutations(range(len(shape))), label="order")
    other = minidl.tensor(np.zeros(shape))  # beside zeros, joining is linear
    for line in (
        lambda x: ops.reshape(x, (x.numel(),)),
        lambda x: ops.flatten(x, dim),
        lambda x: ops.permute(x, order),
        lambda x: ops.transpose(x, 0, dim),
        lambda x: ops.unsqueeze(x, dim),
        lambda x: ops.squeeze(x),
        lambda x: ops.cat([other, x, other], dim),
        lambda x: ops.cat([x, x], dim),
        lambda x: ops.stack([x, other], dim),
    ):
        check_adjoint(line, x, terms=2, seed=seed)


@given(shape=strategies.shapes(1, 3), classes=st.integers(1, 4), seed=strategies.seeds)
def test_products_with_something_fixed(shape, classes, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    weight = fixed((classes, shape[-1]), seed + 1)
    check_adjoint(lambda x: ops.linear(x, weight), x, terms=64, seed=seed)
    check_adjoint(lambda x: ops.einsum("...i,ki->k...", x, weight), x, terms=64, seed=seed)


@given(shape=strategies.shapes(1, 3), seed=strategies.seeds)
def test_masks_that_stay_the_same(shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    condition = minidl.tensor(np.random.default_rng(seed + 1).random(shape) < 0.5)
    check_adjoint(lambda x: ops.where(condition, x, 0.0), x, terms=1, seed=seed)

    def dropped(x):
        minidl.manual_seed(seed)
        return ops.dropout(x, 0.4)

    check_adjoint(dropped, x, terms=1, seed=seed)
