"""What mutants of the norms showed to be unchecked: defaults, dtypes, gradients of one operand alone."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import minidl
from minidl import ops

X = np.random.default_rng(0).normal(size=(3, 4, 2, 3))
G = np.random.default_rng(1).normal(size=X.shape)
MEAN, VAR = np.array([0.5, -1.0, 2.0, 0.0]), np.array([0.5, 1.0, 2.0, 4.0])

#: name: (the norm of (x, weight, bias), the shape of weight and bias)
NORMS = {
    "batch_norm": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (4,)),
    "batch_norm in evaluation": (
        lambda x, w, b: ops.batch_norm(x, minidl.tensor(MEAN), minidl.tensor(VAR), w, b),
        (4,),
    ),
    "group_norm": (lambda x, w, b: ops.group_norm(x, 2, w, b), (4,)),
    "instance_norm": (lambda x, w, b: ops.instance_norm(x, None, None, w, b), (4,)),
    "instance_norm in evaluation": (
        lambda x, w, b: ops.instance_norm(
            x, minidl.tensor(MEAN), minidl.tensor(VAR), w, b, use_input_stats=False
        ),
        (4,),
    ),
    "layer_norm": (lambda x, w, b: ops.layer_norm(x, (2, 3), w, b), (2, 3)),
}


def gradients(norm, shape, wanted, create_graph=False):
    """Those of x, weight and bias, None where a gradient is not wanted."""
    rng = np.random.default_rng(2)
    arrays = X, rng.normal(size=shape), rng.normal(size=shape)
    tensors = [minidl.tensor(a, requires_grad=i in wanted) for i, a in enumerate(arrays)]
    norm(*tensors).backward(minidl.tensor(G), create_graph=create_graph)
    return [None if t.grad is None else t.grad.detach().numpy() for t in tensors]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_the_gradient_of_one_operand_does_not_depend_on_the_others_wanting_theirs(name, create_graph):
    """A frozen weight under a learning input, a learning bias on constant data, and so on."""
    norm, shape = NORMS[name]
    of_all = gradients(norm, shape, {0, 1, 2})
    for wanted in ({0}, {1}, {2}, {0, 2}, {1, 2}):
        found = gradients(norm, shape, wanted, create_graph)
        for i, (one, expected) in enumerate(zip(found, of_all, strict=True)):
            assert (one is not None) == (i in wanted)
            if one is not None:
                np.testing.assert_allclose(one, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: ops.batch_norm(x, None, None, training=True),
        lambda x: ops.group_norm(x, 1),
        lambda x: ops.instance_norm(x),
        lambda x: ops.layer_norm(x, (2,)),
    ],
)
def test_eps_is_a_hundred_thousandth_by_default(norm):
    x = minidl.tensor(np.array([[[-1e-3, 1e-3]]]))  # variance 1e-6: eps decides
    expected = 1e-3 / math.sqrt(1e-6 + 1e-5)
    np.testing.assert_allclose(norm(x).numpy(), [[[-expected, expected]]], rtol=1e-13)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_eps_and_momentum_with_running_statistics_by_default(name):
    norm = getattr(ops, name)
    x = minidl.tensor(np.array([[[1.0, 3.0]]]))
    mean, var = minidl.tensor(np.array([0.0])), minidl.tensor(np.array([1e-6]))
    evaluation, training = (
        ({}, {"training": True}) if name == "batch_norm" else ({"use_input_stats": False}, {})
    )
    y = norm(x, mean, var, **evaluation).numpy()
    np.testing.assert_allclose(y, [[[1 / math.sqrt(1.1e-5), 3 / math.sqrt(1.1e-5)]]], rtol=1e-13)
    norm(x, mean, var, **training)
    np.testing.assert_allclose(mean.numpy(), [0.1 * 2], rtol=1e-14)
    np.testing.assert_allclose(var.numpy(), [0.9 * 1e-6 + 0.1 * 2], rtol=1e-14)  # unbiased: (1 + 1) / (2 - 1)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize(("of_x", "of_record"), [("float32", "float64"), ("float64", "float32")])
def test_the_record_keeps_its_dtype_and_the_result_has_the_inputs(name, of_x, of_record):
    x = minidl.tensor(X.astype(of_x))
    mean, var = minidl.tensor(MEAN.astype(of_record)), minidl.tensor(VAR.astype(of_record))
    modes = [{"training": t} if name == "batch_norm" else {"use_input_stats": t} for t in (False, True)]
    for options in modes:
        y = getattr(ops, name)(x, mean, var, momentum=1.0, **options)
        assert y.dtype == of_x and mean.dtype == var.dtype == of_record
    np.testing.assert_allclose(mean.numpy(), X.mean((0, 2, 3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_a_graph_that_holds_the_record_notices_that_it_was_updated(name):
    mean, var = minidl.tensor(np.zeros(4)), minidl.tensor(np.ones(4))
    scale = minidl.tensor(np.ones(4), requires_grad=True)
    y = scale * mean
    getattr(ops, name)(minidl.tensor(X), mean, var, **({"training": True} if name == "batch_norm" else {}))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_no_record_is_kept_where_there_is_none():
    for norm in (functools.partial(ops.batch_norm, training=True), ops.instance_norm):
        y = norm(minidl.tensor(X), None, None).numpy()
        assert np.isfinite(y).all() and y.shape == X.shape


def test_instance_norm_averages_many_images_of_float32_without_drifting():
    """2^18 images of mean 0.1 and variance 0.01: adding one after the other in float32 is off by 2e-3."""
    x = np.tile(np.array([0.0, 0.2], np.float32), (1 << 18, 2, 1))
    mean, var = (minidl.tensor(np.zeros(2, np.float32)) for _ in range(2))
    ops.instance_norm(minidl.tensor(x), mean, var, momentum=1.0)
    np.testing.assert_allclose(mean.numpy(), [0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(var.numpy(), [0.02, 0.02], rtol=1e-6)  # unbiased: (0.01 + 0.01) / (2 - 1)


def test_batch_norm_standardises_many_rows_of_float32_without_drifting():
    """2^18 rows of mean 0.1 and deviation 0.1: with a mean that is off by 2e-3, so is the result."""
    x = np.tile(np.array([[0.0], [0.2]], np.float32), (1 << 17, 2))
    y = ops.batch_norm(minidl.tensor(x), None, None, training=True, eps=1e-12).numpy()
    np.testing.assert_allclose(y, np.where(x > 0, 1, -1), rtol=1e-6)


@pytest.mark.parametrize("layout", ["rows", "pixels, channels last"])
def test_float32_gradients_of_weight_and_bias_do_not_drift(layout):
    """2^18 times 0.1: added one after the other in float32 the sum is off by 2e-3 of itself."""
    weight, bias = (minidl.tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(2))
    signs, tenths = np.ones((512, 512, 2), np.float32), np.full((512, 512, 2), 0.1, np.float32)
    signs[:, ::2] = -1  # standardised as they are
    if layout == "rows":
        signs, tenths = signs.reshape(-1, 2), tenths.reshape(-1, 2)
    else:
        signs, tenths = (a.transpose(2, 0, 1)[None] for a in (signs, tenths))
    y = ops.batch_norm(minidl.Tensor(signs), None, None, weight, bias, training=True, eps=1e-12)
    y.backward(minidl.Tensor(tenths), retain_graph=True)
    exact = 2**18 * float(np.float32(0.1))
    np.testing.assert_allclose(bias.grad.numpy(), [exact, exact], rtol=1e-6)
    weight.grad = None
    y.backward(minidl.Tensor(tenths * signs))
    np.testing.assert_allclose(weight.grad.numpy(), [exact, exact], rtol=1e-6)


@pytest.mark.parametrize("eps", [0.0, -1e-5, math.nan])
def test_batch_norm_takes_an_eps_above_zero_in_training_and_any_in_evaluation(eps):
    with pytest.raises(ValueError, match=f"^batch_norm: eps must be positive in training, got {eps}"):
        ops.batch_norm(minidl.tensor(X), None, None, training=True, eps=eps)
    y = ops.batch_norm(minidl.tensor(X), minidl.tensor(MEAN), minidl.tensor(VAR), eps=eps).numpy()
    column = (1, 4, 1, 1)
    expected = (X - MEAN.reshape(column)) / np.sqrt(VAR.reshape(column) + eps)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)


def test_evaluation_does_not_mind_a_single_value():
    one, statistics = minidl.tensor(np.array([[3.0]])), [minidl.tensor(np.array([v])) for v in (1.0, 4.0)]
    assert ops.batch_norm(one, *statistics, eps=0.0).item() == 1.0
    assert ops.instance_norm(one, *statistics, use_input_stats=False, eps=0.0).item() == 1.0


REFUSED = {
    "groups below zero": (lambda x: ops.group_norm(x, -2), ValueError, "group_norm: num_groups -2 "),
    "more groups than channels": (lambda x: ops.group_norm(x, 8), ValueError, "group_norm: num_groups 8 "),
    "a vector of channels": (
        lambda x: ops.group_norm(x[0, :, 0, 0], 2),
        ValueError,
        r"group_norm: input must be \(N, C, ...\), got shape \(4,\)",
    ),
    "a bias of another dtype": (
        lambda x: ops.group_norm(x, 2, None, minidl.tensor(np.ones(4, np.float32))),
        TypeError,
        "group_norm: bias is float32, but the input float64",
    ),
    "a bias of another row": (
        lambda x: ops.layer_norm(x, (3,), None, minidl.tensor(np.ones(2))),
        ValueError,
        r"layer_norm: bias must have shape \(3,\), got \(2,\)",
    ),
    "a variance of other channels": (
        lambda x: ops.batch_norm(x, minidl.tensor(MEAN), minidl.tensor(np.ones(3))),
        ValueError,
        r"batch_norm: running_var must have shape \(4,\), got \(3,\)",
    ),
    "a mean as a column": (
        lambda x: ops.instance_norm(x, minidl.tensor(MEAN.reshape(4, 1)), minidl.tensor(VAR)),
        ValueError,
        r"instance_norm: running_mean must have shape \(4,\), got \(4, 1\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_operand(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=f"^{message}"):
        call(minidl.tensor(X))


def test_a_row_may_be_a_list_or_of_numpy_integers():
    expected = ops.layer_norm(minidl.tensor(X), (2, 3)).numpy()
    for row in ([2, 3], (np.int64(2), np.int32(3))):
        np.testing.assert_array_equal(ops.layer_norm(minidl.tensor(X), row).numpy(), expected)
