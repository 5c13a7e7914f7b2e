"""NaN and infinities travel as in torch: the same results are NaN or infinite, forward and backward.

In a training run that diverges they are what one has to go by: where they come from must not depend on tiles,
vectors, or which algorithm a convolution takes.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import strategies
from parity.agreement import MINIDL, TORCH, many

SPECIAL = (np.nan, np.inf, -np.inf)

some = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(SPECIAL)), min_size=1, max_size=3)
dtypes = st.sampled_from([np.float32, np.float64])


def spoiled(array, some):
    """A copy in which some elements are not finite."""
    array = array.copy()
    for place, value in some:
        array.reshape(-1)[place % array.size] = value
    return array


def kinds(array):
    """0 for a number, 1 and -1 for infinities, 2 for NaN."""
    return np.where(np.isnan(array), 2, np.where(np.isinf(array), np.sign(array), 0))


def results(F, line, arrays, spoil_cotangent):
    inputs = [F.tensor(a, requires_grad=True) for a in arrays]
    y = line(F, *inputs)
    g = np.random.default_rng(1).normal(size=tuple(y.shape)).astype(arrays[0].dtype)
    y.backward(F.tensor(spoiled(g, spoil_cotangent)))
    return [y.detach().numpy(), *(tensor.grad.numpy() for tensor in inputs)]


def agree(line, *arrays, cotangent=()):
    """Values and gradients are NaN, infinite or finite in the same places, and the finite ones equal."""
    expected = results(TORCH, line, arrays, cotangent)
    actual = results(MINIDL, line, arrays, cotangent)
    names = ("y", *(f"gradient {i}" for i in range(len(arrays))))
    near = 2e4 * np.finfo(arrays[0].dtype).eps
    for name, one, other in zip(names, actual, expected, strict=True):
        np.testing.assert_array_equal(kinds(one), kinds(other), err_msg=name)
        finite = np.isfinite(other)
        np.testing.assert_allclose(one[finite], other[finite], rtol=near, atol=near, err_msg=name)


# A weight's gradient sums cotangents times pixels. Those of the padding are 0, and NaN times 0 is NaN; but an
# algorithm may as well leave them out of the sum. Of torch's some do, and of minidl's (tests/kernels/cpu say
# what is allowed). So cotangents are spoiled only where nothing is padded.


def _padded(case):
    return np.any(case.options["padding"])


@many
@given(case=strategies.convolutions(), some=some, dtype=dtypes)
def test_conv2d(case, some, dtype):
    x, *others = (a.astype(dtype) for a in case.arrays())
    agree(lambda F, *t: F.conv2d(*t, **case.options), spoiled(x, some), *others)
    if not _padded(case):
        agree(lambda F, *t: F.conv2d(*t, **case.options), x, *others, cotangent=some)


@pytest.mark.parametrize("shape", [(2, 5, 13, 11), (1, 33, 9, 30)])
@given(some=some, dtype=dtypes, padding=st.integers(0, 2))
def test_conv2d_three_by_three(shape, some, dtype, padding):
    """Large enough for several of Winograd's tiles."""
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=s).astype(dtype) for s in (shape, (18, shape[1], 3, 3), (18,)))
    x, *others = arrays
    agree(lambda F, *t: F.conv2d(*t, padding=padding), spoiled(x, some), *others)
    if not padding:
        agree(lambda F, *t: F.conv2d(*t, padding=padding), x, *others, cotangent=some)


@many
@given(case=strategies.transposed_convolutions(), some=some, dtype=dtypes)
def test_conv_transpose2d(case, some, dtype):
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    options = [case.options[name] for name in names]
    x, *others = (a.astype(dtype) for a in case.arrays())

    def line(F, x, w, b=None):
        return F.conv_transpose2d(x, w, b, *options)

    agree(line, x, *others, cotangent=some)
    if not _padded(case):  # input and cotangent have changed parts
        agree(line, spoiled(x, some), *others)


pictures = st.tuples(st.integers(1, 3), st.integers(1, 19), st.integers(2, 9), st.integers(2, 9))


def drawn(shape, dtype, some=()):
    return spoiled(np.random.default_rng(2).normal(size=shape).astype(dtype), some)


@many
@given(shape=pictures, some=some, dtype=dtypes)
def test_relu(shape, some, dtype):
    agree(lambda F, x: F.relu(x), drawn(shape, dtype, some))
    agree(lambda F, x: F.relu(x), drawn(shape, dtype), cotangent=some)


@many
@given(shape=pictures, some=some, dtype=dtypes, kernel=st.integers(1, 2), stride=st.integers(1, 3))
def test_max_pool2d(shape, some, dtype, kernel, stride):
    agree(lambda F, x: F.max_pool2d(x, kernel, stride), drawn(shape, dtype, some))
    agree(lambda F, x: F.max_pool2d(x, kernel, stride), drawn(shape, dtype), cotangent=some)


@many
@given(shape=pictures, some=some, dtype=dtypes, training=st.booleans())
def test_batch_norm(shape, some, dtype, training):
    channels = shape[1]
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(2, channels)).astype(dtype)
    mean, var = rng.normal(size=channels).astype(dtype), rng.uniform(0.5, 2, channels).astype(dtype)

    def line(F, x, w, b):
        running = (F.tensor(mean.copy()), F.tensor(var.copy()))
        return F.batch_norm(x, *running, w, b, training=training)

    agree(line, drawn(shape, dtype, some), weight, bias)
    agree(line, drawn(shape, dtype), weight, bias, cotangent=some)


@many
@given(shape=pictures, some=some, dtype=dtypes)
def test_softmax(shape, some, dtype):
    for name in ("softmax", "log_softmax"):
        agree(lambda F, x, name=name: getattr(F, name)(x, dim=1), drawn(shape, dtype, some))
        agree(lambda F, x, name=name: getattr(F, name)(x, dim=1), drawn(shape, dtype), cotangent=some)


@many
@given(shape=pictures, some=some, dtype=dtypes, reduction=st.sampled_from(["none", "mean", "sum"]))
def test_cross_entropy(shape, some, dtype, reduction):
    labels = np.random.default_rng(4).integers(0, shape[1], (shape[0], *shape[2:]))

    def line(F, x):
        return F.cross_entropy(x, F.tensor(labels), reduction=reduction)

    agree(line, drawn(shape, dtype, some))
    # Of an infinite cotangent torch makes NaN (inf - p inf) where the slope times infinity is meant.
    agree(line, drawn(shape, dtype), cotangent=[(place, np.nan) for place, _ in some])
