"""Activations and dropout as layers: what they call, what they print, what they learn."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, ops

LAYERS = {
    "ReLU()": (nn.ReLU(), ops.relu),
    "ReLU(), in place": (nn.ReLU(True), ops.relu),
    "LeakyReLU(negative_slope=0.01)": (nn.LeakyReLU(), ops.leaky_relu),
    "LeakyReLU(negative_slope=0.3)": (nn.LeakyReLU(0.3, True), lambda x: ops.leaky_relu(x, 0.3)),
    "PReLU(num_parameters=1)": (nn.PReLU(), lambda x: ops.leaky_relu(x, 0.25)),
    "PReLU(num_parameters=3)": (nn.PReLU(3, init=0.5), lambda x: ops.leaky_relu(x, 0.5)),
    "ELU(alpha=1.0)": (nn.ELU(), ops.elu),
    "ELU(alpha=2.0)": (nn.ELU(2.0, True), lambda x: ops.elu(x, 2.0)),
    "GELU(approximate='none')": (nn.GELU(), ops.gelu),
    "GELU(approximate='tanh')": (nn.GELU("tanh"), lambda x: ops.gelu(x, "tanh")),
    "SiLU()": (nn.SiLU(), ops.silu),
    "SiLU(), in place": (nn.SiLU(inplace=True), ops.silu),
    "Hardswish()": (nn.Hardswish(), ops.hardswish),
    "Hardswish(), in place": (nn.Hardswish(inplace=True), ops.hardswish),
    "Softplus(beta=1.0, threshold=20.0)": (nn.Softplus(), ops.softplus),
    "Softplus(beta=2.0, threshold=1.0)": (nn.Softplus(2.0, 1.0), lambda x: ops.softplus(x, 2.0, 1.0)),
    "Sigmoid()": (nn.Sigmoid(), ops.sigmoid),
    "Tanh()": (nn.Tanh(), ops.tanh),
    "Softmax(dim=1)": (nn.Softmax(1), lambda x: ops.softmax(x, 1)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_the_operation(name):
    layer, fn = LAYERS[name]
    array = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    x = minidl.tensor(array)
    np.testing.assert_array_equal(layer(x).detach().numpy(), fn(x).numpy())
    np.testing.assert_array_equal(x.numpy(), array)
    assert repr(layer) == name.partition(", in place")[0]


def test_a_prelu_learns_one_slope_for_each_channel():
    layer = nn.PReLU(2)
    assert {name: p.tolist() for name, p in layer.named_parameters()} == {"weight": [0.25, 0.25]}
    x = minidl.tensor(np.array([[[-1.0, 2.0], [-3.0, -4.0]]], np.float32))
    layer(x).backward(np.array([[[10.0, 20.0], [30.0, 40.0]]], np.float32))
    assert layer.weight.grad.tolist() == [-10.0, -250.0]
    layer.weight.data[...] = 1.0
    layer.reset_parameters()
    assert layer.weight.tolist() == [0.25, 0.25]


@pytest.mark.parametrize("count", [0, -1])
def test_a_prelu_without_slopes(count):
    with pytest.raises(ValueError, match=f"PReLU: num_parameters must be at least 1, got {count}"):
        nn.PReLU(count)


DROPOUTS = {"Dropout": (nn.Dropout, ops.dropout), "Dropout2d": (nn.Dropout2d, ops.dropout2d)}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_layers_drop_in_training_alone(name):
    kind, fn = DROPOUTS[name]
    layer = kind(0.3)
    x = minidl.tensor(np.ones((2, 8, 2, 2), np.float32))
    minidl.manual_seed(1)
    dropped = layer(x).numpy()
    minidl.manual_seed(1)
    np.testing.assert_array_equal(dropped, fn(x, 0.3).numpy())
    assert 0 < np.count_nonzero(dropped) < dropped.size
    assert layer.eval()(x) is x
    assert repr(layer) == f"{name}(p=0.3)" and repr(kind()) == f"{name}(p=0.5)"


@pytest.mark.parametrize("name", DROPOUTS)
def test_layers_refuse_what_is_no_probability(name):
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"{name}: p must be a probability"):
            DROPOUTS[name][0](p)


def test_dropout2d_drops_whole_channels():
    minidl.manual_seed(3)
    y = nn.Dropout2d(0.5)(minidl.tensor(np.ones((4, 16, 3, 3), np.float32))).numpy()
    assert set(np.unique(y.sum(axis=(2, 3)))) == {0.0, 18.0}
