"""What mutants of the reductions and of max, min and their kin showed to be unchecked."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles.checks import run

X = np.array([[[1.0, 7.0], [5.0, 3.0], [2.0, 6.0]], [[8.0, 0.0], [4.0, 9.0], [11.0, 10.0]]])
REDUCTIONS = ["sum", "mean", "var", "std", "max", "min", "amax", "amin", "argmax", "argmin"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_without_arguments_everything_is_reduced_and_no_dimension_kept(name):
    fn, x = getattr(ops, name), minidl.tensor(X)
    # The twelve numbers are 0 ... 11.
    expected = {"sum": 66, "mean": 5.5, "var": 13, "std": 13**0.5, "argmax": 10, "argmin": 7}
    everything = fn(x)
    assert everything.shape == ()
    assert everything.item() == pytest.approx(expected.get(name, 11 if "max" in name else 0), rel=1e-15)
    along = fn(x, 1)
    for result in along if isinstance(along, tuple) else (along,):
        assert result.shape == (2, 2)
    kept = fn(x, 1, keepdim=True)
    for result in kept if isinstance(kept, tuple) else (kept,):
        assert result.shape == (2, 1, 2)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_every_dimension_can_be_kept(name):
    assert getattr(ops, name)(minidl.tensor(X), keepdim=True).shape == (1, 1, 1)
    assert getattr(ops, name)(minidl.tensor(X), (), True).shape == (1, 1, 1)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_a_position_among_all_can_keep_every_dimension(name):
    assert getattr(ops, name)(minidl.tensor(X), keepdim=True).tolist() == [[[10 if name == "argmax" else 7]]]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_tensors_without_dimensions(name):
    expected = {"var": np.nan, "std": np.nan, "argmax": 0, "argmin": 0}.get(name, 3.0)
    for dim in (None, 0, -1):
        y = getattr(ops, name)(minidl.tensor(3.0), dim)
        for result, wanted in zip(y, (expected, 0), strict=True) if isinstance(y, tuple) else [(y, expected)]:
            assert result.shape == ()
            np.testing.assert_array_equal(result.numpy(), wanted)
    for dim in (1, -2):
        with pytest.raises(IndexError, match=rf"^{name}: "):
            getattr(ops, name)(minidl.tensor(3.0), dim)


def test_the_variance_of_neighbours_among_the_large_numbers():
    """The mean of 2^23 and twice 2^23 + 1 is no float32; their deviations are -2/3, 1/3, 1/3 all the same."""
    x = (2.0**23 + np.array([0, 1, 1])).astype(np.float32)
    variance = ops.var(minidl.tensor(x))
    assert variance.dtype == np.float32
    np.testing.assert_allclose(variance.numpy(), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(ops.std(minidl.tensor(x), correction=0).numpy(), (2 / 9) ** 0.5, rtol=1e-6)


def test_hand_worked_gradients_of_variance_and_deviation():
    # x = (1, 2, 6): mean 3, deviations (-2, -1, 3), squares 14: var 7, std √7, dvar = deviations.
    x, deviations = np.array([1.0, 2.0, 6.0]), np.array([-2.0, -1.0, 3.0])
    y, (gradient,) = run(ops.var, (x,), np.array(5.0))
    assert y == 7.0
    np.testing.assert_allclose(gradient, 5 * deviations, rtol=1e-14)
    y, (gradient,) = run(ops.std, (x,), np.array(2.0))
    np.testing.assert_allclose(gradient, deviations / 7**0.5, rtol=1e-14)
    # n - c = 4 with c = -1.
    y, (gradient,) = run(lambda x: ops.var(x, correction=-1), (x,), np.array(1.0))
    assert y == 3.5
    np.testing.assert_allclose(gradient, deviations / 2, rtol=1e-14)


def test_a_deviation_of_one_is_nothing_special():
    y, (gradient,) = run(lambda x: ops.std(x, correction=0), (np.array([2.0, 4.0]),), np.array(1.0))
    assert y == 1.0
    np.testing.assert_array_equal(gradient, [-0.5, 0.5])


def test_where_the_variance_underflows_the_deviation_and_its_gradient_do_not():
    y, (gradient,) = run(ops.std, (np.array([0.0, 1e-200]),), np.array(1.0))
    np.testing.assert_allclose(y, 0.5**0.5 * 1e-200, rtol=1e-14)
    np.testing.assert_allclose(gradient, [-(0.5**0.5), 0.5**0.5], rtol=1e-14)


def test_where_nothing_deviates_the_gradient_of_the_deviation_is_0():
    y, (gradient,) = run(ops.std, (np.array([3e-200, 3e-200]),), np.array(1.0))
    assert y == 0.0
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


@pytest.mark.parametrize("name", ["var", "std"])
def test_without_degrees_of_freedom_the_gradient_is_no_number(name):
    _, (gradient,) = run(lambda x: getattr(ops, name)(x, 0), (np.array([[1.0, 2.0]]),), np.ones(2))
    assert np.isnan(gradient).all()


def test_dtypes():
    assert ops.sum(minidl.tensor([True, True]), dtype="float32").dtype == np.float32
    # Cast before adding: 200 + 100 is no uint8.
    assert ops.sum(minidl.tensor([200, 100], dtype="uint8")).item() == 300
    assert ops.sum(minidl.tensor([200.0, 100.0]), dtype="int64").item() == 300
    for name in ("sum", "mean", "var", "std", "amax", "max"):
        assert getattr(ops, name)(minidl.tensor([1.0, 2.0], dtype="float32")).dtype == np.float32
    assert ops.max(minidl.tensor([[1, 2]], dtype="int32"), 1).values.dtype == np.int32


@pytest.mark.parametrize("dim", [None, 0, 1])
def test_integers_are_added_as_integers(dim):
    big = 2**53 + 1  # not a float64
    x = minidl.tensor([[big, 0], [0, 0]])
    expected = {None: big, 0: [big, 0], 1: [big, 0]}[dim]
    assert ops.sum(x, dim).tolist() == expected and ops.sum(x.T, dim).tolist() == expected


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "max", "amax", "amin"])
def test_gradients_have_the_dtype_of_the_input(name, create_graph):
    x = minidl.tensor(X, dtype="float32", requires_grad=True)
    (gradient,) = minidl.autograd.grad(getattr(ops, name)(x), x, create_graph=create_graph)
    assert gradient.dtype == np.float32


BAD = {
    "mean integers": (lambda x: ops.mean(x.astype("int64")), TypeError, "int64"),
    "var integers": (lambda x: ops.var(x.astype("int64")), TypeError, "int64"),
    "std integers": (lambda x: ops.std(x.astype("int64")), TypeError, "int64"),
    "var twice spelled": (lambda x: ops.var(x, False, correction=0), TypeError, "not both"),
    "std twice spelled": (lambda x: ops.std(x, unbiased=True, correction=1), TypeError, "not both"),
    "sum dimension": (lambda x: ops.sum(x, 3), IndexError, "(2, 3, 2)"),
    "sum twice": (lambda x: ops.sum(x, (0, -3)), RuntimeError, "twice"),
    "mean dimension": (lambda x: ops.mean(x, (0, -4)), IndexError, "-4"),
    "var dimension": (lambda x: ops.var(x, 3), IndexError, "(2, 3, 2)"),
    "std twice": (lambda x: ops.std(x, (1, 1)), RuntimeError, "twice"),
    "amin twice": (lambda x: ops.amin(x, (1, -2)), RuntimeError, "twice"),
    "max several": (lambda x: ops.max(x, (0, 1)), TypeError, "amax takes several"),
    "min several": (lambda x: ops.min(x, [0]), TypeError, "amin takes several"),
    "argmin several": (lambda x: ops.argmin(x, [0]), TypeError, "[0]"),
    "argmax bools": (lambda x: ops.argmax(x > 0), TypeError, "bool"),
    "max of nothing": (lambda x: ops.max(x[:, :, :0]), IndexError, "(2, 3, 0)"),
    "min of nothing along": (lambda x: ops.min(x[:, :0], 1), IndexError, "(1,)"),
    "amin of nothing": (lambda x: ops.amin(x[:, :0], (0, 1)), IndexError, "(0, 1)"),
    "argmax of nothing": (lambda x: ops.argmax(x[:0]), IndexError, "(0, 3, 2)"),
    "maximum shapes": (lambda x: ops.max(x[0], x[:, 0]), ValueError, "(3, 2) and (2, 2)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_are_named(name):
    fn, kind, named = BAD[name]
    with pytest.raises(kind) as caught:
        fn(minidl.tensor(X))
    assert str(caught.value).startswith(f"{name.split()[0]}: ") and named in str(caught.value)


@pytest.mark.parametrize("name", ["max", "min"])
def test_changed_indices_are_noticed_by_name(name):
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    values, indices = getattr(ops, name)(x, 0)
    indices[...] = 1
    with pytest.raises(RuntimeError, match=rf"^{name}: .*changed in place"):
        values.backward()


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "sum", "mean", "var", "std"])
def test_the_operation_is_watched_under_its_own_name(name):
    seen = []
    with minidl.autograd.watch(lambda function, *_: seen.append(function.operation())):
        getattr(ops, name)(minidl.tensor(X))
        if name in ("max", "min"):
            getattr(ops, name)(minidl.tensor(X), 1)
    assert set(seen) == {name}
