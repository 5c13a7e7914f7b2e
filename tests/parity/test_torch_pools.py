"""Pooling and resizing against torch, with all options, on drawn configurations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import strategies, window_strategies
from parity.agreement import agree, both_raise, many


def _disturbed(case, kind):
    """Pixels with ties, or with infinities and NaN among them."""
    rng = np.random.default_rng(case.seed)
    if kind == "generic":
        return case.generic()
    x = rng.integers(-1, 2, case.shape).astype(np.float64)
    if kind == "not finite":
        for value in (-np.inf, np.inf, np.nan):
            x[rng.random(case.shape) < 0.2] = value
    return x


@pytest.mark.parametrize("kind", ["generic", "ties", "not finite"])
@many
@given(case=window_strategies.max_pools())
def test_max_pool2d(kind, case):
    x = _disturbed(case, kind)
    agree(lambda F, x: F.max_pool2d(x, **case.options), x)
    agree(lambda F, x: F.max_pool2d(x, **case.options, return_indices=True)[0], x)
    theirs = torch.nn.functional.max_pool2d(torch.tensor(x), **case.options, return_indices=True)[1]
    ours = minidl.ops.max_pool2d(minidl.tensor(x), **case.options, return_indices=True)[1]
    assert ours.numpy().dtype == theirs.numpy().dtype
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@many
@given(case=window_strategies.unpoolings())
def test_max_unpool2d(case):
    pooling = {k: v for k, v in case.options.items() if k != "output_size"}

    def line(F, x):
        y, indices = F.max_pool2d(x, **pooling, return_indices=True)
        return F.max_unpool2d(y, indices, **case.options)

    agree(line, case.image())


@many
@given(case=window_strategies.unpoolings(overlapping=True))
def test_max_unpool2d_of_what_overlapping_windows_found_has_torchs_values(case):
    """Values only: where an index repeats, torch's gradient counts a pixel more than once."""
    pooling = {k: v for k, v in case.options.items() if k != "output_size"}
    values = []
    for F, x in (
        (torch.nn.functional, torch.tensor(case.image())),
        (minidl.ops, minidl.tensor(case.image())),
    ):
        y, indices = F.max_pool2d(x, **pooling, return_indices=True)
        values.append(F.max_unpool2d(y, indices, **case.options).numpy())
    np.testing.assert_array_equal(*values)


@given(case=window_strategies.unpoolings(), more=st.integers(-4, 4))
def test_max_unpool2d_takes_the_same_output_sizes(case, more):
    pooling = {k: v for k, v in case.options.items() if k != "output_size"}
    if not case.pooling.shape[0]:
        return
    size = (case.size[0] + more, case.size[1])

    def line(F, x):
        y, indices = F.max_pool2d(x, **pooling, return_indices=True)
        return F.max_unpool2d(y, indices, **pooling, output_size=size)

    try:
        line(torch.nn.functional, torch.tensor(case.image()))
    except (ValueError, RuntimeError):
        both_raise(line, case.image())
    else:
        agree(line, case.image())


@many
@given(case=window_strategies.avg_pools())
def test_avg_pool2d(case):
    agree(lambda F, x: F.avg_pool2d(x, **case.options), case.generic())


@many
@given(case=window_strategies.adaptive_pools(empty=False))
def test_adaptive_avg_pool2d(case):
    agree(lambda F, x: F.adaptive_avg_pool2d(x, case.output_size), case.generic(), terms=128)


@given(case=window_strategies.adaptive_pools())
def test_adaptive_avg_pool2d_of_and_to_nothing(case):
    x = case.generic()
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(x), case.output_size)
    if 0 in expected.shape[1:]:  # torch has a forward of nothing, but no backward
        assert minidl.ops.adaptive_avg_pool2d(minidl.tensor(x), case.output_size).shape == expected.shape
    else:
        agree(lambda F, x: F.adaptive_avg_pool2d(x, case.output_size), x, terms=128)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@many
@given(data=st.data())
def test_interpolate(mode, data):
    case = data.draw(window_strategies.resizings(mode))
    x = case.generic()
    if mode == "bicubic" and case.scale and case.size == x.shape[2:] and not case.align_corners:
        # Where a scale such as 1.1 leaves the size as it was, torch's backward copies, although its forward
        # resamples (its own gradcheck says so): only the values can be compared.
        theirs = torch.nn.functional.interpolate(torch.tensor(x), **case.options).numpy()
        ours = minidl.ops.interpolate(minidl.tensor(x), **case.options).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)
    else:
        agree(lambda F, x: F.interpolate(x, **case.options), x, terms=169)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@many
@given(data=st.data())
def test_interpolate_with_infinities_and_nan(mode, data):
    case = data.draw(window_strategies.resizings(mode))
    x = case.generic()
    rng = np.random.default_rng(case.seed)
    x[rng.random(x.shape) < 0.1] = np.inf
    x[rng.random(x.shape) < 0.1] = np.nan
    if mode == "nearest":
        agree(lambda F, x: F.interpolate(x, **case.options), x)
        return
    # A weight of zero times infinity: the libraries need not meet it in the same places, but where the
    # result is finite in both it is the same, and what is far from the disturbance is finite in both.
    clean = np.where(np.isfinite(x), x, 0.0)
    touched = np.where(np.isfinite(x), 0.0, 1.0)
    ours = minidl.ops.interpolate(minidl.tensor(x), **case.options).numpy()
    reach = minidl.ops.interpolate(minidl.tensor(touched), **case.options).numpy()
    expected = torch.nn.functional.interpolate(torch.tensor(clean), **case.options).numpy()
    assert not np.isfinite(ours[reach > 1e-9]).any()
    both = np.isfinite(ours)
    np.testing.assert_allclose(ours[both], expected[both], rtol=0, atol=1e-13)


@given(shape=strategies.shapes(2, 2), factor=st.integers(1, 3), seed=strategies.seeds)
def test_masks_of_bytes_are_resized_alike(shape, factor, seed):
    mask = np.random.default_rng(seed).integers(0, 256, (1, 1, *shape)).astype(np.uint8)
    theirs = torch.nn.functional.interpolate(torch.tensor(mask), scale_factor=factor)
    ours = minidl.ops.interpolate(minidl.tensor(mask), scale_factor=factor)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


LAYERS = {
    "MaxPool2d": (lambda m: m.MaxPool2d(3, 2, 1, 2, ceil_mode=True), (2, 3, 7, 8)),
    "MaxPool2d with indices": (lambda m: m.MaxPool2d(2, None, 0, 1, True), (2, 3, 7, 8)),
    "AvgPool2d": (lambda m: m.AvgPool2d(3, 2, 1, True, False), (2, 3, 7, 8)),
    "AvgPool2d with a divisor": (lambda m: m.AvgPool2d((3, 2), divisor_override=5), (2, 3, 7, 8)),
    "AdaptiveAvgPool2d": (lambda m: m.AdaptiveAvgPool2d((3, None)), (2, 3, 7, 8)),
    "Upsample": (lambda m: m.Upsample(size=(5, 9), mode="bicubic", align_corners=True), (2, 3, 4, 4)),
    "Upsample by a factor": (lambda m: m.Upsample(None, (2.5, 1.5), "bilinear", True), (2, 3, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make, shape = LAYERS[name]
    x = np.random.default_rng(0).normal(size=shape)
    theirs, ours = make(torch.nn)(torch.tensor(x)), make(minidl.nn)(minidl.tensor(x))
    if not isinstance(theirs, tuple):
        theirs, ours = (theirs,), (ours,)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=1e-13)


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


def _unpool(index, **options):
    return lambda F, x: F.max_unpool2d(x, F.tensor(index), 2, **options)


X = (2, 4, 5, 5)
ZEROS = np.zeros(X, np.int64)
MISTAKES = {
    "max_pool2d: padding": (lambda F, x: F.max_pool2d(x, 2, padding=2), _zeros(X)),
    "max_pool2d: dilated padding": (lambda F, x: F.max_pool2d(x, 2, 1, 2, 3), _zeros(X)),
    "max_pool2d: kernel": (lambda F, x: F.max_pool2d(x, 6), _zeros(X)),
    "max_pool2d: dilation": (lambda F, x: F.max_pool2d(x, 2, dilation=5), _zeros(X)),
    "max_pool2d: much too large": (lambda F, x: F.max_pool2d(x, 9, 2, ceil_mode=True), _zeros(X)),
    "max_pool2d: no channels": (lambda F, x: F.max_pool2d(x, 2), _zeros((1, 0, 4, 4))),
    "max_pool2d: no pixels": (lambda F, x: F.max_pool2d(x, 2, 1, 1), _zeros((1, 1, 0, 4))),
    "max_pool2d: booleans": (lambda F, x: F.max_pool2d(x, 2), (np.zeros(X, bool),)),
    "max_unpool2d: index": (_unpool(ZEROS + 100), _zeros(X)),
    "max_unpool2d: negative index": (_unpool(ZEROS - 1), _zeros(X)),
    "max_unpool2d: shapes": (_unpool(ZEROS[:1]), _zeros(X)),
    "max_unpool2d: short integers": (_unpool(ZEROS.astype(np.int32)), _zeros(X)),
    "max_unpool2d: integers": (_unpool(ZEROS), (ZEROS,)),
    "max_unpool2d: size": (_unpool(ZEROS, output_size=(12, 10)), _zeros(X)),
    "max_unpool2d: one size": (_unpool(ZEROS, output_size=10), _zeros(X)),
    "max_unpool2d: no pixels": (_unpool(ZEROS[:, :, :0]), _zeros((2, 4, 0, 5))),
    "avg_pool2d: padding": (lambda F, x: F.avg_pool2d(x, 2, padding=2), _zeros(X)),
    "avg_pool2d: kernel": (lambda F, x: F.avg_pool2d(x, 6), _zeros(X)),
    "avg_pool2d: divisor": (lambda F, x: F.avg_pool2d(x, 2, divisor_override=0), _zeros(X)),
    "avg_pool2d: divisor in fractions": (lambda F, x: F.avg_pool2d(x, 2, divisor_override=1.5), _zeros(X)),
    "avg_pool2d: no channels": (lambda F, x: F.avg_pool2d(x, 2), _zeros((1, 0, 4, 4))),
    "avg_pool2d: short integers": (lambda F, x: F.avg_pool2d(x, 2), (ZEROS.astype(np.int32),)),
    "adaptive_avg_pool2d: negative": (lambda F, x: F.adaptive_avg_pool2d(x, -1), _zeros(X)),
    "adaptive_avg_pool2d: three": (lambda F, x: F.adaptive_avg_pool2d(x, (1, 2, 3)), _zeros(X)),
    "adaptive_avg_pool2d: nothing": (lambda F, x: F.adaptive_avg_pool2d(x, None), _zeros(X)),
    "adaptive_avg_pool2d: fractions": (lambda F, x: F.adaptive_avg_pool2d(x, (1.5, 2)), _zeros(X)),
    "adaptive_avg_pool2d: integers": (lambda F, x: F.adaptive_avg_pool2d(x, 2), (ZEROS,)),
    "adaptive_avg_pool2d: no pixels": (lambda F, x: F.adaptive_avg_pool2d(x, 2), _zeros((1, 1, 0, 4))),
    "interpolate: nothing given": (lambda F, x: F.interpolate(x), _zeros(X)),
    "interpolate: both given": (lambda F, x: F.interpolate(x, 4, 2), _zeros(X)),
    "interpolate: mode": (lambda F, x: F.interpolate(x, 4, mode="cubist"), _zeros(X)),
    "interpolate: corners": (lambda F, x: F.interpolate(x, 4, align_corners=True), _zeros(X)),
    "interpolate: integers": (lambda F, x: F.interpolate(x, 4), (ZEROS,)),
    "interpolate: no channels": (lambda F, x: F.interpolate(x, 4), _zeros((1, 0, 4, 4))),
    "interpolate: no pixels": (lambda F, x: F.interpolate(x, 4), _zeros((1, 1, 0, 4))),
    "interpolate: size of zero": (lambda F, x: F.interpolate(x, 0), _zeros(X)),
    "interpolate: negative size": (lambda F, x: F.interpolate(x, (-1, 2)), _zeros(X)),
    "interpolate: size in fractions": (lambda F, x: F.interpolate(x, (2, 2.5)), _zeros(X)),
    "interpolate: three sizes": (lambda F, x: F.interpolate(x, (1, 2, 3)), _zeros(X)),
    "interpolate: one scale": (lambda F, x: F.interpolate(x, scale_factor=(2,)), _zeros(X)),
    "interpolate: small scale": (lambda F, x: F.interpolate(x, scale_factor=0.1), _zeros(X)),
    "interpolate: negative scale": (lambda F, x: F.interpolate(x, scale_factor=-2), _zeros(X)),
    "interpolate: infinite scale": (lambda F, x: F.interpolate(x, scale_factor=np.inf), _zeros(X)),
    "interpolate: scale in letters": (lambda F, x: F.interpolate(x, scale_factor="2"), _zeros(X)),
    "interpolate: two dimensions": (lambda F, x: F.interpolate(x, 4, mode="bilinear"), _zeros((4, 4))),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)
