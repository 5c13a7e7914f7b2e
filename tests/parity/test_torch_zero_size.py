"""Operations with nothing to work on give what torch gives: values, shapes and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.zero_size import ROWS
from parity.agreement import agree


@pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")  # torch warns, of var and std
@pytest.mark.parametrize("name", ROWS)
def test_it_agrees_with_torch(name):
    line, shapes, _ = ROWS[name]
    agree(line, *(np.random.default_rng(0).uniform(0.5, 1.5, shape) for shape in shapes))
