"""Second derivatives, autograd.grad and checkpointing agree with torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from oracles.checks import tolerance
from parity.agreement import MINIDL, TORCH

GRAD = {id(TORCH): torch.autograd.grad, id(MINIDL): minidl.autograd.grad}

# One line for both libraries, and the shapes of its arrays.
LINES = {
    "polynomial": (lambda F, x, y: x * x * y - x / (y * y + 2.0), [(3, 4), (4,)]),
    "matmul": (lambda F, x, y: F.tanh(x @ y), [(2, 3), (3, 4)]),
    "linear": (lambda F, x, w, b: F.sigmoid(F.linear(x, w, b)), [(2, 3), (4, 3), (4,)]),
    "softmax": (lambda F, x: F.softmax(x * x, dim=1), [(3, 4)]),
    "log_softmax": (lambda F, x: F.log_softmax(x * x, dim=0), [(3, 4)]),
    "relu": (lambda F, x: F.relu(x) * x * x, [(3, 4)]),
    "sum and mean": (lambda F, x: F.exp(x.mean(dim=1)) * x.sum(dim=(0, 1)), [(3, 4)]),
    "views": (lambda F, x: (x.reshape(4, 3).permute(1, 0)[:, 1:] * x[:, :3]).exp(), [(3, 4)]),
    "conv2d": (lambda F, x, w, b: F.tanh(F.conv2d(x, w, b, 2, 1)), [(2, 3, 5, 4), (4, 3, 3, 2), (4,)]),
    "conv_transpose2d": (
        lambda F, x, w: F.conv_transpose2d(x * x, w, None, 2, 1),
        [(1, 3, 3, 2), (3, 2, 3, 2)],
    ),
    "avg_pool2d": (lambda F, x: F.avg_pool2d(x * x * x, 2), [(1, 2, 4, 5)]),
}


def derivatives(F, line, arrays, seed):
    """The value, the gradient, and the gradient of a random functional of the gradient."""
    rng = np.random.default_rng(seed)
    grad = GRAD[id(F)]
    inputs = [F.tensor(a, requires_grad=True) for a in arrays]
    y = line(F, *inputs)
    first = grad(y, inputs, F.tensor(rng.normal(size=tuple(y.shape))), create_graph=True)
    total = sum((g * F.tensor(rng.normal(size=tuple(g.shape)))).sum() for g in first)
    second = grad(total, inputs, allow_unused=True)
    return [None if t is None else t.detach().numpy() for t in (y, *first, *second)]


@pytest.mark.parametrize("name", LINES)
@given(seed=strategies.seeds)
def test_second_derivatives(name, seed):
    line, shapes = LINES[name]
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in shapes]
    expected, actual = (derivatives(F, line, arrays, seed) for F in (TORCH, MINIDL))
    for position, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert (a is None) == (b is None), f"result {position}"
        if a is not None:
            # Each derivative is a sum of at most 64 terms, of the size of the largest result.
            scale = max(1.0, *(float(np.abs(e).max()) for e in expected if e is not None))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance(np.float64, 64, 4 * scale))


@given(seed=strategies.seeds, depth=st.integers(1, 4))
def test_a_gradient_penalty_trains_the_same(seed, depth):
    """The norm of the input's gradient as a loss: torch's second-order walk beside ours."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(4, 4)) / 2 for _ in range(depth)]
    picture = rng.normal(size=(3, 4))

    def penalty(F):
        ws = [F.tensor(w, requires_grad=True) for w in weights]
        x = F.tensor(picture, requires_grad=True)
        h = x
        for w in ws:
            h = F.tanh(h @ w)
        (dx,) = GRAD[id(F)](h.sum(), [x], create_graph=True)
        loss = (dx * dx).sum()
        loss.backward()
        return [loss.detach().numpy(), *(w.grad.detach().numpy() for w in ws)]

    for a, b in zip(penalty(MINIDL), penalty(TORCH), strict=True):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerance(np.float64, 64, 16 * max(1.0, np.abs(b).max()))
        )


def test_what_both_refuse():
    for F, error in ((TORCH, RuntimeError), (MINIDL, RuntimeError)):
        x, other = (F.tensor(np.ones(2), requires_grad=True) for _ in range(2))
        with pytest.raises(error):
            GRAD[id(F)](x * 2, [x])  # no scalar
        with pytest.raises(error):
            GRAD[id(F)]((x * 2).sum(), [other])
        with pytest.raises(error):
            GRAD[id(F)]((x * 2).sum(), [F.tensor(np.ones(2))])


def test_a_checkpointed_network_has_torchs_gradients():
    rng = np.random.default_rng(0)
    w1, w2, picture = rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=(2, 5))

    def gradients(F, checkpoint):
        ws = [F.tensor(w, requires_grad=True) for w in (w1, w2)]
        y = checkpoint(lambda x: F.tanh(x @ ws[0]) @ ws[1], F.tensor(picture))
        (y * y).sum().backward()
        return [w.grad.numpy() for w in ws]

    theirs = gradients(TORCH, lambda f, x: torch.utils.checkpoint.checkpoint(f, x, use_reentrant=False))
    for a, b in zip(gradients(MINIDL, minidl.autograd.checkpoint), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance(np.float64, 10, float(np.abs(b).max())))
