"""conv_transpose2d (E12): the stamping loops, and conv2d's input gradient used as a forward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op, cotangent_for, leaf, run, tolerance


def _case(x_shape, w_shape, **options):
    defaults = {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
    options = defaults | options
    return strategies.Convolution(x_shape, w_shape, True, options, 0, w_shape[1] * options["groups"])


# What few random draws may miss: the up-convolution of a U-Net, output_padding past the stride (allowed
# below the dilation), and a 1x1 kernel whose stride leaves gaps.
UP = _case((2, 4, 3, 2), (4, 2, 2, 2), stride=2)
PAST_THE_STRIDE = _case((1, 2, 1, 2), (2, 1, 1, 2), output_padding=(1, 0), dilation=(2, 1))
GAPS = _case((1, 2, 3, 2), (2, 1, 1, 1), stride=3, output_padding=2, groups=2)
POINTWISE = _case((2, 4, 3, 2), (4, 2, 1, 1), groups=2)


@given(case=strategies.transposed_convolutions())
@example(case=UP)
@example(case=PAST_THE_STRIDE)
@example(case=GAPS)
@example(case=POINTWISE)
def test_against_the_loops(case):
    x, w, *bias = case.arrays()
    check_op(
        lambda *tensors: ops.conv_transpose2d(*tensors, **case.options),
        lambda x, w, *b: loops.conv_transpose2d(x, w, b[0] if b else None, **case.options),
        *(x, w, *bias),
        terms=case.terms,
        second_order=True,
        seed=case.seed,
    )


@given(case=strategies.transposed_convolutions())
def test_linear_in_input_and_in_weight(case):
    x, w, *_ = case.arrays()
    options = case.options
    check_adjoint(
        lambda x: ops.conv_transpose2d(x, minidl.tensor(w), **options), x, terms=case.terms, seed=case.seed
    )
    check_adjoint(
        lambda w: ops.conv_transpose2d(minidl.tensor(x), w, **options), w, terms=case.terms, seed=case.seed
    )


@given(case=strategies.convolutions())
def test_it_is_the_input_gradient_of_conv2d(case):
    """E12 = E11's dL/dx: the same weights, read (filters, channels) here and (channels, filters) there."""
    x, w, *_ = case.arrays()
    y_shape = loops.conv2d(x, w, None, **case.options).shape
    g = cotangent_for(np.zeros(y_shape), case.seed)
    _, (dx,) = run(lambda x: ops.conv2d(x, minidl.tensor(w), **case.options), (x,), g)
    # What the floor of conv2d's shape rule cut off comes back as output_padding.
    geometry = [loops.pair(case.options[name]) for name in ("stride", "padding", "dilation")]
    cut = tuple(
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], *geometry, strict=True)
    )
    forward = ops.conv_transpose2d(minidl.tensor(g), minidl.tensor(w), output_padding=cut, **case.options)
    np.testing.assert_allclose(forward.numpy(), dx, rtol=0, atol=tolerance(np.float64, case.terms, 16))


@given(case=strategies.transposed_convolutions())
@example(case=PAST_THE_STRIDE)
@example(case=GAPS)
def test_second_derivatives(case):
    tensors = [leaf(a) for a in case.arrays()]
    assert minidl.gradgradcheck(
        lambda *t: ops.conv_transpose2d(*t, **case.options) ** 2, tensors, max_elements=3
    )


@pytest.mark.parametrize("kernel", [1, 3])
def test_an_empty_batch(kernel):
    x, w, b = np.zeros((0, 2, 5, 5)), np.ones((2, 3, kernel, kernel)), np.ones(3)
    y, (dx, dw, db) = run(ops.conv_transpose2d, (x, w, b), None)
    assert y.shape == (0, 3, 4 + kernel, 4 + kernel) and dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros(w.shape))
    np.testing.assert_array_equal(db, np.zeros(3))


def test_a_hand_worked_stamp():
    # Two pixels, kernel 3, stride 2: the stamps overlap in one column, 1·30 + 2·10 = 50.
    x, w = np.array([[[[1.0, 2.0]]]]), np.array([[[[10.0, 20.0, 30.0]]]])
    y = ops.conv_transpose2d(minidl.tensor(x), minidl.tensor(w), stride=2)
    np.testing.assert_array_equal(y.numpy()[0, 0], [[10, 20, 50, 40, 60]])


X = (2, 4, 5, 5)
BAD = {
    "input of three dimensions": ((4, 5, 5), (4, 3, 2, 2), {}, "(4, 5, 5)"),
    "weight of three dimensions": (X, (4, 3, 2), {}, "(4, 3, 2)"),
    "channels differ": (X, (3, 3, 2, 2), {}, "(3, 3, 2, 2)"),
    "groups do not divide": (X, (4, 3, 2, 2), {"groups": 3}, "groups"),
    "output padding as large as the stride": (
        X,
        (4, 3, 2, 2),
        {"stride": 2, "output_padding": 2},
        "output_padding",
    ),
    "negative padding": (X, (4, 3, 2, 2), {"padding": -1}, "padding"),
    "negative output padding": (X, (4, 3, 2, 2), {"output_padding": -1}, "output_padding"),
    "padding by name": (X, (4, 3, 2, 2), {"padding": "same"}, "'same'"),
    "an image without pixels": ((2, 4, 0, 5), (4, 3, 2, 2), {}, "(2, 4, 0, 5)"),
    "nothing left": ((1, 4, 1, 1), (4, 3, 2, 2), {"padding": 2}, "(1, 4, 1, 1)"),
    "nothing left in one direction": ((1, 4, 1, 3), (4, 3, 2, 2), {"padding": 1}, "(0, 2)"),
    "stride of zero": (X, (4, 3, 2, 2), {"stride": 0}, "stride"),
    "dilation of zero": (X, (4, 3, 2, 2), {"dilation": 0}, "dilation"),
    "groups of zero": (X, (4, 3, 2, 2), {"groups": 0}, "groups"),
    "a weight without filters": (X, (4, 0, 2, 2), {}, "(4, 0, 2, 2)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    x_shape, w_shape, options, named = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        ops.conv_transpose2d(minidl.tensor(np.zeros(x_shape)), minidl.tensor(np.zeros(w_shape)), **options)
    assert str(caught.value).startswith("conv_transpose2d: ") and named in str(caught.value)


def test_a_bias_of_the_wrong_length():
    x, w = minidl.tensor(np.zeros(X)), minidl.tensor(np.zeros((4, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"^conv_transpose2d: bias .* \(4,\)"):
        ops.conv_transpose2d(x, w, minidl.tensor(np.zeros(4)))
