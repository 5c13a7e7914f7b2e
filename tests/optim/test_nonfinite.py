"""Infinities, NaN and numbers that overflow travel through a step as they do in arithmetic, and in silence.

Warnings are errors in all tests, so a step that warned would fail here.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from oracles.devices import compiler_or_skip
from oracles.update_rules import adam_by_hand, sgd_by_hand

STRANGE = (math.inf, -math.inf, math.nan, 1.7e308, -1.7e308, 1e200, 1e-310, 0.0, 1.0)
#: Pairs of a weight and its first gradient; the second gradient is an ordinary one.
PAIRS = tuple(itertools.product(STRANGE, STRANGE))
#: No product of theirs with an option overflows on its way to a finite sum: a fused multiply-add would not.
RULES = {
    "SGD": ("SGD", sgd_by_hand, {"lr": 0.5}),
    "SGD, all options": (
        "SGD",
        sgd_by_hand,
        {"lr": 0.5, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.5},
    ),
    "SGD, nesterov": ("SGD", sgd_by_hand, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    "Adam": ("Adam", adam_by_hand, {"lr": 0.5}),
    "Adam, weight decay": ("Adam", adam_by_hand, {"lr": 0.5, "weight_decay": 0.25}),
    "AdamW": ("AdamW", partial(adam_by_hand, decoupled=True), {"lr": 0.5, "weight_decay": 0.2}),
}


@pytest.mark.parametrize("device", ["cpu", "cuda_sim"])
@pytest.mark.parametrize("name", RULES)
def test_the_rule_with_numbers_beyond_all_bounds(name, device):
    kind, by_hand, options = RULES[name]
    if device != "cpu":
        compiler_or_skip()
    p = nn.Parameter(minidl.tensor(np.array([w for w, _ in PAIRS]), device=device))
    optimizer = getattr(optim, kind)([p], **options)
    path = []
    for gradients in ([g for _, g in PAIRS], [0.25 for _ in PAIRS]):
        p.grad = minidl.tensor(np.array(gradients), device=device)
        optimizer.step()
        path.append(p.detach().cpu().numpy().copy())
    for i, (w, g) in enumerate(PAIRS):
        expected = by_hand(w, [g, 0.25], **options)
        found = [step[i] for step in path]
        if device != "cpu":  # its kernels add weight decay always, and 0 times an infinite weight is NaN
            finite = [math.isfinite(before) for before in (w, *expected[:-1])]
            expected, found = (
                [x for x, ok in zip(xs, finite, strict=True) if ok] for xs in (expected, found)
            )
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300, err_msg=str((w, g)))


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("name", ["lr", "weight_decay", "eps"])
def test_an_option_that_float32_does_not_hold(kind, name):
    """It is infinite there: the step 1 - ∞ · 1, or of no length where ∞ is below."""
    if (kind, name) == ("SGD", "eps"):
        return
    p = nn.Parameter(np.ones(3, np.float32))
    optimizer = getattr(optim, kind)([p], **{"lr": 0.5, name: 1e300})
    p.grad = minidl.tensor(np.ones(3, np.float32))
    optimizer.step()
    assert p.dtype == np.float32
    if name == "eps":
        np.testing.assert_array_equal(p.data, np.float32([1, 1, 1]) * (1 if kind == "Adam" else 0.995))
    else:
        assert not np.isfinite(p.data).any()


def test_nothing_above_nothing():
    """Adam without eps, where there has been no gradient: 0 / 0."""
    for dtype in (np.float32, np.float64):
        p = nn.Parameter(np.ones(2, dtype))
        optimizer = optim.Adam([p], eps=0.0)
        p.grad = minidl.tensor(np.array([0.0, 1.0], dtype))
        optimizer.step()
        np.testing.assert_allclose(p.data, [np.nan, 0.999], rtol=1e-6)


def test_a_rule_of_ones_own_is_silent_too():
    class Reciprocal(optim.Optimizer):
        def update(self, w, g, state, group):
            w -= 1 / g

    p = nn.Parameter(np.ones(3))
    p.grad = minidl.tensor(np.array([0.0, np.inf, np.nan]))
    Reciprocal([p], {}).step()
    np.testing.assert_array_equal(p.data, [-np.inf, 1, np.nan])
