"""Every operation runs on a device, those without kernels of their own too, and gives what the host gives."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl._device import CPU, move
from minidl.testing import cotangent_for, size_of, tolerance
from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)

#: Functions of x (3, 4), positive y (3, 4) and `place`, which puts arrays where the tensors live.
CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sub": lambda x, y, place: x - y,
    "mul": lambda x, y, place: x * y * 2,
    "div": lambda x, y, place: x / y + 1 / y,
    "neg abs sign": lambda x, y, place: -abs(x) + ops.sign(x),
    "pow": lambda x, y, place: y**2 + y**0.5 + y**x + 2**x,
    "exp log sqrt rsqrt": lambda x, y, place: x.exp() + y.log() + y.sqrt() + y.rsqrt(),
    "clamp": lambda x, y, place: ops.clamp(x, -0.5, 0.5) + ops.clamp(x, min=y),
    "maximum minimum": lambda x, y, place: ops.maximum(x, y) * ops.minimum(x, y),
    "where": lambda x, y, place: ops.where(x > 0, x, y) + ops.where(y > x, 1.0, x),
    "comparison": lambda x, y, place: (((x < y) & ~(x == y)) | x.isnan()).astype(x.dtype) * x,
    "max min dim": lambda x, y, place: x.max(1).values + y.min(1).values,
    "amax amin": lambda x, y, place: ops.amax(x, (0, 1)) + ops.amin(y, 1),
    "sort topk": lambda x, y, place: x.sort(0, descending=True).values[:2] + ops.topk(y, 2, 0).values,
    "gather": lambda x, y, place: ops.gather(x, 1, place(np.array([[0, 3], [1, 1], [2, 0]]))),
    "getitem": lambda x, y, place: x[1:, ::2] + y[place(np.array([0, 0])), :2] + x[[2, 1], :2],
    "mask": lambda x, y, place: y[y > 1].sum() + x[0, 1],
    "shapes": lambda x, y, place: x.reshape(2, 6).T.unsqueeze(0).flip(1).expand(2, 6, 2).permute(1, 0, 2),
    "split stack": lambda x, y, place: ops.stack(x.split(2, 1), 0) + ops.stack(y.chunk(2, 1), 0),
    "diagonal": lambda x, y, place: x.diagonal() + y.diagonal(1)[:3].sum(),
    "pad": lambda x, y, place: ops.pad(x[None], (1, 2), value=3.0) + ops.pad(y[None], (2, 1), "reflect"),
    "pad replicate": lambda x, y, place: ops.pad(x[None], (1, 2), "replicate"),
    "einsum": lambda x, y, place: ops.einsum("ij,kj->ik", x, y),
    "matmul": lambda x, y, place: x.T @ y + (x @ y.T).sum(),
    "mean var std": lambda x, y, place: x.mean(0) + y.var(0) + y.std(0),
    "mse l1 smooth": lambda x, y, place: ops.mse_loss(x, y) + ops.l1_loss(x, y) + ops.smooth_l1_loss(x, y),
    "bce": lambda x, y, place: ops.binary_cross_entropy_with_logits(x, ops.sigmoid(y), pos_weight=[2.0]),
    "kl": lambda x, y, place: ops.kl_div(ops.log_softmax(x, 1), ops.softmax(y, 1)),
    "nll": lambda x, y, place: ops.nll_loss(x, place(np.array([0, 3, 1])), [1.0, 2.0, 3.0, 4.0]),
    "probabilities": lambda x, y, place: ops.cross_entropy(x, ops.softmax(y, 1), label_smoothing=0.1),
    "numpy labels": lambda x, y, place: ops.cross_entropy(x, np.array([0, 3, 1])),
    "linear": lambda x, y, place: ops.linear(x, y, y[:, 0]),
    "out": lambda x, y, place: x.clone().double().float().astype(x.dtype) * 2,
}


def run(fn: Callable[..., Any], device: str) -> tuple[Any, list[Any]]:
    rng = np.random.default_rng(4)
    arrays = rng.standard_normal((3, 4)), rng.random((3, 4)) + 0.5
    x, y = (minidl.tensor(a, requires_grad=True, device=device) for a in arrays)
    z = fn(x, y, lambda a: minidl.tensor(a, device=device))
    assert z.device == minidl.device(device)
    value = move(z.data, CPU)
    z.backward(cotangent_for(value))
    return value, [None if t.grad is None else move(t.grad.data, CPU) for t in (x, y)]


@pytest.mark.parametrize("name", CASES)
def test_as_on_the_host(xp: ModuleType, name: str) -> None:
    compiler_or_skip()
    with minidl.use("numpy"):
        value, gradients = run(CASES[name], "cpu")
    ours, our_gradients = run(CASES[name], "cuda" if xp.__name__ == "cupy" else "cuda_sim")
    # "out" goes through float32, once.
    atol = tolerance(np.float32 if name == "out" else np.float64, 16, size_of(value))
    np.testing.assert_allclose(ours, value, rtol=0, atol=atol)
    for mine, expected in zip(our_gradients, gradients, strict=True):
        assert (mine is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(mine, expected, rtol=0, atol=10 * atol)


def test_what_surrounds_operations(xp: ModuleType) -> None:
    """Initialisation, clipping, recomputation, anomaly mode, second derivatives, hooks."""
    compiler_or_skip()
    device = "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    layer = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU()).to(device)
    for fill in (nn.init.kaiming_normal_, nn.init.kaiming_uniform_, nn.init.xavier_normal_):
        fill(layer[0].weight)
    nn.init.zeros_(layer[0].bias)
    assert layer[0].weight.device.type == device and layer[0].bias.tolist() == [0.0, 0.0]
    x = minidl.tensor(np.ones((2, 1, 4, 4), np.float32), requires_grad=True, device=device)
    seen = []
    with minidl.autograd.detect_anomaly():
        y = minidl.autograd.checkpoint(layer, x)
        y.register_hook(lambda g: seen.append(g.device.type))
        (y * y).sum().backward()
    assert seen == [device] and x.grad is not None and x.grad.device.type == device
    norm = nn.utils.clip_grad_norm_(layer.parameters(), 1e-3)
    after = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert norm.item() > 1e-3 and abs(after.item() - 1e-3) < 1e-5
    nn.utils.clip_grad_value_(layer.parameters(), 1e-5)
    assert max(float(abs(p.grad.data).max()) for p in layer.parameters()) <= 1.0001e-5
    layer.eval()
    assert layer(x).shape == (2, 2, 4, 4)
    point = minidl.tensor([0.3, -1.2], requires_grad=True, dtype="float64", device=device)
    assert minidl.gradgradcheck(lambda t: ops.softmax(t, 0) * t.exp(), point)
    with minidl.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="log"):
        minidl.tensor([-1.0], requires_grad=True, device=device).log()


def test_integers_views_and_second_derivatives(xp: ModuleType) -> None:
    """What the cases above do not reach."""
    compiler_or_skip()
    device = "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    base, exponent = minidl.tensor([2, 3], device=device), minidl.tensor([3, 0], device=device)
    assert (base**exponent).tolist() == [8, 1]
    with pytest.raises(ValueError, match="pow: a negative power of an integer"):
        base ** (exponent - 1)
    image, weight = (
        minidl.tensor(np.ones(shape), requires_grad=True, device=device)
        for shape in ((1, 1, 3, 3), (1, 1, 2, 2))
    )
    ops.conv2d(image, weight).sum().backward()  # whose cotangent is one element, expanded
    assert weight.grad is not None and weight.grad.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]]
    point = minidl.tensor([0.3, -1.2, 0.0], requires_grad=True, dtype="float64", device=device)
    assert minidl.gradgradcheck(ops.gelu, point) and minidl.gradgradcheck(lambda t: t * t, point)


def test_what_has_no_kernel_says_so(xp: ModuleType) -> None:
    from minidl import dispatch

    with pytest.raises(NotImplementedError, match=r"dropout.folded: there is no CUDA kernel .* \.cpu\(\)"):
        _ = dispatch.kernels("dropout", xp.zeros(3)).folded
