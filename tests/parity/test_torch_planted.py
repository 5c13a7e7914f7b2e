"""The planted wrong backwards beside torch: the column "torch" of docs/proof/planted.md."""

from __future__ import annotations

import numpy as np
import pytest

from parity.agreement import MINIDL, TORCH, forward_and_backward
from planted import page
from planted.planting import TORCH as NAMED
from planted.planting import Mistake, planted

MISTAKES = {m.name: m for m in page.MISTAKES if NAMED in m.caught}


def agrees(mistake: Mistake) -> bool:
    """Values and gradients are torch's, to rounding."""
    expected, expected_gradients = forward_and_backward(TORCH, mistake.line, mistake.arrays)
    try:
        actual, gradients = forward_and_backward(MINIDL, mistake.line, mistake.arrays)
    except (AssertionError, RuntimeError, ValueError):
        return False
    pairs = zip((actual, *gradients), (expected, *expected_gradients), strict=True)
    return all(np.allclose(a, b, rtol=1e-10, atol=1e-10) for a, b in pairs)


@pytest.mark.parametrize("name", MISTAKES)
def test_torch_agrees_with_the_right_backward_and_not_with_the_wrong_one(name):
    mistake = MISTAKES[name]
    assert agrees(mistake)
    with planted(mistake):
        assert not agrees(mistake)
