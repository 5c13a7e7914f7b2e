"""conv2d against E1's loops, and its backward against E11's three literal forms."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given

import minidl
from minidl import ops
from minidl.kernels.reference import conv2d as reference
from oracles import conv_forms, loops, strategies, window_strategies
from oracles.checks import check_adjoint, check_op, cotangent_for, leaf, run, tolerance


def _case(x_shape, w_shape, **options):
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    return strategies.Convolution(x_shape, w_shape, True, defaults | options, 0, w_shape[0])


# What few random draws may miss: a 1x1 convolution (a matrix product without columns), the same with a stride
# and with padding, a depthwise one, one pixel in and out, and a stride that skips the input's last rows.
POINTWISE = _case((2, 4, 3, 2), (6, 2, 1, 1), groups=2)
POINTWISE_STRIDED = _case((2, 2, 5, 4), (3, 2, 1, 1), stride=2)
POINTWISE_PADDED = _case((1, 2, 2, 3), (3, 2, 1, 1), padding=1)
DEPTHWISE = _case((2, 3, 4, 5), (3, 1, 3, 2), groups=3, padding=1)
ONE_PIXEL = _case((1, 1, 1, 1), (1, 1, 1, 1))
# A 1x1 convolution whose output has the input's size although it reads the padding: every second pixel.
SAME_SIZE_BUT_STRIDED = _case((1, 2, 3, 3), (2, 2, 1, 1), stride=2, padding=1)
SO_VERTICALLY = _case((1, 2, 3, 2), (2, 2, 1, 1), stride=(2, 1), padding=(1, 0))
SO_HORIZONTALLY = _case((1, 2, 2, 3), (2, 2, 1, 1), stride=(1, 2), padding=(0, 1))
SKIPPING = _case((1, 2, 7, 8), (2, 2, 2, 2), stride=(3, 4), dilation=(2, 1))


def _fn(options):
    return lambda *tensors: ops.conv2d(*tensors, **options)


@given(case=strategies.convolutions())
@example(case=POINTWISE)
@example(case=POINTWISE_STRIDED)
@example(case=POINTWISE_PADDED)
@example(case=SAME_SIZE_BUT_STRIDED)
@example(case=SO_VERTICALLY)
@example(case=SO_HORIZONTALLY)
@example(case=DEPTHWISE)
@example(case=ONE_PIXEL)
@example(case=SKIPPING)
def test_against_the_loops(case):
    x, w, *bias = case.arrays()
    check_op(
        _fn(case.options),
        lambda x, w, *b: loops.conv2d(x, w, b[0] if b else None, **case.options),
        *(x, w, *bias),
        terms=case.terms,
        second_order=True,
        seed=case.seed,
    )


@given(case=strategies.convolutions())
def test_linear_in_input_and_in_weight(case):
    x, w, *_ = case.arrays()
    check_adjoint(
        lambda x: ops.conv2d(x, minidl.tensor(w), **case.options), x, terms=case.terms, seed=case.seed
    )
    check_adjoint(
        lambda w: ops.conv2d(minidl.tensor(x), w, **case.options), w, terms=case.terms, seed=case.seed
    )


@given(case=window_strategies.same_convolutions())
def test_same_padding_against_the_loops(case):
    x, w, *bias = case.arrays()
    before, after = window_strategies.frame_of(case)
    check_op(
        lambda *tensors: ops.conv2d(*tensors, padding="same", **case.options),
        lambda x, w, *b: loops.conv2d(
            window_strategies.padded(x, before, after), w, b[0] if b else None, **case.options
        ),
        *(x, w, *bias),
        terms=case.terms,
        second_order=True,
        seed=case.seed,
    )


@given(case=strategies.convolutions())
def test_valid_padding_is_none(case):
    x, w, *_ = (minidl.tensor(a) for a in case.arrays())
    options = case.options | {"padding": "valid"}
    if any(
        n < (k - 1) * d + 1
        for n, k, d in zip(x.shape[2:], w.shape[2:], loops.pair(options["dilation"]), strict=True)
    ):
        with pytest.raises(ValueError, match="conv2d"):
            ops.conv2d(x, w, **options)
    else:
        plain = ops.conv2d(x, w, **(options | {"padding": 0}))
        np.testing.assert_array_equal(ops.conv2d(x, w, **options).numpy(), plain.numpy())


@given(case=strategies.convolutions())
@example(case=POINTWISE)
@example(case=DEPTHWISE)
@example(case=SKIPPING)
def test_second_derivatives(case):
    """A square on top, so that input, weight and cotangent all meet each other."""
    tensors = [leaf(a) for a in case.arrays()]
    assert minidl.gradgradcheck(lambda *t: ops.conv2d(*t, **case.options) ** 2, tensors, max_elements=3)


@given(case=strategies.convolutions())
def test_third_derivatives(case):
    """The gradient's gradient is made of the same three operations, so it goes on for ever."""
    tensors = [leaf(a) for a in case.arrays()]

    def slope(*t):
        y = (ops.conv2d(*t, **case.options) ** 3).sum()
        return minidl.autograd.grad(y, t[0], create_graph=True)

    assert minidl.gradgradcheck(slope, tensors, max_elements=2)


@given(case=strategies.convolutions())
@example(case=POINTWISE)
@example(case=POINTWISE_STRIDED)
@example(case=POINTWISE_PADDED)
@example(case=DEPTHWISE)
@example(case=ONE_PIXEL)
@example(case=SKIPPING)
def test_backward_is_e11_in_its_literal_forms(case):
    x, w, *bias = case.arrays()
    y_shape = loops.conv2d(x, w, None, **case.options).shape
    g = cotangent_for(np.zeros(y_shape), case.seed)
    _, gradients = run(_fn(case.options), (x, w, *bias), g)
    geometry = [loops.pair(case.options[name]) for name in ("stride", "padding", "dilation")]
    groups = case.options["groups"]
    atol = tolerance(np.float64, case.terms, 25 * 25)

    dx = conv_forms.input_gradient(g, w, x.shape, *geometry, groups)
    dw = conv_forms.weight_gradient(g, x, w.shape, *geometry, groups)
    im2col_dx, im2col_dw = conv_forms.im2col_gradients(g, x, w, *geometry, groups)
    np.testing.assert_allclose(gradients[0], dx, rtol=0, atol=atol, err_msg="dx: the full convolution")
    np.testing.assert_allclose(gradients[0], im2col_dx, rtol=0, atol=atol, err_msg="dx: col2im(W^T G)")
    np.testing.assert_allclose(gradients[1], dw, rtol=0, atol=atol, err_msg="dw: the cross-correlation")
    np.testing.assert_allclose(gradients[1], im2col_dw, rtol=0, atol=atol, err_msg="dw: G X_col^T")
    if bias:
        np.testing.assert_allclose(gradients[2], conv_forms.bias_gradient(g), rtol=0, atol=atol)


def test_rows_that_no_window_reached_have_gradient_zero():
    # Extent 6, kernel 2, stride 3: windows at 0 and 3; index 2 and 5 are read by none.
    x = np.random.default_rng(0).normal(size=(1, 1, 6, 6))
    _, (gradient,) = run(lambda x: ops.conv2d(x, minidl.tensor(np.ones((1, 1, 2, 2))), stride=3), (x,), None)
    assert (gradient[0, 0, [2, 5]] == 0).all() and (gradient[0, 0, :, [2, 5]] == 0).all()
    assert (gradient[0, 0][np.ix_([0, 1, 3, 4], [0, 1, 3, 4])] != 0).all()


def test_a_hand_worked_convolution():
    x = np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    w = np.array([[[[1.0, 0], [0, -10]]]])
    y, (dx, dw) = run(ops.conv2d, (x, w), np.array([[[[1.0, 2], [3, 4]]]]))
    np.testing.assert_array_equal(y[0, 0], [[-49, -58], [-76, -85]])  # x[i,j] - 10 x[i+1,j+1]
    np.testing.assert_array_equal(dw[0, 0], [[37, 47], [67, 77]])  # 1·1+2·2+3·4+4·5 = 37, and so on
    np.testing.assert_array_equal(dx[0, 0], [[1, 2, 0], [3, 4 - 10, -20], [0, -30, -40]])


def test_only_the_gradients_asked_for_are_computed():
    x, w = minidl.tensor(np.ones((1, 1, 3, 3))), minidl.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    ops.conv2d(x, w).sum().backward()
    assert x.grad is None and w.grad is not None


@pytest.mark.parametrize("kernel", [1, 3])
def test_an_empty_batch(kernel):
    x, w, b = np.zeros((0, 2, 5, 5)), np.ones((3, 2, kernel, kernel)), np.ones(3)
    y, (dx, dw, db) = run(ops.conv2d, (x, w, b), None)
    assert y.shape == (0, 3, 6 - kernel, 6 - kernel) and dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros(w.shape))
    np.testing.assert_array_equal(db, np.zeros(3))


def test_a_large_input_is_worked_through_in_blocks_with_the_same_result():
    """Big enough for several column blocks in any reasonable block size; checked against shifted products."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 8, 120, 130)), rng.normal(size=(4, 8, 3, 3))
    g = rng.normal(size=(2, 4, 118, 128))
    y, (dx, dw) = run(ops.conv2d, (x, w), g)
    expected, expected_dx, expected_dw = np.zeros(g.shape), np.zeros(x.shape), np.zeros(w.shape)
    for u, v in np.ndindex(3, 3):
        patch = x[:, :, u : u + 118, v : v + 128]
        expected += np.tensordot(patch, w[:, :, u, v], (1, 1)).transpose(0, 3, 1, 2)
        expected_dx[:, :, u : u + 118, v : v + 128] += np.tensordot(g, w[:, :, u, v], (1, 0)).transpose(
            0, 3, 1, 2
        )
        expected_dw[:, :, u, v] = np.tensordot(g, patch, ((0, 2, 3), (0, 2, 3)))
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance(np.float64, 72, 25))
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=tolerance(np.float64, 36, 25))
    np.testing.assert_allclose(dw, expected_dw, rtol=0, atol=tolerance(np.float64, g[:, 0].size, 25))


@pytest.mark.parametrize("rows", [1, 2, 3])
@given(case=strategies.convolutions())
def test_the_cut_into_blocks_changes_nothing_but_rounding(rows, case):
    """The bound on the column matrix set so low that a block holds 1, 2 or 3 rows: the results stay."""
    x, w, *bias = case.arrays()
    whole = run(_fn(case.options), (x, w, *bias), None)
    row_bytes = int(np.prod(w.shape[1:])) * whole[0].shape[3] * x.itemsize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "COLUMN_BYTES", rows * row_bytes)
        cut = run(_fn(case.options), (x, w, *bias), None)
    atol = tolerance(np.float64, case.terms, 25 * 25)
    for actual, expected in zip([cut[0], *cut[1]], [whole[0], *whole[1]], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def test_the_column_matrix_is_never_held_whole():
    """3x3 windows of 32 channels would be 9 times the input. What is held besides input, output and
    gradients is two padded images (one is made while the last is let go) and the stated bound (twice in the
    backward)."""
    x = minidl.tensor(np.ones((2, 32, 160, 160), np.float32), requires_grad=True)
    w = minidl.tensor(np.ones((8, 32, 3, 3), np.float32), requires_grad=True)
    g = np.ones((2, 8, 160, 160), np.float32)
    padded, gradients = 2 * x.data[0].nbytes * 1.03, x.data.nbytes * 2  # dx on its way and dx in .grad
    ops.conv2d(x, w, padding=1).backward(g)  # what is compiled is compiled now
    x.grad = w.grad = None
    tracemalloc.start()
    try:
        y = ops.conv2d(x, w, padding=1)
        _, forward_peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        y.backward(g)
        _, backward_peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    slack = 2**18
    assert forward_peak < g.nbytes + padded + reference.COLUMN_BYTES + slack
    assert backward_peak < g.nbytes + gradients + padded + 2 * reference.COLUMN_BYTES + slack
    columns = 9 * x.data[0].nbytes
    assert columns > forward_peak, "the case is large enough to tell"


X, W = (2, 4, 5, 5), (6, 2, 3, 3)
BAD = {
    "input of three dimensions": ((4, 5, 5), (6, 4, 3, 3), {}, "(4, 5, 5)"),
    "an image without pixels": ((2, 4, 0, 5), (6, 4, 3, 3), {"padding": 2}, "(2, 4, 0, 5)"),
    "same padding with a stride": (X, (6, 4, 3, 3), {"padding": "same", "stride": (1, 2)}, "stride"),
    "a padding of another name": (X, (6, 4, 3, 3), {"padding": "full"}, "'full'"),
    "valid padding, kernel too large": (X, (6, 4, 6, 3), {"padding": "valid"}, "6"),
    "a weight without taps": (X, (6, 4, 0, 3), {}, "(6, 4, 0, 3)"),
    "weight of three dimensions": (X, (6, 4, 3), {}, "(6, 4, 3)"),
    "channels differ": (X, (6, 3, 3, 3), {}, "(6, 3, 3, 3)"),
    "groups do not divide the channels": ((2, 5, 5, 5), W, {"groups": 2}, "groups"),
    "groups do not divide the filters": (X, (5, 2, 3, 3), {"groups": 2}, "groups"),
    "groups of zero": (X, (6, 4, 3, 3), {"groups": 0}, "groups"),
    "kernel larger than the padded input": (X, (6, 4, 8, 3), {"padding": 1}, "8"),
    "dilated kernel larger than the input": (X, (6, 4, 3, 3), {"dilation": 3}, "3"),
    "negative padding": (X, (6, 4, 3, 3), {"padding": -1}, "padding"),
    "stride of zero": (X, (6, 4, 3, 3), {"stride": 0}, "stride"),
    "dilation of zero": (X, (6, 4, 3, 3), {"dilation": 0}, "dilation"),
    "three strides": (X, (6, 4, 3, 3), {"stride": (1, 1, 1)}, "stride"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    x_shape, w_shape, options, named = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        ops.conv2d(minidl.tensor(np.zeros(x_shape)), minidl.tensor(np.zeros(w_shape)), **options)
    assert str(caught.value).startswith("conv2d: ") and named in str(caught.value)


def test_a_bias_of_the_wrong_length():
    x, w = minidl.tensor(np.zeros(X)), minidl.tensor(np.zeros((6, 4, 3, 3)))
    with pytest.raises(ValueError, match=r"^conv2d: bias .* \(5,\)"):
        ops.conv2d(x, w, minidl.tensor(np.zeros(5)))


def test_mixed_dtypes_are_refused_as_torch_does():
    x, w = minidl.tensor(np.zeros(X)), minidl.tensor(np.zeros((6, 4, 3, 3), np.float32))
    with pytest.raises(TypeError, match=r"conv2d.*float32 and float64"):
        ops.conv2d(x, w)
    with pytest.raises(TypeError, match=r"conv2d.*float32 and float64"):  # the bias alone differs
        ops.conv2d(x, minidl.tensor(np.zeros((6, 4, 3, 3))), minidl.tensor(np.zeros(6, np.float32)))
    with pytest.raises(TypeError, match=r"conv2d.*int64"):
        ops.conv2d(minidl.tensor(np.zeros(X, int)), minidl.tensor(np.zeros((6, 4, 3, 3), int)))
