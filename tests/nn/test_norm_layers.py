"""Norm layers: each against the formulas with its own parameters; running statistics; modes; refusals."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import minidl
from minidl import nn
from oracles import formulas
from oracles.checks import tolerance

IMAGE = (2, 4, 6, 5)


def of_parameters(oracle, *arguments, **options):
    """The oracle with whatever the layer has of weight and bias."""
    return lambda x, p: oracle(x, *arguments, weight=p.get("weight"), bias=p.get("bias"), **options)


def recorded(oracle):
    """The oracle with the layer's running statistics."""
    return lambda x, p: oracle(x, p.get("weight"), p.get("bias"), (p["running_mean"], p["running_var"]))


# name: (the layer, the input's shape, the oracle (x, parameters by name) -> y)
LAYERS = {
    "GroupNorm": (lambda: nn.GroupNorm(2, 4, eps=0.1), IMAGE, of_parameters(formulas.group_norm, 2, eps=0.1)),
    "GroupNorm, not affine": (
        lambda: nn.GroupNorm(4, 4, affine=False),
        IMAGE,
        of_parameters(formulas.group_norm, 4),
    ),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, eps=0.1), IMAGE, of_parameters(formulas.batch_norm, eps=0.1)),
    "BatchNorm2d, not affine": (
        lambda: nn.BatchNorm2d(4, affine=False),
        IMAGE,
        of_parameters(formulas.batch_norm),
    ),
    "BatchNorm2d in evaluation": (lambda: nn.BatchNorm2d(4).eval(), IMAGE, recorded(formulas.batch_norm)),
    "BatchNorm2d without statistics, in evaluation": (
        lambda: nn.BatchNorm2d(4, track_running_stats=False).eval(),
        IMAGE,
        of_parameters(formulas.batch_norm),
    ),
    "InstanceNorm2d": (
        lambda: nn.InstanceNorm2d(4, eps=0.1),
        IMAGE,
        of_parameters(formulas.instance_norm, eps=0.1),
    ),
    "InstanceNorm2d, affine": (
        lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        IMAGE,
        of_parameters(formulas.instance_norm),
    ),
    "InstanceNorm2d in evaluation": (
        lambda: nn.InstanceNorm2d(4).eval(),
        IMAGE,
        of_parameters(formulas.instance_norm),
    ),
    "InstanceNorm2d in evaluation, with statistics": (
        lambda: nn.InstanceNorm2d(4, track_running_stats=True).eval(),
        IMAGE,
        recorded(formulas.instance_norm),
    ),
    "InstanceNorm2d of one image": (
        lambda: nn.InstanceNorm2d(4, affine=True),
        IMAGE[1:],
        lambda x, p: formulas.instance_norm(x[None], p["weight"], p["bias"])[0],
    ),
    "LayerNorm": (lambda: nn.LayerNorm(5, eps=0.1), IMAGE, of_parameters(formulas.layer_norm, (5,), eps=0.1)),
    "LayerNorm of planes": (lambda: nn.LayerNorm([6, 5]), IMAGE, of_parameters(formulas.layer_norm, (6, 5))),
    "LayerNorm without bias": (
        lambda: nn.LayerNorm((6, 5), bias=False),
        IMAGE,
        of_parameters(formulas.layer_norm, (6, 5)),
    ),
    "LayerNorm, not affine": (
        lambda: nn.LayerNorm(5, elementwise_affine=False),
        IMAGE,
        of_parameters(formulas.layer_norm, (5,)),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_the_formula_does_with_its_parameters(name):
    make, shape, oracle = LAYERS[name]
    rng = np.random.default_rng(0)
    layer = make().double()
    for p in layer.parameters():
        p.data[...] = rng.normal(size=p.shape)  # not the initial ones and zeros
    for key, buffer in layer.named_buffers():
        if key != "num_batches_tracked":
            buffer.data[...] = rng.uniform(0.5, 2, buffer.shape)
    x = rng.normal(size=shape)
    own = {key: array.copy() for key, array in layer.state_dict().items()}
    expected = oracle(x, own)
    y = layer(minidl.tensor(x)).detach().numpy()
    assert y.shape == expected.shape and y.dtype == np.float64
    largest = max(float(np.abs(a).max()) for a in (x, expected, *own.values()))
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance(np.float64, 120, largest**2))


@pytest.mark.parametrize("name", LAYERS)
def test_float32_in_float32_out_and_every_parameter_learns(name):
    make, shape, _ = LAYERS[name]
    layer = make()
    x = minidl.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    y.backward(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
    assert x.grad.shape == x.shape
    for key, p in layer.named_parameters():
        assert p.grad is not None and p.grad.shape == p.shape and np.abs(p.grad.data).max() > 0, key


def test_initial_values():
    """Before it has learnt anything, a norm only standardises."""
    for layer in (
        nn.BatchNorm2d(3),
        nn.InstanceNorm2d(3, affine=True),
        nn.GroupNorm(1, 3),
        nn.LayerNorm((2, 3)),
    ):
        assert (layer.weight.data == 1).all() and (layer.bias.data == 0).all()
        assert layer.weight.shape == layer.bias.shape == ((2, 3) if isinstance(layer, nn.LayerNorm) else (3,))


# --- running statistics -------------------------------------------------------------------------------------


def images(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(2.0, 3.0, (2, 3, 4, 5)) for _ in range(count)]


@pytest.mark.parametrize("momentum", [0.3, None])
def test_batch_norm_learns_running_statistics_in_training_only(momentum):
    layer = nn.BatchNorm2d(3, momentum=momentum).double()
    mean, var = np.zeros(3), np.ones(3)
    for step, x in enumerate(images(3), start=1):
        layer(minidl.tensor(x))
        share = 1 / step if momentum is None else momentum
        mean, var = formulas.running_statistics(x, mean, var, share)
        assert layer.num_batches_tracked.item() == step
        np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-13)
        np.testing.assert_allclose(layer.running_var.data, var, rtol=1e-13)
    before = {key: array.copy() for key, array in layer.eval().state_dict().items()}
    layer(minidl.tensor(images(1, seed=9)[0]))
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


def test_without_momentum_the_record_is_the_plain_average_of_all_batches():
    layer = nn.BatchNorm2d(3, momentum=None).double()
    batches = images(5)
    for x in batches:
        layer(minidl.tensor(x))
    np.testing.assert_allclose(
        layer.running_mean.data, np.mean([x.mean((0, 2, 3)) for x in batches], axis=0), rtol=1e-13
    )
    variances = [x.var((0, 2, 3), ddof=1) for x in batches]
    np.testing.assert_allclose(layer.running_var.data, np.mean(variances, axis=0), rtol=1e-13)


def test_instance_norm_learns_the_average_of_its_images_and_uses_it_in_evaluation():
    layer = nn.InstanceNorm2d(3, momentum=0.3, track_running_stats=True).double()
    (x,) = images(1)
    layer(minidl.tensor(x))
    np.testing.assert_allclose(layer.running_mean.data, 0.3 * x.mean((0, 2, 3)), rtol=1e-13)
    by_image = np.mean([image.var((1, 2), ddof=1) for image in x], axis=0)
    np.testing.assert_allclose(layer.running_var.data, 0.7 + 0.3 * by_image, rtol=1e-13)
    one_pixel = layer.eval()(minidl.tensor(np.ones((1, 3, 1, 1)))).numpy()  # no statistics of its own needed
    expected = (1 - layer.running_mean.data) / np.sqrt(layer.running_var.data + 1e-5)
    np.testing.assert_allclose(one_pixel.ravel(), expected, rtol=1e-13)


@pytest.mark.parametrize(
    "make", [nn.BatchNorm2d, functools.partial(nn.InstanceNorm2d, track_running_stats=True)]
)
def test_a_checkpointed_forward_records_its_batch_once(make):
    layer = make(3)
    x = minidl.tensor(images(1)[0].astype(np.float32), requires_grad=True)
    minidl.autograd.checkpoint(layer, x).sum().backward()
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * x.numpy().mean((0, 2, 3)), rtol=1e-5)
    assert layer.num_batches_tracked.item() == (1 if isinstance(layer, nn.BatchNorm2d) else 0)


# --- text and refusals --------------------------------------------------------------------------------------

TEXTS = {
    "BatchNorm2d(4, eps=1e-05, momentum=0.1)": lambda: nn.BatchNorm2d(4),
    "BatchNorm2d(4, eps=1e-05, momentum=None)": lambda: nn.BatchNorm2d(4, momentum=None),
    "GroupNorm(2, 4, eps=1e-05)": lambda: nn.GroupNorm(2, 4),
    "LayerNorm((4,), eps=1e-05)": lambda: nn.LayerNorm(4),
    "LayerNorm((2, 3), eps=0.1, bias=False)": lambda: nn.LayerNorm((2, 3), 0.1, bias=False),
    "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)": (
        lambda: nn.InstanceNorm2d(3)
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert repr(TEXTS[text]()) == text


def zeros(*shape):
    return minidl.tensor(np.zeros(shape, np.float32))


REFUSED = {
    "groups of a norm": (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups 3.*4"),
    "no channels": (lambda: nn.GroupNorm(1, 0), "GroupNorm: num_channels"),
    "no features": (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features"),
    "instances of nothing": (lambda: nn.InstanceNorm2d(-1), "InstanceNorm2d: num_features"),
    "no row": (lambda: nn.LayerNorm(()), "LayerNorm: normalized_shape"),
    "a negative row": (lambda: nn.LayerNorm(-2), "LayerNorm: normalized_shape"),
    "vectors": (lambda: nn.BatchNorm2d(3)(zeros(2, 3)), r"BatchNorm2d.*4-dimensional.*\(2, 3\)"),
    "other channels": (
        lambda: nn.BatchNorm2d(3)(zeros(2, 4, 2, 2)),
        r"batch_norm: weight.*\(4,\), got \(3,\)",
    ),
    "a plane": (lambda: nn.InstanceNorm2d(3)(zeros(2, 3)), r"InstanceNorm2d.*\(2, 3\)"),
    "instances of other channels": (
        lambda: nn.InstanceNorm2d(3, affine=True)(zeros(2, 4, 2, 2)),
        r"instance_norm: weight.*\(4,\), got \(3,\)",
    ),
    "one pixel": (lambda: nn.InstanceNorm2d(3)(zeros(2, 3, 1, 1)), "instance_norm: .*more than one value"),
    "another row": (lambda: nn.LayerNorm(3)(zeros(2, 4)), r"layer_norm: .*\(3,\).*\(2, 4\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_layers_and_calls_say_what_is_wrong(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()
