"""Initialisers: ranges and variances as their formulas say, fans by hand, one seed one result."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import init

SHAPE = (40, 30, 5, 5)
FAN_IN, FAN_OUT = 30 * 25, 40 * 25


def zeros(*shape):
    return minidl.tensor(np.zeros(shape))


def check_uniform(values, low, high):
    """Within the range, and mean and variance within 5 standard errors of a uniform distribution's.

    With width w: the mean's standard error is w/√(12 n); the fourth central moment is w⁴/80, the variance
    w²/12, so the sample variance's is √((1/80 - 1/144) / n) w². Five of them: a right sampler fails for one
    seed in a million.
    """
    x, n, width = values.ravel(), values.size, high - low
    assert low <= x.min() and x.max() <= high
    assert abs(x.mean() - (low + high) / 2) < 5 * width / math.sqrt(12 * n)
    assert abs(x.var() - width**2 / 12) < 5 * width**2 * math.sqrt((1 / 80 - 1 / 144) / n)


def check_normal(values, mean, variance):
    """Mean, variance and kurtosis within 5 standard errors: √(σ²/n), √(2/n) σ², √(24/n)."""
    x, n = values.ravel(), values.size
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / n)
    assert abs(x.var() - variance) < 5 * variance * math.sqrt(2 / n)
    standard = (x - x.mean()) / x.std()
    assert abs((standard**4).mean() - 3) < 5 * math.sqrt(24 / n), "not the bell's shape"


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((7, 3), (3, 7)), ((8, 3, 5, 5), (75, 200)), ((6, 2, 1, 3), (6, 18)), ((4, 5, 2), (10, 8))],
)
def test_fans(shape, fans):
    assert init.fans(zeros(*shape)) == fans


def test_fans_of_a_vector_are_not_defined():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        init.xavier_normal_(zeros(3))


def test_plain_fillings():
    x = zeros(100, 100)
    check_uniform(init.uniform_(x, -1.0, 3.0).numpy(), -1.0, 3.0)
    check_normal(init.normal_(x, 2.0, 0.5).numpy(), 2.0, 0.25)
    assert (init.constant_(x, 1.5).numpy() == 1.5).all()
    assert (init.ones_(x).numpy() == 1).all() and (init.zeros_(x).numpy() == 0).all()
    assert init.uniform_(x) is x and 0 <= x.numpy().min() and x.numpy().max() < 1


UNIFORM = {  # bound² / 3 is the variance
    "xavier": (lambda w: init.xavier_uniform_(w), math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "xavier with gain": (lambda w: init.xavier_uniform_(w, gain=3.0), 3 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "kaiming after a ReLU": (
        lambda w: init.kaiming_uniform_(w, nonlinearity="relu"),
        math.sqrt(2) * math.sqrt(3 / FAN_IN),
    ),
    "kaiming by default": (lambda w: init.kaiming_uniform_(w), math.sqrt(6 / FAN_IN)),
    "kaiming, fan_out, leaky": (
        lambda w: init.kaiming_uniform_(w, a=0.5, mode="fan_out"),
        math.sqrt(2 / 1.25) * math.sqrt(3 / FAN_OUT),
    ),
    "torch's default": (lambda w: init.torch_default_(w, None), 1 / math.sqrt(FAN_IN)),
}
NORMAL = {  # variances
    "xavier": (lambda w: init.xavier_normal_(w), 2 / (FAN_IN + FAN_OUT)),
    "xavier for tanh": (
        lambda w: init.xavier_normal_(w, gain=init.calculate_gain("tanh")),
        25 / 9 * 2 / (FAN_IN + FAN_OUT),
    ),
    "kaiming after a ReLU": (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), 2 / FAN_IN),
    "kaiming, fan_out": (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), 2 / FAN_OUT),
    "kaiming, linear": (lambda w: init.kaiming_normal_(w, nonlinearity="linear"), 1 / FAN_IN),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_rules(name):
    fill, bound = UNIFORM[name]
    w = zeros(*SHAPE)
    fill(w)
    check_uniform(w.numpy(), -bound, bound)


@pytest.mark.parametrize("name", NORMAL)
def test_normal_rules(name):
    fill, variance = NORMAL[name]
    w = zeros(*SHAPE)
    fill(w)
    check_normal(w.numpy(), 0.0, variance)


def test_gains():
    gains = {
        "linear": 1,
        "conv2d": 1,
        "sigmoid": 1,
        "tanh": 5 / 3,
        "relu": 2**0.5,
        "leaky_relu": (2 / 1.0001) ** 0.5,
    }
    assert {name: init.calculate_gain(name) for name in gains} == pytest.approx(gains)
    assert init.calculate_gain("leaky_relu", 1.0) == 1.0
    with pytest.raises(ValueError, match="gelu"):
        init.calculate_gain("gelu")
    with pytest.raises(ValueError, match="fan_sideways"):
        init.kaiming_normal_(zeros(2, 2), mode="fan_sideways")


# Layers and the fan_in of their weights; a transposed convolution's weight is (in, out/groups, kh, kw).
DEFAULTS = {
    "Linear": (lambda: nn.Linear(300, 200), 300),
    "Conv2d": (lambda: nn.Conv2d(32, 48, 3), 32 * 9),
    "Conv2d in groups": (lambda: nn.Conv2d(32, 48, 3, groups=4), 8 * 9),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(48, 32, 3), 32 * 9),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_layers_start_as_torchs_do(name):
    make, fan_in = DEFAULTS[name]
    layer = make()
    bound = 1 / math.sqrt(fan_in)
    check_uniform(layer.weight.detach().numpy().astype(np.float64), -bound * (1 + 1e-7), bound * (1 + 1e-7))
    bias = np.concatenate([make().bias.detach().numpy() for _ in range(20)])
    check_uniform(bias.astype(np.float64), -bound * (1 + 1e-7), bound * (1 + 1e-7))


def test_norms_start_as_the_identity():
    for layer in (nn.BatchNorm2d(3), nn.GroupNorm(1, 3)):
        assert (layer.weight.data == 1).all() and (layer.bias.data == 0).all()
    assert (nn.BatchNorm2d(3).running_mean.data == 0).all() and (
        nn.BatchNorm2d(3).running_var.data == 1
    ).all()


def test_one_seed_one_result_and_another_seed_another():
    def draw(seed):
        minidl.manual_seed(seed)
        return nn.Conv2d(2, 3, 3).state_dict()

    first, again, other = draw(5), draw(5), draw(6)
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
        assert (first[key] != other[key]).any()


def test_a_fill_is_in_place_and_noticed_by_a_pending_backward():
    w = minidl.tensor([[1.0]], requires_grad=True)
    memory = w.data
    y = w * w
    init.ones_(w)
    assert w.data is memory
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()


def test_the_signal_keeps_its_size_through_thirty_relu_layers():
    """He's rule: the mean square after a layer is the one before, up to a few percent for 256 units."""
    x = minidl.tensor(np.random.default_rng(0).normal(size=(64, 256)))
    for _ in range(30):
        w = zeros(256, 256)
        init.kaiming_normal_(w, nonlinearity="relu")
        x = minidl.ops.linear(x, w).relu()
    # E[relu(z)²] is half of E[z²] = 1 · 2/256 · Σ x². Wrong by √2 a layer would be 2^±15 at the end.
    assert 0.1 < float((x.numpy() ** 2).mean()) < 10
