"""unfold (im2col) and fold (col2im): a gather, its adjoint, and conv2d as a product between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op, tolerance


@given(case=strategies.unfoldings())
def test_unfold(case):
    x = case.generic()
    check_op(
        lambda x: ops.unfold(x, **case.options),
        lambda x: loops.unfold(x, **case.options),
        x,
        terms=9,
        second_order=True,
        seed=case.seed,
    )
    check_adjoint(lambda x: ops.unfold(x, **case.options), x, terms=9, seed=case.seed)


@given(case=strategies.unfoldings())
def test_fold(case):
    columns = np.random.default_rng(case.seed).normal(size=strategies.columns_of(case))
    size = case.shape[2:]
    check_op(
        lambda c: ops.fold(c, size, **case.options),
        lambda c: loops.fold(c, size, **case.options),
        columns,
        terms=9,
        second_order=True,
        seed=case.seed,
    )
    check_adjoint(lambda c: ops.fold(c, size, **case.options), columns, terms=9, seed=case.seed)


@given(case=strategies.unfoldings())
def test_fold_is_the_adjoint_of_unfold(case):
    """<unfold(x), c> = <x, fold(c)>."""
    rng = np.random.default_rng(case.seed)
    x, columns = rng.normal(size=case.shape), rng.normal(size=strategies.columns_of(case))
    left = np.vdot(ops.unfold(minidl.tensor(x), **case.options).numpy(), columns)
    right = np.vdot(x, ops.fold(minidl.tensor(columns), case.shape[2:], **case.options).numpy())
    assert abs(left - right) <= tolerance(np.float64, columns.size + 9, 16 * columns.size)


def test_an_empty_batch():
    x = minidl.tensor(np.zeros((0, 2, 4, 4)), requires_grad=True)
    columns = ops.unfold(x, 2)
    assert columns.shape == (0, 8, 9) and ops.fold(columns, 4, 2).shape == x.shape
    columns.sum().backward()
    assert x.grad.shape == x.shape


@given(case=strategies.convolutions())
def test_a_convolution_is_weights_times_columns(case):
    if case.options["groups"] != 1:
        return
    x, w, *_ = case.arrays()
    options = {name: case.options[name] for name in ("dilation", "padding", "stride")}
    columns = ops.unfold(minidl.tensor(x), w.shape[2:], **options)
    y = minidl.tensor(w.reshape(len(w), -1)) @ columns
    expected = loops.conv2d(x, w, **options)
    np.testing.assert_allclose(
        y.numpy().reshape(expected.shape), expected, rtol=0, atol=tolerance(np.float64, case.terms, 16)
    )


IMAGE, COLUMNS = minidl.tensor(np.zeros((1, 1, 4, 4))), minidl.tensor(np.zeros((1, 4, 9)))
BAD = {
    "three dimensions": (lambda: ops.unfold(minidl.tensor(np.zeros((2, 4, 4))), 2), "unfold", "(2, 4, 4)"),
    "no pixels": (
        lambda: ops.unfold(minidl.tensor(np.zeros((1, 1, 0, 4))), 2, padding=1),
        "unfold",
        "(1, 1, 0, 4)",
    ),
    "no channels": (lambda: ops.fold(minidl.tensor(np.zeros((1, 0, 9))), 4, 2), "fold", "(1, 0, 9)"),
    "integers": (lambda: ops.unfold(minidl.tensor(np.zeros((1, 1, 4, 4), int)), 2), "unfold", "int64"),
    "columns of integers": (lambda: ops.fold(minidl.tensor(np.zeros((1, 4, 9), int)), 4, 2), "fold", "int64"),
    "kernel too large": (lambda: ops.unfold(minidl.tensor(np.zeros((1, 1, 4, 4))), 5), "unfold", "5"),
    "negative padding": (
        lambda: ops.unfold(minidl.tensor(np.zeros((1, 1, 4, 4))), 2, padding=-1),
        "unfold",
        "padding",
    ),
    "rows not a multiple": (lambda: ops.fold(minidl.tensor(np.zeros((1, 7, 9))), 4, 2), "fold", "(1, 7, 9)"),
    "wrong number of columns": (
        lambda: ops.fold(minidl.tensor(np.zeros((1, 8, 8))), 4, 2),
        "fold",
        "(1, 8, 8)",
    ),
    "columns of two dimensions": (lambda: ops.fold(minidl.tensor(np.zeros((8, 9))), 4, 2), "fold", "(8, 9)"),
    "stride of zero": (lambda: ops.unfold(IMAGE, 2, stride=0), "unfold", "stride"),
    "dilation of zero": (lambda: ops.unfold(IMAGE, 2, dilation=0), "unfold", "dilation"),
    "kernel of zero": (lambda: ops.unfold(IMAGE, 0), "unfold", "kernel_size"),
    "fold: stride of zero": (lambda: ops.fold(COLUMNS, 4, 2, stride=0), "fold", "stride"),
    "fold: dilation of zero": (lambda: ops.fold(COLUMNS, 4, 2, dilation=0), "fold", "dilation"),
    "fold: negative padding": (lambda: ops.fold(COLUMNS, 4, 2, padding=-1), "fold", "padding"),
    "fold: kernel of zero": (lambda: ops.fold(COLUMNS, 4, 0), "fold", "kernel_size"),
    "fold: to no pixels": (lambda: ops.fold(COLUMNS, (0, 4), 2, padding=1), "fold", "output_size"),
    "fold: kernel too large": (lambda: ops.fold(COLUMNS, 4, 5), "fold", "5 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    call, operation, named = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value).startswith(f"{operation}: ") and named in str(caught.value)
