"""Normalisations beside torch's, drawn: values, gradients, running statistics, layers, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from oracles.checks import tolerance
from parity.agreement import MINIDL, TORCH, agree, both_raise, many

extent = st.integers(1, 4)
#: (N, C), (N, C, L), (N, C, H, W) and (N, C, D, H, W)
inputs = st.one_of(st.tuples(extent, extent, *(extent,) * k) for k in (0, 1, 2, 3))
affine = st.sampled_from(["none", "weight", "bias", "both"])
epsilons = st.sampled_from([1e-5, 0.1])


def parameters(rng, kind, shape):
    names = {"none": (), "weight": ("weight",), "bias": ("bias",), "both": ("weight", "bias")}[kind]
    return names, [rng.normal(size=shape) for _ in names]


def agree_on_norm(line, x, groups, eps, names, values):
    """`agree`, with weight and bias as further inputs. `groups`: x with a group in each row.

    The standardised values grow with 1/deviation, and what the rounding of x does to them and to their
    gradients with its square: that is the steepness.
    """
    steepness = 4 * max(1.0, float((1 / (groups.var(axis=1) + eps)).max(initial=0.0)))
    agree(
        lambda F, x, *given: line(F, x, **dict(zip(names, given, strict=True))),
        *(x, *values),
        terms=256,
        steepness=steepness,
    )


@many
@given(
    shape=inputs,
    training=st.booleans(),
    kind=affine,
    momentum=st.sampled_from([0.1, 0.7, 1.0, 0.0]),
    eps=epsilons,
    seed=strategies.seeds,
)
@example(shape=(0, 3, 2, 2), training=True, kind="both", momentum=0.1, eps=1e-5, seed=0)
@example(shape=(2, 3, 0, 2), training=True, kind="both", momentum=0.1, eps=1e-5, seed=0)
@example(shape=(0, 3), training=False, kind="both", momentum=0.1, eps=1e-5, seed=0)
def test_batch_norm_and_its_running_statistics(shape, training, kind, momentum, eps, seed):
    rng = np.random.default_rng(seed)
    channels = shape[1]
    if training and shape[0] * np.prod(shape[2:]) == 1:
        shape = (2, *shape[1:])  # refused in both, see below
    mean, var = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    moved: dict[str, list] = {}

    def line(F, x, weight=None, bias=None):
        dtype = np.float64 if "64" in str(x.dtype) else np.float32
        running = F.tensor(mean.astype(dtype)), F.tensor(var.astype(dtype))
        y = F.batch_norm(x, *running, weight, bias, training=training, momentum=momentum, eps=eps)
        moved.setdefault(str(dtype), []).append([r.numpy().copy() for r in running])
        return y

    x = strategies.separated(rng, shape)
    groups = np.moveaxis(x, 1, 0).reshape(channels, x.size // channels)
    agree_on_norm(
        line, x, groups if training and x.size else np.ones((1, 2)), eps, *parameters(rng, kind, channels)
    )
    for dtype, rounding in ((np.float64, 2e-16), (np.float32, 1e-7)):
        theirs, ours = moved[str(dtype)]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=256 * rounding)


@many
@given(
    groups=extent,
    run=st.integers(1, 2),
    shape=inputs,
    kind=affine.filter(lambda kind: kind != "bias"),  # torch's own backward fails: no weight, but a bias
    eps=epsilons,
    seed=strategies.seeds,
)
@example(groups=2, run=1, shape=(0, 1, 2, 2), kind="both", eps=1e-5, seed=0)
@example(groups=2, run=1, shape=(3, 1), kind="both", eps=1e-5, seed=0)
def test_group_norm(groups, run, shape, kind, eps, seed):
    rng = np.random.default_rng(seed)
    if shape[0] * run * np.prod(shape[2:]) == 1:
        shape = (2, *shape[1:])  # refused in both, see below
    x = strategies.separated(rng, (shape[0], groups * run, *shape[2:]))
    agree_on_norm(
        lambda F, x, **given: F.group_norm(x, groups, eps=eps, **given),
        *(x, x.reshape(shape[0] * groups, -1) if x.size else np.ones((1, 2)), eps),
        *parameters(rng, kind, groups * run),
    )


@many
@given(
    shape=inputs,
    own=st.booleans(),
    recorded=st.booleans(),
    kind=affine,
    momentum=st.sampled_from([0.1, 1.0]),
    eps=epsilons,
    seed=strategies.seeds,
)
@example(shape=(0, 3, 2, 2), own=True, recorded=False, kind="none", momentum=0.1, eps=1e-5, seed=0)
@example(shape=(2, 3, 1, 1), own=False, recorded=True, kind="both", momentum=0.1, eps=1e-5, seed=0)
def test_instance_norm_and_its_running_statistics(shape, own, recorded, kind, momentum, eps, seed):
    rng = np.random.default_rng(seed)
    if np.prod(shape[2:]) == 1 and own:
        shape = (*shape[:2], 2)  # refused in both, see below
    mean, var = rng.normal(size=shape[1]), rng.uniform(0.5, 2, shape[1])
    moved: dict[str, list] = {}

    def line(F, x, weight=None, bias=None):
        dtype = np.float64 if "64" in str(x.dtype) else np.float32
        running = (None, None)
        if recorded or not own:
            running = F.tensor(mean.astype(dtype)), F.tensor(var.astype(dtype))
        y = F.instance_norm(x, *running, weight, bias, own, momentum, eps)
        moved.setdefault(str(dtype), []).append([r.numpy().copy() for r in running if r is not None])
        return y

    x = strategies.separated(rng, shape)
    groups = x.reshape(shape[0] * shape[1], -1) if own and x.size else np.ones((1, 2))
    agree_on_norm(line, x, groups, eps, *parameters(rng, kind, shape[1]))
    for dtype, rounding in ((np.float64, 2e-16), (np.float32, 1e-7)):
        theirs, ours = moved[str(dtype)]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=256 * rounding)


@many
@given(
    shape=strategies.shapes(1, 5), axes=st.integers(1, 5), kind=affine, eps=epsilons, seed=strategies.seeds
)
@example(shape=(0, 3), axes=1, kind="both", eps=1e-5, seed=0)
@example(shape=(2, 0), axes=1, kind="both", eps=1e-5, seed=0)
@example(shape=(3, 1), axes=1, kind="both", eps=1e-5, seed=0)
def test_layer_norm(shape, axes, kind, eps, seed):
    rng = np.random.default_rng(seed)
    x, row = strategies.separated(rng, shape), shape[-axes:]
    agree_on_norm(
        lambda F, x, **given: F.layer_norm(x, row, eps=eps, **given),
        *(x, x.reshape(-1, int(np.prod(row))) if x.size else np.ones((1, 2)), eps),
        *parameters(rng, kind, row),
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "instance_norm", "layer_norm"])
def test_what_is_not_finite_spreads_as_far_as_in_torch(name, bad):
    line = {
        "batch_norm": lambda F, x: F.batch_norm(x, None, None, training=True),
        "group_norm": lambda F, x: F.group_norm(x, 2),
        "instance_norm": lambda F, x: F.instance_norm(x),
        "layer_norm": lambda F, x: F.layer_norm(x, (3,)),
    }[name]
    x = np.random.default_rng(0).normal(size=(2, 4, 2, 3))
    x[1, 2, 0, 1] = bad
    ours, theirs = (line(F, F.tensor(x)).numpy() for F in (MINIDL, TORCH))
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    assert 0 < np.isnan(ours).sum() < x.size
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


# --- layers -------------------------------------------------------------------------------------------------

LAYERS = {
    "BatchNorm2d, plain average": (lambda m: m.BatchNorm2d(3, momentum=None), (4, 3, 5, 5)),
    "BatchNorm2d, no statistics": (lambda m: m.BatchNorm2d(3, track_running_stats=False), (4, 3, 5, 5)),
    "GroupNorm, not affine": (lambda m: m.GroupNorm(2, 4, 1e-3, False), (2, 4, 3, 3)),
    "InstanceNorm2d": (lambda m: m.InstanceNorm2d(3), (2, 3, 4, 5)),
    "InstanceNorm2d, one image": (lambda m: m.InstanceNorm2d(3, affine=True), (3, 4, 5)),
    "InstanceNorm2d, of any channels": (lambda m: m.InstanceNorm2d(3, 0.1), (2, 3, 4, 5)),
    "InstanceNorm2d, everything": (lambda m: m.InstanceNorm2d(3, 1e-3, 0.3, True, True), (2, 3, 4, 5)),
    "LayerNorm": (lambda m: m.LayerNorm(5), (2, 4, 5)),
    "LayerNorm, planes": (lambda m: m.LayerNorm([4, 5], 1e-3), (2, 3, 4, 5)),
    "LayerNorm, no bias": (lambda m: m.LayerNorm((4, 5), bias=False), (2, 3, 4, 5)),
    "LayerNorm, plain": (lambda m: m.LayerNorm(5, elementwise_affine=False), (2, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_the_same_state_dict(name):
    make, shape = LAYERS[name]
    ours, theirs = make(minidl.nn).double(), make(torch.nn).double()
    rng = np.random.default_rng(0)
    state = {
        key: rng.uniform(0.5, 2, tuple(value.shape)) if value.dtype == torch.float64 else value.numpy().copy()
        for key, value in theirs.state_dict().items()
    }
    assert list(ours.state_dict()) == list(state), "the keys, in order"
    ours.load_state_dict(state)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    atol = tolerance(np.float64, 256, 64)
    for training in (True, True, False):  # twice, so that the running statistics move on
        ours.train(training)
        theirs.train(training)
        array, g = rng.normal(size=shape), rng.normal(size=shape)
        x, t = minidl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, expected = ours(x), theirs(t)
        y.backward(g)
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=0, atol=atol)
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=0, atol=atol)
        for (key, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=atol, err_msg=key)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=0, atol=atol, err_msg=key)


# --- refusals -----------------------------------------------------------------------------------------------


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


X = (2, 4, 5, 5)
INTEGERS = (np.zeros(X, np.int64),)
MISTAKES = {
    "batch_norm: one value": (lambda F, x: F.batch_norm(x, None, None, training=True), _zeros((1, 4, 1, 1))),
    "batch_norm: no statistics": (lambda F, x: F.batch_norm(x, None, None), _zeros(X)),
    "batch_norm: only the mean": (lambda F, x, m: F.batch_norm(x, m, None, training=True), _zeros(X, (4,))),
    "batch_norm: only the mean, evaluated": (lambda F, x, m: F.batch_norm(x, m, None), _zeros(X, (4,))),
    "batch_norm: statistics": (lambda F, x, m: F.batch_norm(x, m, m), _zeros(X, (3,))),
    "batch_norm: weight": (lambda F, x, w: F.batch_norm(x, None, None, w, training=True), _zeros(X, (3,))),
    "batch_norm: eps": (lambda F, x: F.batch_norm(x, None, None, training=True, eps=0.0), _zeros(X)),
    "batch_norm: integers": (lambda F, x: F.batch_norm(x, None, None, training=True), INTEGERS),
    "group_norm: groups": (lambda F, x: F.group_norm(x, 3), _zeros(X)),
    "group_norm: weight": (lambda F, x, w: F.group_norm(x, 2, w), _zeros(X, (3,))),
    "group_norm: negative groups": (lambda F, x: F.group_norm(x, -2), _zeros(X)),
    "group_norm: one value": (lambda F, x: F.group_norm(x, 4), _zeros((1, 4, 1, 1))),
    "group_norm: a vector": (lambda F, x: F.group_norm(x, 2), _zeros((4,))),
    "group_norm: integers": (lambda F, x: F.group_norm(x, 2), INTEGERS),
    "instance_norm: one value": (lambda F, x: F.instance_norm(x), _zeros((2, 4, 1, 1))),
    "instance_norm: vectors": (lambda F, x: F.instance_norm(x), _zeros((2, 4))),
    "instance_norm: no statistics": (lambda F, x: F.instance_norm(x, use_input_stats=False), _zeros(X)),
    "instance_norm: only the mean": (lambda F, x, m: F.instance_norm(x, m), _zeros(X, (4,))),
    "instance_norm: weight": (lambda F, x, w: F.instance_norm(x, weight=w), _zeros(X, (3,))),
    "instance_norm: integers": (lambda F, x: F.instance_norm(x), INTEGERS),
    "layer_norm: row": (lambda F, x: F.layer_norm(x, (4,)), _zeros(X)),
    "layer_norm: too many axes": (lambda F, x: F.layer_norm(x, (1, *X)), _zeros(X)),
    "layer_norm: no axis": (lambda F, x: F.layer_norm(x, ()), _zeros(X)),
    "layer_norm: an integer": (lambda F, x: F.layer_norm(x, 5), _zeros(X)),
    "layer_norm: weight": (lambda F, x, w: F.layer_norm(x, (5, 5), w), _zeros(X, (25,))),
    "layer_norm: integers": (lambda F, x: F.layer_norm(x, (5,)), INTEGERS),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)


@pytest.mark.parametrize("dtypes", [(np.float64, np.float32), (np.float32, np.float64)])
@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "instance_norm", "layer_norm"])
def test_mixed_dtypes_are_refused(name, dtypes):
    line = {
        "batch_norm": lambda F, x, w: F.batch_norm(x, None, None, w, w, training=True),
        "group_norm": lambda F, x, w: F.group_norm(x, 2, w, w),
        "instance_norm": lambda F, x, w: F.instance_norm(x, None, None, w, w),
        "layer_norm": lambda F, x, w: F.layer_norm(x, (4,), w, w),
    }[name]
    both_raise(line, np.zeros((2, 4, 4), dtypes[0]), np.ones(4, dtypes[1]))


@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 3, 4, 4, 1)])
def test_layers_want_images(shape):
    for module in (torch.nn, minidl.nn):
        tensor = torch.tensor if module is torch.nn else minidl.tensor
        for layer in (module.BatchNorm2d(3), module.InstanceNorm2d(3)):
            with pytest.raises(ValueError, match="input"):
                layer(tensor(np.zeros(shape, np.float32)))
