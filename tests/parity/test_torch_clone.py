"""clone beside torch's."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from oracles import strategies
from parity.agreement import agree, many


@many
@given(shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_clone(shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    agree(lambda F, x: F.clone(x), x)
    agree(lambda F, x: x.transpose(0, -1).clone() if shape else x.clone(), x)
