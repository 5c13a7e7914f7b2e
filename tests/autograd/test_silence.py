"""Infinities, NaN and numbers at the ends of the range travel silently, as in torch.

No operation warns of them, no walk through it, and nothing that is done with gradients between two walks.

NumPy's warnings are made errors here by its own switch, which reaches where warnings are caught; threads of
kernels have it, too.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.autograd import checkpoint, detect_anomaly, grad
from oracles.every_op import FLAT, OWN, ROWS, WHOLE

LOUD = {"over": "raise", "invalid": "raise", "divide": "raise"}
HUGE = float(np.finfo(np.float32).max)
KINDS = {
    "huge": (HUGE, -HUGE, 1e30),
    "tiny": (1e-45, -1e-39, 0.0),
    "infinite": (np.inf, -np.inf, 1.0),
    "NaN": (np.nan, np.inf, 0.0),
}


class Functions:
    """minidl.ops with `tensor` beside it: what the rows are written for."""

    def __getattr__(self, name):
        return getattr(ops, name)

    @staticmethod
    def tensor(array):
        return minidl.tensor(array)


def numbers(shape, kind, seed=0):
    """float32, a third of them special."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape).astype(np.float32)
    chosen = rng.integers(0, 9, shape)
    for place, special in enumerate(KINDS[kind]):
        values[chosen == place] = special
    return values


def leaves(shapes, kind):
    return [
        minidl.tensor(numbers(shape, kind, seed), requires_grad=True) for seed, shape in enumerate(shapes, 1)
    ]


@pytest.fixture(autouse=True)
def _loud():
    with np.errstate(**LOUD):
        yield


def test_every_operation_is_among_the_rows():
    assert {name.partition(" ")[0] for name in (*ROWS, *OWN, *FLAT)} | WHOLE == set(ops.__all__)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*ROWS, *OWN])
def test_forward_backward_twice_and_second_derivatives_are_silent(name, kind):
    line, shapes = (ROWS | OWN)[name]
    xs = leaves(shapes, kind)
    y = line(Functions(), *xs)
    g = minidl.tensor(numbers(y.shape, kind).astype(y.dtype))
    for _ in range(2):  # the second adds to the gradients of the first
        (y + y).backward(g, retain_graph=True)
    first = grad(y, xs, g, create_graph=True)
    loss = [minidl.tensor(numbers(d.shape, kind).astype(d.dtype)) for d in first]
    recorded = [(d, v) for d, v in zip(first, loss, strict=True) if d.requires_grad]
    if recorded:
        grad([d for d, _ in recorded], xs, [v for _, v in recorded], allow_unused=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FLAT)
def test_operations_without_gradients_are_silent(name, kind):
    line, shapes = FLAT[name]
    line(Functions(), *leaves(shapes, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_float64_becomes_float32_in_silence(kind):
    x = minidl.tensor(numbers((3, 5), kind).astype(np.float64) * 1e10, requires_grad=True)
    y = x.astype("float32")
    y.backward(minidl.tensor(numbers((3, 5), kind).astype(np.float64) * 1e10))
    out = minidl.tensor(np.zeros((3, 5), np.float32))
    ops.mul(x.detach(), 1e300, out=out)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_that_meet_at_a_number_are_added_in_silence(kind):
    """0-d results are NumPy's scalars, which have warnings of their own."""
    special = KINDS[kind]
    x = minidl.tensor(np.float32(special[0]), requires_grad=True)
    z = x * 1.0
    y = z * special[0] + z * special[1] - z * special[0]
    for _ in range(2):
        y.backward(minidl.tensor(np.float32(special[1])), retain_graph=True)
    grad(y, x, minidl.tensor(np.float32(special[0])), create_graph=True)


@pytest.mark.parametrize("kind", KINDS)
def test_retained_gradients_add_up_in_silence(kind):
    (x,) = leaves([(3, 5)], kind)
    y = x * 2
    y.retain_grad()
    g = minidl.tensor(numbers((3, 5), kind, 7))
    for _ in range(3):
        y.backward(g, retain_graph=True)
        g = g * -1e30


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_checkpoints_and_anomaly_mode_are_silent(kind):
    (x,) = leaves([(3, 5)], kind)
    x.register_hook(lambda g: g * HUGE - g * HUGE)
    y = checkpoint(lambda x: (x * x).sum(), x)
    y.register_hook(lambda g: g * HUGE)
    for _ in range(2):
        y.backward(retain_graph=True)
    with detect_anomaly(), contextlib.suppress(RuntimeError):  # what it is for
        (x * x).sum().backward()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [0.5, 1, 2, 3, 10, np.inf])
def test_clipping_is_silent(kind, order):
    (x,) = leaves([(3, 5)], kind)
    x.grad = minidl.tensor(numbers((3, 5), kind))
    nn.utils.clip_grad_norm_([x], 1.0, order)
    x.grad = minidl.tensor(numbers((3, 5), kind))
    nn.utils.clip_grad_value_([x], 1e300)
    nn.utils.clip_grad_value_([x], HUGE)


@pytest.mark.parametrize("kind", KINDS)
def test_running_statistics_are_kept_in_silence(kind):
    for norm in (nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)):
        for seed in range(3):  # what came first meets what comes next: infinity - infinity
            norm(minidl.tensor(numbers((2, 4, 6, 7), kind, seed)))
        norm.eval()
        norm(minidl.tensor(numbers((2, 4, 6, 7), kind)))


def test_initial_values_that_are_too_large_are_infinite_in_silence():
    x = minidl.tensor(np.zeros((3, 5), np.float32))
    assert np.isinf(nn.init.normal_(x, 0.0, 1e300).numpy()).any()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e308])
def test_a_gradient_check_of_such_numbers_fails_in_silence(value):
    x = minidl.tensor(np.array([1.0, value]), requires_grad=True)
    minidl.gradcheck(lambda x: x * x * 1e300, x, raise_exception=False)
