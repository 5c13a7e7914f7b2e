"""minidl.fuse: the same model, shared parameters and names, hooks that still see what they asked for."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.models import UNet
from minidl.nn import fused as fusing

RNG = np.random.default_rng(0)


def results(model, x, seed=1):
    """Output and gradients of a sum of squares."""
    model.zero_grad()
    minidl.manual_seed(seed)
    y = model(minidl.tensor(x))
    (y * y).sum().backward()
    return [y.numpy(), *(p.grad.numpy().copy() for p in model.parameters())]


def same(plain, fused, x, training=True):
    plain.train(training)
    fused.train(training)
    kept = plain.state_dict()
    one = results(plain, x)
    state = plain.state_dict()  # running statistics moved
    plain.load_state_dict(kept)
    other = results(fused, x)
    for name, value in fused.state_dict().items():
        np.testing.assert_allclose(value, state[name], rtol=1e-12, atol=1e-13, err_msg=name)
    plain.load_state_dict(kept)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        # float64 through a few layers: sums of some thousand terms, transforms' growth below 200 (docs).
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-11 * max(1.0, np.abs(a).max()))


UNETS = {
    "documents": {"bottleneck": False},
    "batch norm": {"norm": "batch"},
    "group norm": {"norm": "group", "bottleneck": False},
    "transpose": {"up": "transpose"},
    "bilinear": {"up": "bilinear"},
    "valid": {"padding": "valid"},
    "valid, transpose": {"padding": "valid", "up": "transpose"},
    "dropout": {"dropout": 0.5},
    "recompute": {"recompute": True, "norm": "batch"},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", UNETS)
def test_a_unet(name, training):
    minidl.manual_seed(0)
    plain = UNet(3, 2, base=6, depth=2, **UNETS[name]).double()
    size = plain.valid_size(12)
    same(
        plain,
        minidl.fuse(plain),
        RNG.normal(size=(2, 3, size, size + (4 if name == "documents" else 0))),
        training,
    )


def test_a_sequential():
    plain = nn.Sequential(
        *(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU()),
        *(nn.Conv2d(5, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Sigmoid()),
        nn.Sequential(nn.Conv2d(4, 2, 2, padding="same"), nn.ReLU()),
    ).double()
    fused = minidl.fuse(plain)
    x = RNG.normal(size=(2, 3, 9, 8))
    for training in (True, False):
        same(plain, fused, x, training)


@pytest.mark.parametrize(
    "border",
    [
        {"padding": "same"},
        {"padding": "valid"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": "same", "padding_mode": "circular"},
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_border_that_the_operation_lacks_keeps_the_batch_norm(border, training):
    plain = nn.Sequential(nn.Conv2d(2, 3, (3, 2), **border), nn.BatchNorm2d(3), nn.ReLU()).double()
    plain[1].running_mean.data[...], plain[1].running_var.data[...] = [-1.0, 0.0, 2.0], [0.5, 1.0, 4.0]
    same(plain, minidl.fuse(plain), RNG.normal(size=(2, 2, 6, 5)), training)


def test_layers_that_stand_twice_run_twice_and_stay_one():
    conv, norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
    plain = nn.Sequential(conv, norm, nn.ReLU(), conv, norm, nn.Sequential(conv), nn.Sequential(conv))
    fused = minidl.fuse(plain.double())
    assert list(fused.state_dict()) == list(plain.state_dict())
    assert fused[0] is fused[3] is fused[5][0] and len(fused) == 7
    for training in (True, False):
        same(plain, fused, RNG.normal(size=(2, 2, 6, 5)), training)


def test_a_child_that_is_none_stays_none():
    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)
            self.add_module("more", None)

        def forward(self, x):
            return self.layer(x) if self.more is None else self.more(self.layer(x))

    fused = minidl.fuse(Optional())
    assert fused.more is None
    assert fused(minidl.tensor(np.zeros((1, 1, 2, 2), np.float32))).shape == (1, 1, 2, 2)


class Halved(nn.Conv2d):
    """A convolution of one's own."""

    def forward(self, input):
        return super().forward(input) / 2


def test_layers_of_ones_own_in_a_unet_are_computed_as_they_are():
    plain = UNet(1, 2, base=2, depth=2, norm="batch").double()
    plain.down[0].conv1 = Halved(1, 2, 3, padding=1, dtype="float64")
    plain.down[1].norm2 = nn.GroupNorm(2, 4, dtype="float64")
    plain.decode[0] = nn.Sequential(Halved(12, 4, 1, dtype="float64"))
    plain.upsample[1] = nn.Upsample(size=(8, 8), mode="bilinear")
    for training in (True, False):
        same(plain, minidl.fuse(plain), RNG.normal(size=(2, 1, 8, 8)), training)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_folded_in_evaluation(affine):
    """One operation instead of three, and the gradients still reach every parameter."""
    plain = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3, affine=affine), nn.ReLU()).double()
    plain.train()
    plain(minidl.tensor(RNG.normal(2, 3, size=(4, 2, 5, 5))))
    fused = minidl.fuse(plain).eval()
    ran = []
    with (
        minidl.autograd.function.watch(lambda function, *_: ran.append(function.operation())),
        minidl.no_grad(),
    ):
        fused(minidl.tensor(RNG.normal(size=(1, 2, 5, 5))))
    assert ran.count("fused_conv2d") == 1 and not {"batch_norm", "relu", "conv2d"} & set(ran)
    same(plain, fused, RNG.normal(size=(2, 2, 6, 5)), training=False)


def test_the_decoder_neither_enlarges_nor_concatenates():
    model = minidl.fuse(UNet(1, 2, base=4, depth=2))
    ran = []
    with minidl.autograd.function.watch(lambda function, *_: ran.append(function.operation())):
        model(minidl.tensor(np.zeros((1, 1, 8, 8), np.float32)))
    assert ran.count("fused_conv2d") == 10 and not {"cat", "interpolate", "relu"} & set(ran)


def test_parameters_are_shared_and_names_are_the_same():
    plain = UNet(1, 2, base=4, depth=1, norm="batch")
    fused = minidl.fuse(plain)
    assert isinstance(fused, UNet) and fused.multiple == plain.multiple
    assert list(fused.state_dict()) == list(plain.state_dict())
    for (name, p), (other, q) in zip(plain.named_parameters(), fused.named_parameters(), strict=True):
        assert name == other and p is q
    for (_, p), (_, q) in zip(plain.named_buffers(), fused.named_buffers(), strict=True):
        assert p is q
    fused.load_state_dict({k: v + 1 for k, v in plain.state_dict().items()})
    assert plain.down[0].norm1.running_mean.numpy()[0] == 1
    plain.eval()
    assert fused.training, "the mode is each model's own"


def test_the_plain_model_stays_as_it_was():
    plain = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    text, kind = repr(plain), type(plain)
    minidl.fuse(plain)
    assert repr(plain) == text and type(plain) is kind and type(plain[0]) is nn.Conv2d


def test_a_hook_sees_what_it_asked_for():
    plain = UNet(1, 2, base=4, depth=1)
    seen = []
    plain.down[0].conv1.register_forward_hook(
        lambda module, inputs, output: seen.append(output.numpy().min())
    )
    x = minidl.tensor(RNG.normal(size=(1, 1, 8, 8)).astype(np.float32))
    expected = plain(x).numpy()
    actual = minidl.fuse(plain)(x).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    assert len(seen) == 2 and seen[1] == pytest.approx(seen[0], abs=1e-5) and seen[0] < 0, "before the ReLU"


def test_a_rule_of_ones_own():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return ops.relu(self.layer(ops.relu(self.layer(x))))

    class FusedTwice(Twice):
        def forward(self, x):
            return fusing.convolve(self.layer, None, fusing.convolve(self.layer, None, x))

    fusing.rule(Twice)(lambda model: fusing.with_children(model, {}, FusedTwice))
    try:
        plain = nn.Sequential(Twice()).double()
        fused = minidl.fuse(plain)
        assert type(fused[0]) is FusedTwice
        same(plain, fused, RNG.normal(size=(1, 1, 4, 4)))
    finally:
        del fusing._rules[Twice]
