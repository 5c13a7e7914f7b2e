"""Attributes that are changed later: each forward asks them anew; and one that is refused changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from oracles import formulas

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, (2, 3, 4, 5))


def state_of(layer):
    return {key: array.copy() for key, array in layer.state_dict().items()}


def unchanged(layer, before):
    after = layer.state_dict()
    assert list(after) == list(before)
    for key, array in after.items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


def made(kind=nn.BatchNorm2d, **options):
    """A layer in float64 whose running statistics are not the initial ones."""
    layer = kind(3, **options).double()
    if layer.running_mean is not None:
        layer.running_mean.data[...], layer.running_var.data[...] = [1.0, 2.0, 3.0], [4.0, 1.0, 0.25]
    return layer


# --- running statistics -----------------------------------------------------------------------------------


def test_batch_norm_whose_record_is_turned_off_uses_its_batch_and_keeps_the_record():
    layer = made()
    layer.track_running_stats = False
    before = state_of(layer)
    y = layer(minidl.tensor(IMAGES)).detach().numpy()
    unchanged(layer, before)
    np.testing.assert_allclose(y, formulas.batch_norm(IMAGES), atol=1e-12)
    recorded = (before["running_mean"], before["running_var"])
    y = layer.eval()(minidl.tensor(IMAGES)).detach().numpy()
    np.testing.assert_allclose(y, formulas.batch_norm(IMAGES, None, None, recorded), atol=1e-12)
    unchanged(layer, before)


def test_batch_norm_whose_record_is_turned_on_later_has_none_to_keep():
    layer = made(track_running_stats=False)
    layer.track_running_stats = True
    for mode in (True, False):
        y = layer.train(mode)(minidl.tensor(IMAGES)).detach().numpy()
        np.testing.assert_allclose(y, formulas.batch_norm(IMAGES), atol=1e-12)
    assert layer.running_mean is None and layer.num_batches_tracked is None


def test_batch_norm_without_a_counter_still_records_by_its_momentum():
    layer = made(momentum=0.3)
    layer.num_batches_tracked = None
    mean, var = formulas.running_statistics(
        IMAGES, *(layer.state_dict()[k] for k in ("running_mean", "running_var")), 0.3
    )
    layer(minidl.tensor(IMAGES))
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-13)
    layer.momentum = None  # an average of how many? none is added, as in torch
    before = state_of(layer)
    layer(minidl.tensor(IMAGES))
    unchanged(layer, before)


def test_a_momentum_is_read_at_each_forward():
    layer = made(momentum=0.0)
    before = state_of(layer)
    layer(minidl.tensor(IMAGES))
    np.testing.assert_array_equal(layer.running_mean.numpy(), before["running_mean"])
    layer.momentum = 1.0
    layer(minidl.tensor(IMAGES))
    np.testing.assert_allclose(layer.running_mean.numpy(), IMAGES.mean((0, 2, 3)), rtol=1e-13)
    layer.momentum = None  # the third batch of an average
    layer(minidl.tensor(IMAGES + 3.0))
    expected = IMAGES.mean((0, 2, 3)) + 1.0
    np.testing.assert_allclose(layer.running_mean.numpy(), expected, rtol=1e-13)
    assert layer.num_batches_tracked.item() == 3


def test_a_frozen_batch_norm_still_records():
    layer = made().requires_grad_(False)
    mean = 0.9 * layer.state_dict()["running_mean"] + 0.1 * IMAGES.mean((0, 2, 3))
    layer(minidl.tensor(IMAGES))
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)


def test_evaluation_without_statistics_uses_the_batch_s():
    layer = made().eval()
    layer.running_mean = layer.running_var = None
    y = layer(minidl.tensor(IMAGES)).detach().numpy()
    np.testing.assert_allclose(y, formulas.batch_norm(IMAGES), atol=1e-12)
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_one_statistic_without_the_other_is_refused(kind, training, missing):
    layer = made(kind, track_running_stats=True).train(training)
    setattr(layer, missing, None)
    before = state_of(layer)
    with pytest.raises(ValueError, match="running_mean and running_var must both be given, or neither"):
        layer(minidl.tensor(IMAGES))
    unchanged(layer, before)


def test_instance_norm_without_tracking_uses_its_planes_and_records_while_there_is_a_record():
    """torch's rule: the switch decides whose statistics are used, the buffers whether they are recorded."""
    layer = made(nn.InstanceNorm2d, track_running_stats=True)
    layer.track_running_stats = False
    expected = formulas.instance_norm(IMAGES)
    for mode in (True, False):
        mean = 0.9 * layer.state_dict()["running_mean"] + 0.1 * IMAGES.mean((0, 2, 3))
        y = layer.train(mode)(minidl.tensor(IMAGES)).detach().numpy()
        np.testing.assert_allclose(y, expected, atol=1e-12)
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)
    layer.momentum = None  # no share
    before = state_of(layer)
    layer.train()(minidl.tensor(IMAGES))
    unchanged(layer, before)


def test_instance_norm_that_is_to_use_a_record_it_has_not_says_so():
    layer = made(nn.InstanceNorm2d).eval()
    layer.track_running_stats = True
    with pytest.raises(ValueError, match="evaluation needs running_mean and running_var"):
        layer(minidl.tensor(IMAGES))


# --- other layers -----------------------------------------------------------------------------------------


def image(*shape):
    return minidl.tensor(RNG.normal(size=shape).astype(np.float32))


X = image(2, 4, 6, 6)
#: name: (layer, changes, what the layer then is)
CHANGED = {
    "Dropout": (nn.Dropout(0.0), {"p": 1.0}, lambda m: m * 0),
    "Dropout2d": (nn.Dropout2d(0.0), {"p": 1.0}, lambda m: m * 0),
    "LeakyReLU": (nn.LeakyReLU(), {"negative_slope": 0.5}, lambda m: ops.leaky_relu(m, 0.5)),
    "ELU": (nn.ELU(), {"alpha": 0.5}, lambda m: ops.elu(m, 0.5)),
    "GELU": (nn.GELU(), {"approximate": "tanh"}, lambda m: ops.gelu(m, "tanh")),
    "Softplus": (nn.Softplus(), {"beta": 3.0}, lambda m: ops.softplus(m, 3.0)),
    "Softmax": (nn.Softmax(0), {"dim": 1}, lambda m: ops.softmax(m, 1)),
    "Flatten": (nn.Flatten(), {"start_dim": 2}, lambda m: m.reshape(2, 4, 36)),
    "MaxPool2d": (nn.MaxPool2d(2), {"stride": 1, "ceil_mode": True}, lambda m: ops.max_pool2d(m, 2, 1)),
    "AvgPool2d": (nn.AvgPool2d(2), {"stride": None, "padding": 1}, lambda m: ops.avg_pool2d(m, 2, 2, 1)),
    "AdaptiveAvgPool2d": (
        nn.AdaptiveAvgPool2d(1),
        {"output_size": 2},
        lambda m: ops.adaptive_avg_pool2d(m, 2),
    ),
    "Upsample": (
        nn.Upsample(scale_factor=2),
        {"scale_factor": 3, "mode": "bilinear"},
        lambda m: ops.interpolate(m, scale_factor=3, mode="bilinear"),
    ),
    "GroupNorm": (nn.GroupNorm(2, 4), {"num_groups": 4, "eps": 0.5}, lambda m: ops.group_norm(m, 4, eps=0.5)),
    "LayerNorm": (
        nn.LayerNorm((6, 6)),
        {"normalized_shape": (6,), "weight": None, "bias": None},
        lambda m: ops.layer_norm(m, (6,)),
    ),
    "BatchNorm2d": (
        nn.BatchNorm2d(4),
        {"weight": None, "bias": None, "eps": 0.5},
        lambda m: ops.batch_norm(m, None, None, training=True, eps=0.5),
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_attribute_counts_from_the_next_forward_on(name):
    layer, changes, meant = CHANGED[name]
    for key, value in changes.items():
        setattr(layer, key, value)
    np.testing.assert_array_equal(layer(X).detach().numpy(), meant(X).detach().numpy())


def test_a_changed_convolution_computes_what_its_attributes_say():
    layer = nn.Conv2d(4, 6, 3, bias=True)
    layer.stride, layer.padding, layer.dilation, layer.groups = 2, (1, 0), 2, 2
    layer.weight = nn.Parameter(layer.weight.data[:, :2])
    expected = ops.conv2d(X, layer.weight, layer.bias, 2, (1, 0), 2, 2)
    np.testing.assert_array_equal(layer(X).detach().numpy(), expected.detach().numpy())
    layer.bias, layer.padding, layer.stride = None, "same", 1
    expected = ops.conv2d(X, layer.weight, None, padding="same", dilation=2, groups=2)
    np.testing.assert_array_equal(layer(X).detach().numpy(), expected.detach().numpy())
    layer.padding_mode, layer.padding = "replicate", 2
    expected = ops.conv2d(ops.pad(X, (2, 2, 2, 2), "replicate"), layer.weight, None, 1, 0, 2, 2)
    np.testing.assert_array_equal(layer(X).detach().numpy(), expected.detach().numpy())
    layer.padding_mode = "wrap"
    with pytest.raises(ValueError, match="mode must be one of"):
        layer(X)


def test_a_changed_transposed_convolution_finds_its_output_size():
    layer = nn.ConvTranspose2d(4, 2, 3)
    layer.stride = 2
    assert layer(X, (14, 13)).shape == (2, 2, 14, 13)
    layer.padding_mode = "reflect"
    with pytest.raises(ValueError, match="padding_mode must be zeros, got 'reflect'"):
        layer(X)


BORDERS = [
    ({"padding": (1, 2)}, (2, 2, 1, 1)),
    ({"padding": "same"}, (0, 1, 1, 1)),
    ({"padding": "same", "dilation": 3}, (1, 2, 3, 3)),
    ({"padding": "valid"}, (0, 0, 0, 0)),
]


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(("given", "border"), BORDERS)
def test_the_border_of_a_padding_mode(mode, given, border):
    """(left, right, top, bottom) by hand, for a window of 3 x 2: of an odd number the end gets more."""
    layer = nn.Conv2d(4, 3, (3, 2), padding_mode=mode, **given)
    by_hand = ops.conv2d(
        ops.pad(X, border, mode), layer.weight, layer.bias, dilation=given.get("dilation", 1)
    )
    np.testing.assert_array_equal(layer(X).detach().numpy(), by_hand.detach().numpy())
    assert repr(layer).endswith(f", padding_mode={mode})")


def test_padding_modes_that_are_not_there_are_refused_before_a_weight_is_drawn():
    before = minidl.random.get_state()
    for attempt, message in (
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="wrap"), "Conv2d: padding_mode must be one of zeros, ref"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"),
            "ConvTranspose2d: padding_mode must be one of zeros, got 'reflect'",
        ),
        (lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=-1), "output_padding"),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
    assert minidl.random.get_state() == before


# --- forwards that are refused ----------------------------------------------------------------------------


def zeros(*shape, dtype="float64"):
    return minidl.tensor(np.zeros(shape, dtype))


#: Inputs that a layer of 3 channels in float64 refuses.
WRONG = {
    "a vector": zeros(3),
    "no image": zeros(2, 3),
    "other channels": zeros(2, 5, 4, 4),
    "other channels, one image": zeros(1, 1, 4, 4),
    "another dtype": zeros(2, 3, 4, 4, dtype="float32"),
    "integers": zeros(2, 3, 4, 4, dtype="int64"),
    "one value": zeros(1, 3, 1, 1),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_a_batch_that_is_refused_is_neither_counted_nor_recorded(kind, momentum, wrong):
    layer = made(kind, track_running_stats=True, affine=True, momentum=momentum)
    before, random = state_of(layer), minidl.random.get_state()
    with pytest.raises((TypeError, ValueError)):
        layer(WRONG[wrong])
    unchanged(layer, before)
    assert minidl.random.get_state() == random


@pytest.mark.parametrize("changes", [{"eps": 0.0}, {"eps": -1.0}, {"momentum": "much"}, {"eps": None}])
def test_a_batch_is_not_counted_where_the_layer_itself_is_wrong(changes):
    layer = made()
    for name, value in changes.items():
        setattr(layer, name, value)
    before = state_of(layer)
    with pytest.raises((TypeError, ValueError)):
        layer(minidl.tensor(IMAGES))
    unchanged(layer, before)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_statistics_elsewhere_or_of_integers_are_refused_before_one_is_written_to(kind):
    layer = made(kind, affine=False, track_running_stats=True)
    layer.running_var = layer.running_var.to("cuda_sim")
    before = state_of(layer)
    with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
        layer(minidl.tensor(IMAGES))
    unchanged(layer, before)
    layer.running_var = layer.running_var.cpu().astype("int64")
    before = state_of(layer)
    with pytest.raises(TypeError, match="running_var must be floating-point, got int64"):
        layer(minidl.tensor(IMAGES))
    unchanged(layer, before)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: ops.dropout(zeros(3), 1.5),
        lambda: ops.dropout(zeros(3), 0.5, True, True),
        lambda: ops.dropout(zeros(3, dtype="int64")),
        lambda: ops.dropout2d(zeros(3, 3)),
        lambda: ops.dropout2d(zeros(1, 1, 2, 2), 0.5, True, True),
        lambda: nn.init.uniform_(zeros(3, dtype="int64")),
        lambda: nn.init.normal_(zeros(3, dtype="bool")),
        lambda: nn.init.xavier_uniform_(zeros(3)),
        lambda: nn.init.kaiming_normal_(zeros(3, 3), 0, "fan"),
        lambda: nn.Linear(3, 0),
        lambda: nn.Linear(3, 3, dtype="int64"),
        lambda: nn.Conv2d(3, 3, 3, padding="wide"),
        lambda: nn.ConvTranspose2d(3, 3, 3, output_padding="x"),
    ],
)
def test_what_is_refused_draws_no_random_numbers(attempt):
    before = minidl.random.get_state()
    with pytest.raises((TypeError, ValueError, RuntimeError, NotImplementedError)):
        attempt()
    assert minidl.random.get_state() == before


def test_inplace_is_an_attribute_of_layers_and_refused_of_functions():
    layer = nn.ReLU(True)
    x = minidl.tensor([-1.0, 1.0])
    assert layer.inplace and layer(x).tolist() == [0.0, 1.0] and x.tolist() == [-1.0, 1.0]
    for function in (ops.relu, ops.silu, ops.hardswish, ops.elu, ops.leaky_relu, ops.dropout):
        assert function(x, inplace=False) is not None
        with pytest.raises(NotImplementedError, match=f"{function.__name__}: inplace=True is not there"):
            function(x, inplace=True)
