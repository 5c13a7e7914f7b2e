"""Layers: each one against the literal loops, with its own parameters; defaults; modes; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from oracles import formulas, loops, pool_loops, resize_loops
from oracles.checks import tolerance

IMAGE = (2, 4, 6, 5)


def own(layer):
    """The layer's parameters and buffers as float64 arrays, by name."""
    return {key: array.astype(np.float64) for key, array in layer.state_dict().items()}


def flattened(x, start, end):
    """Row-major, written out: the extents between start and end become one."""
    middle = int(np.prod(x.shape[start : end + 1]))
    return np.array(list(x.flat)).reshape(*x.shape[:start], middle, *x.shape[end + 1 :])


# name: (the layer, the input's shape, the oracle (x, parameters by name) -> y, terms of its longest sum)
LAYERS = {
    "Linear": (
        lambda: nn.Linear(5, 3),
        (2, 4, 5),
        lambda x, p: formulas.linear(x, p["weight"], p["bias"]),
        6,
    ),
    "Linear without bias": (
        lambda: nn.Linear(5, 3, bias=False),
        (2, 5),
        lambda x, p: formulas.linear(x, p["weight"]),
        5,
    ),
    "Conv2d": (
        lambda: nn.Conv2d(4, 3, 3),
        IMAGE,
        lambda x, p: loops.conv2d(x, p["weight"], p["bias"]),
        37,
    ),
    "Conv2d with every option": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False),
        IMAGE,
        lambda x, p: loops.conv2d(x, p["weight"], None, (2, 1), (1, 2), (1, 2), 2),
        12,
    ),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 3, 2, stride=2),
        IMAGE,
        lambda x, p: loops.conv_transpose2d(x, p["weight"], p["bias"], 2),
        5,
    ),
    "ConvTranspose2d with every option": (
        lambda: nn.ConvTranspose2d(
            4, 6, (3, 2), (2, 3), (1, 0), (1, 2), groups=2, bias=True, dilation=(2, 1)
        ),
        IMAGE,
        lambda x, p: loops.conv_transpose2d(x, p["weight"], p["bias"], (2, 3), (1, 0), (1, 2), 2, (2, 1)),
        13,
    ),
    "ReLU": (lambda: nn.ReLU(inplace=True), IMAGE, lambda x, p: formulas.relu(x), 1),
    "Sigmoid": (nn.Sigmoid, IMAGE, lambda x, p: formulas.sigmoid(x), 2),
    "Tanh": (nn.Tanh, IMAGE, lambda x, p: formulas.tanh(x), 2),
    "Softmax": (lambda: nn.Softmax(dim=1), IMAGE, lambda x, p: formulas.softmax(x, 1), 4),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE, lambda x, p: pool_loops.max_pool2d(x, 2), 1),
    "MaxPool2d with stride and padding": (
        lambda: nn.MaxPool2d(3, (2, 1), 1),
        IMAGE,
        lambda x, p: pool_loops.max_pool2d(x, 3, (2, 1), 1),
        1,
    ),
    "AvgPool2d": (
        lambda: nn.AvgPool2d((3, 2), 2, 1),
        IMAGE,
        lambda x, p: pool_loops.avg_pool2d(x, (3, 2), 2, 1),
        6,
    ),
    "Upsample": (
        lambda: nn.Upsample(scale_factor=2),
        IMAGE,
        lambda x, p: resize_loops.interpolate(x, (12, 10)),
        1,
    ),
    "Upsample to a size": (
        lambda: nn.Upsample(size=(7, 9), mode="bilinear"),
        IMAGE,
        lambda x, p: resize_loops.interpolate(x, (7, 9), mode="bilinear"),
        4,
    ),
    "Flatten": (nn.Flatten, IMAGE, lambda x, p: flattened(x, 1, 3), 1),
    "Flatten in part": (lambda: nn.Flatten(0, 1), IMAGE, lambda x, p: flattened(x, 0, 1), 1),
    "Identity": (nn.Identity, IMAGE, lambda x, p: x, 1),
    "Dropout in evaluation": (lambda: nn.Dropout(0.9).eval(), IMAGE, lambda x, p: x, 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_the_loops_do_with_its_parameters(name):
    make, shape, oracle, terms = LAYERS[name]
    rng = np.random.default_rng(0)
    layer = make().double()
    for p in layer.parameters():
        p.data[...] = rng.normal(size=p.shape)
    x = rng.normal(size=shape)
    expected = oracle(x, own(layer))
    y = layer(minidl.tensor(x)).detach().numpy()
    assert y.shape == expected.shape and y.dtype == np.float64
    largest = max(float(np.abs(a).max()) for a in (x, expected, *own(layer).values()))
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance(np.float64, terms, largest**2))


@pytest.mark.parametrize("name", LAYERS)
def test_float32_in_float32_out_and_every_parameter_learns(name):
    make, shape, _, _ = LAYERS[name]
    layer = make()
    x = minidl.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    y.backward(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
    assert x.grad.shape == x.shape
    for key, p in layer.named_parameters():
        assert p.grad is not None and p.grad.shape == p.shape and np.abs(p.grad.data).max() > 0, key


# --- dropout ------------------------------------------------------------------------------------------------


def test_dropout_zeroes_a_share_of_p_and_scales_the_rest():
    """The number of zeros is binomial: 5 standard deviations are allowed, one seed in two million fails."""
    n, p = 40_000, 0.3
    y = nn.Dropout(p)(minidl.tensor(np.ones((1, 1, 200, 200)))).numpy()
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    assert abs(np.count_nonzero(y == 0) - n * p) < 5 * np.sqrt(n * p * (1 - p))


def test_dropout_follows_the_mode_of_the_network():
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    x = minidl.tensor(np.ones(1000, np.float32))
    assert (model(x).numpy() == 0).any()
    assert (model.eval()(x).numpy() == 1).all()
    assert (model.train()(x).numpy() == 0).any()


# --- text and refusals --------------------------------------------------------------------------------------

TEXTS = {
    "Linear(2, 3, bias=False)": lambda: nn.Linear(2, 3, bias=False),
    "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1))": lambda: nn.Conv2d(2, 4, 3),
    "Conv2d(2, 4, kernel_size=(3, 1), stride=(2, 1), padding=(1, 0), groups=2, bias=False)": (
        lambda: nn.Conv2d(2, 4, (3, 1), (2, 1), (1, 0), 1, 2, bias=False)
    ),
    "ConvTranspose2d(4, 2, kernel_size=(2, 2), stride=(2, 2))": lambda: nn.ConvTranspose2d(4, 2, 2, 2),
    "MaxPool2d(kernel_size=2, stride=2, padding=0)": lambda: nn.MaxPool2d(2),
    "Upsample(scale_factor=2, mode='nearest')": lambda: nn.Upsample(scale_factor=2),
    "Upsample(size=(3, 4), mode='bilinear')": lambda: nn.Upsample((3, 4), mode="bilinear"),
    "Dropout(p=0.5)": nn.Dropout,
    "Softmax(dim=1)": lambda: nn.Softmax(1),
    "ReLU()": nn.ReLU,
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert repr(TEXTS[text]()) == text


REFUSED = {
    "groups do not divide the channels": (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups 2.*3.*4"),
    "groups do not divide the filters": (
        lambda: nn.ConvTranspose2d(4, 3, 3, groups=2),
        "ConvTranspose2d: groups 2",
    ),
    "no groups": (lambda: nn.Conv2d(4, 4, 3, groups=0), "Conv2d: groups 0"),
    "stride of zero": (lambda: nn.Conv2d(4, 4, 3, stride=0), "Conv2d: stride"),
    "kernel of zero": (lambda: nn.Conv2d(4, 4, 0), "Conv2d: kernel_size"),
    "negative padding": (lambda: nn.Conv2d(4, 4, 3, padding=(0, -1)), "Conv2d: padding"),
    "no channels": (lambda: nn.Conv2d(0, 4, 3), "Conv2d: in_channels"),
    "no features": (lambda: nn.Linear(0, 4), "Linear: in_features"),
    "no probability": (lambda: nn.Dropout(1.5), "Dropout: p"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_layers_name_the_layer_and_the_argument(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("options", [{"kernel_size": 2.5}, {"kernel_size": (1, 2, 3)}, {"kernel_size": "3"}])
def test_what_is_no_size_is_a_type_error(options):
    with pytest.raises(TypeError, match="Conv2d: kernel_size"):
        nn.Conv2d(1, 1, **options)
