"""batch_norm, group_norm, instance_norm, layer_norm: by the input's own moments, or by running ones."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import formulas, strategies
from oracles.checks import check_op, run, tolerance

affine = st.sampled_from(["none", "weight", "bias", "both"])
extent = st.integers(1, 3)
#: (N, C), (N, C, L) and (N, C, H, W)
inputs = st.one_of(st.tuples(extent, extent, *(extent,) * k) for k in (0, 1, 2))


def parameters(rng, kind, shape):
    """(weight, bias) as arrays to differentiate, and the positions that they take."""
    weight, bias = strategies.generic(rng, shape), strategies.generic(rng, shape)
    return {
        "none": ((), ()),
        "weight": ((weight,), ("weight",)),
        "bias": ((bias,), ("bias",)),
        "both": ((weight, bias), ("weight", "bias")),
    }[kind]


def check_norm(norm, oracle, x, kind, shape, rng, **options):
    """check_op with weight and bias, where there are any, as further inputs. The standardised values and
    their second derivatives are as large as 1/deviation to some power: `x` must be spread out."""
    arrays, names = parameters(rng, kind, shape)

    def named(f):
        return lambda x, *values: f(x, **dict(zip(names, values, strict=True)))

    check_op(named(norm), named(oracle), x, *arrays, terms=512, second_order=True, **options)


def running(rng, channels):
    return rng.normal(size=channels), rng.uniform(0.5, 2.0, channels)


@given(shape=inputs, kind=affine, seed=strategies.seeds)
@example(shape=(1, 2, 1, 2), kind="both", seed=0)
@example(shape=(2, 3, 1, 1), kind="both", seed=0)
def test_batch_norm_in_training(shape, kind, seed):
    rng = np.random.default_rng(seed)
    if shape[0] * np.prod(shape[2:]) < 2:
        shape = (2, *shape[1:])  # one value for each channel is refused, see below
    x = 1.5 + strategies.separated(rng, shape)
    norm = functools.partial(ops.batch_norm, running_mean=None, running_var=None, training=True, eps=0.1)
    check_norm(norm, functools.partial(formulas.batch_norm, eps=0.1), x, kind, shape[1:2], rng)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@given(shape=inputs, kind=affine, seed=strategies.seeds)
def test_running_statistics_in_evaluation(name, shape, kind, seed):
    rng = np.random.default_rng(seed)
    moments = running(rng, shape[1])

    def norm(x, **given):
        mean, var = (minidl.tensor(m.astype(x.dtype)) for m in moments)
        own = {"training": False} if name == "batch_norm" else {"use_input_stats": False}
        return getattr(ops, name)(x, mean, var, eps=1e-3, **given, **own)

    oracle = functools.partial(getattr(formulas, name), statistics=moments, eps=1e-3)
    check_norm(norm, oracle, strategies.generic(rng, shape), kind, shape[1:2], rng)


@given(groups=extent, run=extent, shape=inputs, kind=affine, seed=strategies.seeds)
@example(groups=3, run=1, shape=(2, 3, 1, 1), kind="both", seed=0)
def test_group_norm(groups, run, shape, kind, seed):
    rng = np.random.default_rng(seed)
    if run * np.prod(shape[2:]) * shape[0] == 1:
        shape = (2, *shape[1:])  # one single value is refused, see below
    x = strategies.separated(rng, (shape[0], groups * run, *shape[2:]))
    check_norm(
        functools.partial(ops.group_norm, num_groups=groups, eps=0.1),
        functools.partial(formulas.group_norm, num_groups=groups, eps=0.1),
        *(x, kind, (groups * run,), rng),
    )


@given(shape=inputs, kind=affine, seed=strategies.seeds)
def test_instance_norm(shape, kind, seed):
    rng = np.random.default_rng(seed)
    if np.prod(shape[2:]) == 1:
        shape = (*shape[:2], 2)  # planes of one value are refused, see below
    x = strategies.separated(rng, shape)
    norm, oracle = (
        functools.partial(ops.instance_norm, eps=0.1),
        functools.partial(formulas.instance_norm, eps=0.1),
    )
    check_norm(norm, oracle, x, kind, shape[1:2], rng)


@given(shape=strategies.shapes(1, 4), axes=st.integers(1, 4), kind=affine, seed=strategies.seeds)
@example(shape=(3, 1), axes=1, kind="both", seed=0)
def test_layer_norm(shape, axes, kind, seed):
    rng = np.random.default_rng(seed)
    row = shape[-axes:]
    check_norm(
        functools.partial(ops.layer_norm, normalized_shape=row, eps=0.1),
        functools.partial(formulas.layer_norm, normalized_shape=row, eps=0.1),
        *(strategies.separated(rng, shape), kind, row, rng),
        extremes=False,  # cutting a row would change normalized_shape; test_no_rows_and_no_places has them
    )


@given(shape=inputs, kind=affine, seed=strategies.seeds)
def test_norms_that_are_one_another(shape, kind, seed):
    """instance_norm is group_norm with a group for each channel, and batch_norm of a single image;
    group_norm with one group is layer_norm of the whole image."""
    rng = np.random.default_rng(seed)
    shape = (*shape[:2], *shape[2:], 2)
    x, c = strategies.generic(rng, shape), shape[1]
    arrays, names = parameters(rng, kind, (c,))
    given = dict(zip(names, map(minidl.tensor, arrays), strict=True))
    t = minidl.tensor(x)
    by_instance = ops.instance_norm(t, **given).numpy()
    np.testing.assert_allclose(ops.group_norm(t, c, **given).numpy(), by_instance, rtol=0, atol=1e-14)
    first = ops.batch_norm(t[:1], None, None, **given, training=True).numpy()
    np.testing.assert_allclose(first, by_instance[:1], rtol=0, atol=1e-11)
    whole = ops.layer_norm(t, shape[1:]).numpy()
    np.testing.assert_allclose(ops.group_norm(t, 1).numpy(), whole, rtol=0, atol=1e-11)


# --- running statistics -------------------------------------------------------------------------------------


@given(shape=inputs, momentum=st.sampled_from([0.1, 0.5, 1.0, 0.0]), seed=strategies.seeds)
def test_running_statistics_move_with_bessels_correction(shape, momentum, seed):
    rng = np.random.default_rng(seed)
    shape = (shape[0] + 1, *shape[1:])
    x, (mean, var) = strategies.generic(rng, shape), running(rng, shape[1])
    tensors = minidl.tensor(mean), minidl.tensor(var)
    ops.batch_norm(minidl.tensor(x), *tensors, training=True, momentum=momentum)
    expected = formulas.running_statistics(x, mean, var, momentum)
    for actual, wanted in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=0, atol=tolerance(np.float64, 64, 16))


@given(shape=inputs, momentum=st.sampled_from([0.1, 1.0]), seed=strategies.seeds)
def test_instance_norm_records_the_mean_of_the_images_statistics(shape, momentum, seed):
    rng = np.random.default_rng(seed)
    shape = (*shape, 2)
    x, (mean, var) = strategies.generic(rng, shape), running(rng, shape[1])
    tensors = minidl.tensor(mean), minidl.tensor(var)
    ops.instance_norm(minidl.tensor(x), *tensors, momentum=momentum)
    each = [formulas.running_statistics(image[None], mean, var, momentum) for image in x]
    for actual, wanted in zip(tensors, np.mean(each, axis=0), strict=True):
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=0, atol=tolerance(np.float64, 64, 16))


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_evaluation_leaves_the_running_statistics_alone(name):
    mean, var = minidl.tensor(np.array([1.0, 2.0])), minidl.tensor(np.array([3.0, 4.0]))
    options = {} if name == "batch_norm" else {"use_input_stats": False}
    getattr(ops, name)(minidl.tensor(np.ones((2, 2, 2, 2))), mean, var, **options)
    np.testing.assert_array_equal(mean.numpy(), [1, 2])
    np.testing.assert_array_equal(var.numpy(), [3, 4])


def test_statistics_that_move_on_do_not_change_a_pending_backward():
    mean, var = minidl.tensor(np.zeros(2)), minidl.tensor(np.full(2, 4.0))
    x = minidl.tensor(np.ones((3, 2)), requires_grad=True)
    y = ops.batch_norm(x, mean, var, eps=0.0)
    ops.batch_norm(minidl.tensor(np.random.default_rng(0).normal(size=(9, 2))), mean, var, training=True)
    assert var.numpy()[0] != 4
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((3, 2), 0.5))


# --- nothing, one pixel, one value --------------------------------------------------------------------------

NORMS = {
    "batch_norm": lambda x: ops.batch_norm(x, None, None, training=True),
    "group_norm": lambda x: ops.group_norm(x, 1),
    "instance_norm": ops.instance_norm,
    "layer_norm": lambda x: ops.layer_norm(x, x.shape[1:]),
}


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 3, 0, 2), (2, 0, 2, 2)])
@pytest.mark.parametrize("name", NORMS)
def test_zero_extents_give_empty_results_and_empty_gradients(name, shape):
    y, (gradient,) = run(NORMS[name], (np.zeros(shape),), None)
    assert y.shape == gradient.shape == shape


def test_no_images_move_no_statistics_and_give_parameters_the_gradient_zero():
    mean, var = minidl.tensor(np.array([5.0, 5.0])), minidl.tensor(np.array([7.0, 7.0]))
    for norm in (functools.partial(ops.batch_norm, training=True), ops.instance_norm):
        weight, bias = (minidl.tensor(np.ones(2), requires_grad=True) for _ in range(2))
        norm(minidl.tensor(np.zeros((0, 2, 3, 3))), mean, var, weight, bias).sum().backward()
        np.testing.assert_array_equal([mean.numpy(), var.numpy()], [[5, 5], [7, 7]])
        np.testing.assert_array_equal([weight.grad.numpy(), bias.grad.numpy()], np.zeros((2, 2)))


@pytest.mark.parametrize(("shape", "row"), [((0, 3), (3,)), ((2, 0), (0,)), ((2, 0, 3), (0, 3))])
def test_no_rows_and_no_places(shape, row):
    y, gradients = run(
        lambda x, w, b: ops.layer_norm(x, row, w, b), (np.zeros(shape), np.ones(row), np.ones(row)), None
    )
    assert y.shape == shape
    assert [g.shape for g in gradients] == [shape, row, row] and not any(g.any() for g in gradients)


def test_a_group_of_one_value_is_zero_plus_bias():
    x, bias = minidl.tensor(np.array([[5.0], [-3.0]])), minidl.tensor(np.array([2.0]))
    for y in (ops.layer_norm(x, (1,), None, bias), ops.group_norm(x, 1, None, bias)):
        np.testing.assert_array_equal(y.numpy(), [[2.0], [2.0]])


# --- in place, refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NORMS)
def test_an_input_that_was_changed_since_is_noticed(name):
    x = minidl.tensor(np.random.default_rng(0).normal(size=(2, 3, 2, 2)), requires_grad=True)
    scaled = x * 2
    y = NORMS[name](scaled)
    with minidl.no_grad():
        scaled[0, 0, 0, 0] = 1.0
    with pytest.raises(RuntimeError, match=f"^{name}: .*changed in place"):
        y.sum().backward()


X = (2, 4, 3, 3)
ONES, TWOS = np.ones(4), np.zeros(4)
BAD = {
    "one value per channel": ("batch_norm", (1, 4, 1, 1), (None, None), {"training": True}, "(1, 4, 1, 1)"),
    "no statistics": ("batch_norm", X, (None, None), {}, "running"),
    "only the mean": ("batch_norm", X, (TWOS, None), {"training": True}, "neither"),
    "only the variance": ("batch_norm", X, (None, ONES), {}, "neither"),
    "a vector": ("batch_norm", (4,), (None, None), {"training": True}, "(4,)"),
    "statistics of other channels": ("batch_norm", X, (np.zeros(3), np.ones(3)), {}, "(3,)"),
    "weight of other channels": ("batch_norm", X, (TWOS, ONES, np.ones(5)), {}, "(5,)"),
    "eps of zero": ("batch_norm", X, (None, None), {"training": True, "eps": 0.0}, "eps"),
    "groups do not divide": ("group_norm", X, (3,), {}, "3"),
    "groups of zero": ("group_norm", X, (0,), {}, "0"),
    "a single value": ("group_norm", (1, 4, 1, 1), (4,), {}, "(1, 4, 1, 1)"),
    "bias of other channels": ("group_norm", X, (2, np.ones(4), np.ones(2)), {}, "(2,)"),
    "planes of one value": ("instance_norm", (2, 4, 1, 1), (), {}, "(2, 4, 1, 1)"),
    "vectors": ("instance_norm", (2, 4), (), {}, "(2, 4)"),
    "no running statistics": ("instance_norm", X, (), {"use_input_stats": False}, "running"),
    "only one statistic": ("instance_norm", X, (TWOS,), {}, "neither"),
    "instances' weight": ("instance_norm", X, (None, None, np.ones(2)), {}, "(2,)"),
    "instances' statistics": ("instance_norm", X, (np.ones(2), np.ones(2)), {}, "(2,)"),
    "another row": ("layer_norm", X, ((4,),), {}, "(4,)"),
    "more axes than there are": ("layer_norm", (3,), ((1, 3),), {}, "(1, 3)"),
    "no axis": ("layer_norm", X, ((),), {}, "()"),
    "weight of another row": ("layer_norm", X, ((3, 3), np.ones(9)), {}, "(9,)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_name_the_op_and_what_is_wrong(name):
    operation, shape, positional, options, named = BAD[name]
    arguments = [minidl.tensor(a) if isinstance(a, np.ndarray) else a for a in positional]
    with pytest.raises(ValueError, match=f"^{operation}: [^\n]*$") as caught:
        getattr(ops, operation)(minidl.tensor(np.zeros(shape)), *arguments, **options)
    assert named in str(caught.value)


@pytest.mark.parametrize("name", NORMS)
def test_integers_and_mixed_dtypes_are_refused(name):
    norm = {
        "batch_norm": lambda x, w=None: ops.batch_norm(x, None, None, w, training=True),
        "group_norm": lambda x, w=None: ops.group_norm(x, 2, w),
        "instance_norm": lambda x, w=None: ops.instance_norm(x, weight=w),
        "layer_norm": lambda x, w=None: ops.layer_norm(x, (4,), w),
    }[name]
    with pytest.raises(TypeError, match=f"^{name}: input must be floating-point, got int64"):
        norm(minidl.tensor(np.zeros((2, 4, 4), int)))
    with pytest.raises(TypeError, match=f"^{name}: weight is float32, but the input float64"):
        norm(minidl.tensor(np.zeros((2, 4, 4))), minidl.tensor(np.ones(4, np.float32)))


@pytest.mark.parametrize("wrong", [3, (2.5,), "3"])
def test_a_row_is_a_tuple_of_integers(wrong):
    with pytest.raises(TypeError, match="layer_norm: normalized_shape"):
        ops.layer_norm(minidl.tensor(np.zeros((2, 3))), wrong)
