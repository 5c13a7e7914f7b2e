"""Convolution and its relatives against torch, with all options, on drawn configurations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles import placed, strategies, window_strategies
from parity.agreement import agree, both_raise, many


@many
@given(case=strategies.convolutions())
def test_conv2d(case):
    agree(lambda F, *t: F.conv2d(*t, **case.options), *case.arrays(), terms=case.terms)


# torch warns that an even kernel with "same" padding makes a padded copy of the input.
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@many
@given(case=window_strategies.same_convolutions())
def test_conv2d_same(case):
    agree(lambda F, *t: F.conv2d(*t, padding="same", **case.options), *case.arrays(), terms=case.terms)


@given(case=strategies.convolutions())
def test_conv2d_valid(case):
    options = case.options | {"padding": "valid"}
    x, w, *_ = arrays = case.arrays()
    dilation = options["dilation"] if isinstance(options["dilation"], tuple) else (options["dilation"],) * 2
    if any(n < d * (k - 1) + 1 for n, d, k in zip(x.shape[2:], dilation, w.shape[2:], strict=True)):
        both_raise(lambda F, *t: F.conv2d(*t, **options), *arrays)
    else:
        agree(lambda F, *t: F.conv2d(*t, **options), *arrays, terms=case.terms)


@many
@given(case=strategies.transposed_convolutions())
def test_conv_transpose2d(case):
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    options = [case.options[name] for name in names]
    agree(
        lambda F, x, w, b=None: F.conv_transpose2d(x, w, b, *options),
        *case.arrays(),
        terms=case.terms,
    )


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
@given(data=st.data())
def test_an_empty_batch(name, data):
    drawn = strategies.convolutions if name == "conv2d" else strategies.transposed_convolutions
    case = data.draw(drawn())
    x, *others = case.arrays()
    agree(lambda F, *t: getattr(F, name)(*t, **case.options), x[:0], *others)


@many
@given(case=strategies.convolutions())
def test_second_derivatives_of_conv2d(case):
    """The gradient of |dL/dx|^2 + |dL/dw|^2 by x and w, where L is the sum of y^3."""
    x, w, *_ = case.arrays()

    def penalty(F, gradients, x, w):
        y = F.conv2d(x, w, **case.options)
        dx, dw = gradients((y * y * y).sum(), (x, w), create_graph=True)
        return (dx * dx).sum() + (dw * dw).sum()

    ours = [minidl.tensor(a, requires_grad=True) for a in (x, w)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w)]
    penalty(minidl.ops, minidl.autograd.grad, *ours).backward()
    penalty(torch.nn.functional, torch.autograd.grad, *theirs).backward()
    for a, b in zip(ours, theirs, strict=True):
        bound = 64 * case.terms * np.finfo(np.float64).eps * max(1.0, float(b.grad.abs().max()))
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=bound)


@many
@given(case=strategies.unfoldings())
def test_unfold_and_fold(case):
    agree(lambda F, x: F.unfold(x, **case.options), case.generic())
    columns = np.random.default_rng(case.seed).normal(size=strategies.columns_of(case))
    agree(lambda F, c: F.fold(c, case.shape[2:], **case.options), columns)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_layers_with_named_padding(padding):
    theirs = torch.nn.Conv2d(4, 6, (3, 2), padding=padding, dilation=(2, 1), groups=2).double()
    ours = minidl.nn.Conv2d(4, 6, (3, 2), padding=padding, dilation=(2, 1), groups=2)
    ours.weight.data, ours.bias.data = (
        placed.array(p.detach().numpy()) for p in (theirs.weight, theirs.bias)
    )
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 5))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(minidl.tensor(x)).detach().numpy(), expected, rtol=0, atol=1e-13)
    assert f"padding='{padding}'" in repr(ours)
    for nn in (torch.nn, minidl.nn):
        with pytest.raises(ValueError, match=r"padding|Invalid"):
            nn.Conv2d(1, 1, 3, padding="full")
        with pytest.raises(ValueError, match="same"):
            nn.Conv2d(1, 1, 3, stride=2, padding="same")


@pytest.mark.parametrize("size", range(9, 16))
def test_the_output_size_of_a_transposed_layer(size):
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)
    theirs = torch.nn.ConvTranspose2d(2, 3, 2, stride=3)
    ours = minidl.nn.ConvTranspose2d(2, 3, 2, stride=3)
    ours.weight.data, ours.bias.data = (
        placed.array(p.detach().numpy()) for p in (theirs.weight, theirs.bias)
    )
    try:
        expected = theirs(torch.tensor(x), output_size=(size, size)).detach().numpy()
    except ValueError:
        with pytest.raises(ValueError, match="output_size"):
            ours(minidl.tensor(x), output_size=(size, size))
    else:
        y = ours(minidl.tensor(x), output_size=(size, size)).detach().numpy()
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


X, W, T = (2, 4, 5, 5), (6, 4, 3, 3), (4, 2, 3, 3)
ZEROS = np.zeros(X, np.int64)
MISTAKES = {
    "conv2d: dimensions": (lambda F, x, w: F.conv2d(x, w), _zeros((5, 5), W)),
    "conv2d: channels": (lambda F, x, w: F.conv2d(x, w), _zeros((2, 3, 5, 5), W)),
    "conv2d: groups": (lambda F, x, w: F.conv2d(x, w, groups=3), _zeros(X, W)),
    "conv2d: filters": (lambda F, x, w: F.conv2d(x, w, groups=2), _zeros(X, (5, 2, 3, 3))),
    "conv2d: no filters": (lambda F, x, w: F.conv2d(x, w), _zeros(X, (0, 4, 3, 3))),
    "conv2d: kernel": (lambda F, x, w: F.conv2d(x, w, padding=1), _zeros(X, (6, 4, 8, 8))),
    "conv2d: padding": (lambda F, x, w: F.conv2d(x, w, padding=-1), _zeros(X, W)),
    "conv2d: padding in fractions": (lambda F, x, w: F.conv2d(x, w, padding=1.5), _zeros(X, W)),
    "conv2d: padding by another name": (lambda F, x, w: F.conv2d(x, w, padding="full"), _zeros(X, W)),
    "conv2d: same with a stride": (lambda F, x, w: F.conv2d(x, w, stride=2, padding="same"), _zeros(X, W)),
    "conv2d: same on nothing": (lambda F, x, w: F.conv2d(x, w, padding="same"), _zeros((2, 4, 0, 5), W)),
    "conv2d: nothing but padding": (lambda F, x, w: F.conv2d(x, w, padding=2), _zeros((2, 4, 0, 5), W)),
    "conv2d: stride": (lambda F, x, w: F.conv2d(x, w, stride=0), _zeros(X, W)),
    "conv2d: dilation": (lambda F, x, w: F.conv2d(x, w, dilation=0), _zeros(X, W)),
    "conv2d: bias": (lambda F, x, w, b: F.conv2d(x, w, b), _zeros(X, W, (5,))),
    "conv_transpose2d: channels": (lambda F, x, w: F.conv_transpose2d(x, w), _zeros(X, (5, 2, 3, 3))),
    "conv_transpose2d: groups": (lambda F, x, w: F.conv_transpose2d(x, w, groups=3), _zeros(X, T)),
    "conv_transpose2d: bias": (lambda F, x, w, b: F.conv_transpose2d(x, w, b), _zeros(X, T, (4,))),
    "conv_transpose2d: output_padding": (
        lambda F, x, w: F.conv_transpose2d(x, w, output_padding=1),
        _zeros(X, T),
    ),
    "conv_transpose2d: output_padding as large as the stride": (
        lambda F, x, w: F.conv_transpose2d(x, w, stride=2, output_padding=2),
        _zeros(X, T),
    ),
    "conv_transpose2d: negative output_padding": (
        lambda F, x, w: F.conv_transpose2d(x, w, output_padding=-1),
        _zeros(X, T),
    ),
    "conv_transpose2d: padding by name": (
        lambda F, x, w: F.conv_transpose2d(x, w, padding="same"),
        _zeros(X, T),
    ),
    "conv_transpose2d: nothing left": (lambda F, x, w: F.conv_transpose2d(x, w, padding=9), _zeros(X, T)),
    "conv_transpose2d: of nothing": (lambda F, x, w: F.conv_transpose2d(x, w), _zeros((2, 4, 0, 5), T)),
    "unfold: kernel": (lambda F, x: F.unfold(x, 9), _zeros(X)),
    "unfold: no channels": (lambda F, x: F.unfold(x, 2), _zeros((1, 0, 4, 4))),
    "unfold: integers": (lambda F, x: F.unfold(x, 2), (ZEROS,)),
    "fold: columns": (lambda F, x: F.fold(x, 4, 2), _zeros((1, 8, 8))),
    "fold: no channels": (lambda F, x: F.fold(x, 4, 2), _zeros((1, 0, 9))),
    "fold: integers": (lambda F, x: F.fold(x, 4, 2), (np.zeros((1, 4, 9), int),)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)
