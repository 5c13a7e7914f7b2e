"""UNet's values: every combination of options, the whole network against loops, gradients, learning."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minidl
from minidl import models, ops, optim
from minidl.models.unet import NORMS, PADDINGS, UPS
from oracles import loops, pool_loops, resize_loops
from oracles.checks import tolerance

COMBINATIONS = list(itertools.product(NORMS, UPS, PADDINGS, (True, False)))


@pytest.mark.parametrize(("norm", "up", "padding", "bottleneck"), COMBINATIONS)
def test_every_combination_runs_forward_and_backward(norm, up, padding, bottleneck):
    for depth in (1, 2, 3):
        model = models.UNet(3, 4, 4, depth, bottleneck, padding, norm, up, dropout=0.2)
        height = model.valid_size(1 if padding == "valid" else 8)
        width = model.valid_size(height + 1)
        x = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32)
        y = model(minidl.tensor(x))
        assert y.shape == (2, 4, model.output_size(height), model.output_size(width))
        assert y.dtype == np.float32 and np.isfinite(y.detach().numpy()).all()
        y.backward(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
        for name, p in model.named_parameters():
            assert p.grad is not None and np.isfinite(p.grad.data).all(), name
            assert np.abs(p.grad.data).max() > 0, name


# --- values and gradients -----------------------------------------------------------------------------------


def by_loops(state, x, depth, padding, up):
    """The network out of literal loops, with the arrays of a state dict; no normalisation."""
    pad = 1 if padding == "same" else 0

    def double_conv(x, name):
        for layer in ("conv1", "conv2"):
            x = np.maximum(
                loops.conv2d(x, state[f"{name}.{layer}.weight"], state[f"{name}.{layer}.bias"], 1, pad), 0
            )
        return x

    skips = []
    for level in range(depth):
        x = double_conv(x, f"down.{level}")
        skips.append(x)
        x = pool_loops.max_pool2d(x, 2)
    if f"down.{depth}.conv1.weight" in state:
        x = double_conv(x, f"down.{depth}")
    for level, skip in enumerate(reversed(skips)):
        if up == "transpose":
            x = loops.conv_transpose2d(
                x, state[f"upsample.{level}.weight"], state[f"upsample.{level}.bias"], 2
            )
        else:
            x = resize_loops.interpolate(x, (2 * x.shape[2], 2 * x.shape[3]), mode=up)
        top, left = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2
        middle = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        x = double_conv(np.concatenate([middle, x], axis=1), f"decode.{level}")
    return loops.conv2d(x, state["head.weight"], state["head.bias"])


@pytest.mark.parametrize(
    ("up", "padding", "bottleneck", "size"),
    [
        ("nearest", "same", False, (8, 12)),
        ("bilinear", "same", True, (4, 8)),
        ("transpose", "valid", True, (44, 48)),
    ],
)
def test_the_whole_network_against_literal_loops(up, padding, bottleneck, size):
    model = models.UNet(1, 2, base=2, depth=2, bottleneck=bottleneck, padding=padding, up=up).double()
    rng = np.random.default_rng(0)
    for p in model.parameters():
        if p.ndim == 1:
            p.data[...] = rng.normal(
                size=p.shape
            )  # biases begin as zeros, which would hide one that is left out
    x = rng.normal(size=(1, 1, *size))
    expected = by_loops(model.state_dict(), x, 2, padding, up)
    y = model(minidl.tensor(x)).detach().numpy()
    assert y.shape == expected.shape
    # At most 13 layers, each a sum of at most 9 * 16 + 1 terms; their errors add up.
    atol = 13 * tolerance(np.float64, 145, float(np.abs(expected).max()))
    np.testing.assert_allclose(y, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("up", UPS)
def test_gradients_of_a_tiny_network(norm, up):
    """Central differences of the input's and every parameter's gradient, a few random elements of each.

    The biases must not be the zeros they begin as: where a block's input is 0 in a whole window, the ReLU's
    would be 0 too, which is its corner.
    """
    model = models.UNet(2, 3, base=4, depth=1, norm=norm, up=up).double()
    rng = np.random.default_rng(0)
    for p in model.parameters():
        if p.ndim == 1:
            p.data[...] = rng.normal(size=p.shape)
    x = minidl.tensor(rng.normal(size=(2, 2, 4, 6)), requires_grad=True)
    tensors = [x, *model.parameters()]
    assert minidl.gradcheck(lambda x, *_: model(x), tensors, max_elements=4)


def test_it_learns_a_disc():
    """Noisy pictures of one disc each. Guessing each pixel by the share of discs alone costs the entropy of
    that share; sixty steps of Adam get below half of it.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    centres = rng.integers(4, 12, (8, 2, 1, 1))
    masks = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 16).astype(np.int64)
    images = (masks[:, None] + rng.normal(0, 0.5, (8, 1, 16, 16))).astype(np.float32)
    share = masks.mean()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    model = models.UNet(1, 2, base=4, depth=2)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = ops.cross_entropy(model(minidl.tensor(images)), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < entropy / 2
