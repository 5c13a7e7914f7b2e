"""Element-wise operations against torch: dtypes, comparisons, out=, refusals, layers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import minidl
from parity.agreement import MINIDL, TORCH, agree, both_raise
from parity.test_torch_pointwise import WILD

# --- dtypes -------------------------------------------------------------------------------------------------

NAMES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
VALUES = [1, 2.5, True]
RESULTS = {
    "add": lambda F, x, y: F.add(x, y),
    "mul": lambda F, x, y: x * y,
    "div": lambda F, x, y: F.div(x, y),
    "eq": lambda F, x, y: F.eq(x, y),
    "where": lambda F, x, y: F.where(x > 0, x, y),
    "maximum": lambda F, x, y: F.maximum(x, y),
    "clamp": lambda F, x, y: F.clamp(x, y),
    "pow": lambda F, x, y: F.pow(x, y),
}


def dtype_of(tensor):
    return str(tensor.dtype).rpartition(".")[2]


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("dims", [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())])
def test_dtypes_of_two_tensors(name, dims):
    for first in NAMES:
        for second in NAMES:
            if name == "pow" and first == second == "bool":
                continue  # torch has no such power
            arrays = np.ones(dims[0], first), np.ones(dims[1], second)
            results = [RESULTS[name](F, *(F.tensor(a) for a in arrays)) for F in (TORCH, MINIDL)]
            assert dtype_of(results[0]) == dtype_of(results[1]), (first, second)
            np.testing.assert_array_equal(results[1].numpy(), results[0].numpy())


@pytest.mark.parametrize("name", [name for name in RESULTS if name != "maximum"])
@pytest.mark.parametrize("shape", [(2,), ()])
def test_dtypes_of_a_tensor_and_a_number(name, shape):
    for dtype in NAMES:
        for number in VALUES:
            if name in ("pow", "clamp") and dtype == "bool" and number is True:
                continue  # torch has neither
            results = [RESULTS[name](F, F.tensor(np.ones(shape, dtype)), number) for F in (TORCH, MINIDL)]
            assert dtype_of(results[0]) == dtype_of(results[1]), (dtype, number)
            np.testing.assert_allclose(results[1].numpy(), results[0].numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "rsqrt", "sigmoid", "tanh", "abs", "sign", "relu", "neg"]
)
def test_dtypes_of_functions_of_integers(name):
    for dtype in ("uint8", "int32", "int64"):
        results = [getattr(F, name)(F.tensor(np.array([1, 4], dtype))) for F in (TORCH, MINIDL)]
        assert dtype_of(results[0]) == dtype_of(results[1]), dtype
        np.testing.assert_allclose(results[1].numpy(), results[0].numpy(), rtol=1e-6)


LOGIC = {
    "and": lambda F, x, y: x & y,
    "or": lambda F, x, y: F.bitwise_or(x, y),
    "xor": lambda F, x, y: x ^ y,
    "not": lambda F, x, y: ~x,
    "logical_not": lambda F, x, y: F.logical_not(x),
}


@pytest.mark.parametrize("name", LOGIC)
def test_logic(name):
    for first in NAMES[:4]:
        for second in NAMES[:4]:
            arrays = np.array([0, 1, 1, 6]).astype(first), np.array([0, 1, 0, 3]).astype(second)
            results = [LOGIC[name](F, *(F.tensor(a) for a in arrays)) for F in (TORCH, MINIDL)]
            assert dtype_of(results[0]) == dtype_of(results[1]), (first, second)
            np.testing.assert_array_equal(results[1].numpy(), results[0].numpy())


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons_of_all_pairs(name):
    x, y = (a.ravel() for a in np.meshgrid(WILD, WILD))
    expected, actual = (getattr(F, name)(F.tensor(x), F.tensor(y)).numpy() for F in (TORCH, MINIDL))
    np.testing.assert_array_equal(actual, expected)
    for predicate in ("isnan", "isinf", "isfinite"):
        expected, actual = (getattr(F, predicate)(F.tensor(x)).numpy() for F in (TORCH, MINIDL))
        np.testing.assert_array_equal(actual, expected)


# --- out=, and what both refuse -----------------------------------------------------------------------------

OUT = {
    "add": lambda F, x, out: F.add(x, 2, out=out),
    "sub": lambda F, x, out: F.sub(x, 2, out=out),
    "mul": lambda F, x, out: F.mul(x, x, out=out),
    "div": lambda F, x, out: F.div(x, 2, out=out),
    "pow": lambda F, x, out: F.pow(x, 2, out=out),
    "exp": lambda F, x, out: F.exp(x, out=out),
    "log": lambda F, x, out: F.log(x, out=out),
    "sqrt": lambda F, x, out: F.sqrt(x, out=out),
    "abs": lambda F, x, out: F.abs(x, out=out),
    "clamp": lambda F, x, out: F.clamp(x, 0, 1, out=out),
    "maximum": lambda F, x, out: F.maximum(x, 2 * x, out=out),
    "minimum": lambda F, x, out: F.minimum(x, 2 * x, out=out),
}


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "float64"])
@pytest.mark.parametrize("source", ["int64", "float32"])
def test_out_takes_and_refuses_the_same_dtypes(name, dtype, source):
    x, place = np.array([1, 4, 9]).astype(source), np.zeros(3, dtype)
    if name in ("abs", "clamp") and dtype != source and dtype.startswith("float"):
        return  # these two torch only writes into their own dtype
    try:
        expected = OUT[name](TORCH, TORCH.tensor(x), TORCH.tensor(place)).numpy()
    except RuntimeError:
        with pytest.raises(RuntimeError, match=f"{name}: a result of"):
            OUT[name](MINIDL, MINIDL.tensor(x), MINIDL.tensor(place))
        return
    actual = OUT[name](MINIDL, MINIDL.tensor(x), MINIDL.tensor(place)).numpy()
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def _leaf(F, x):
    return F.tensor(np.ones(3), requires_grad=True)


INTEGERS = (np.array([1, 2, 3]),)
FLOATS = (np.ones(3),)
MISTAKES = {
    "add: nothing to add": (lambda F, x: F.add(x, None), FLOATS),
    "sub: bools": (lambda F, x: (x > 1) - (x > 2), FLOATS),
    "sub: from a bool": (lambda F, x: 1 - (x > 2), FLOATS),
    "neg: bools": (lambda F, x: -(x > 1), FLOATS),
    "pow: negative": (lambda F, x: x**-1, INTEGERS),
    "pow: no tensor": (lambda F: F.pow(2, 3), ()),
    "abs: bools": (lambda F, x: F.abs(x > 1), FLOATS),
    "relu: bools": (lambda F, x: F.relu(x > 1), FLOATS),
    "eq: text": (lambda F, x: F.eq(x, "1"), FLOATS),
    "lt: None": (lambda F, x: x < None, FLOATS),
    "ge: shapes": (lambda F, x, y: x >= y, (np.ones(2), np.ones(3))),
    "and: floating-point": (lambda F, x: x & x, FLOATS),
    "not: floating-point": (lambda F, x: ~x, FLOATS),
    "where: condition": (lambda F, x: F.where(x, x, x), FLOATS),
    "where: condition is a bool": (lambda F, x: F.where(True, x, x), FLOATS),
    "where: shapes": (lambda F, x, y: F.where(x > 0, x, y), (np.ones(2), np.ones(3))),
    "clamp: no bounds": (lambda F, x: F.clamp(x), FLOATS),
    "clamp: shapes": (lambda F, x, y: F.clamp(x, y), (np.ones(2), np.ones(3))),
    "maximum: number": (lambda F, x: F.maximum(x, 1.0), FLOATS),
    "minimum: number": (lambda F, x: F.minimum(1.0, x), FLOATS),
    "minimum: shapes": (lambda F, x, y: F.minimum(x, y), (np.ones(2), np.ones(3))),
    "gelu: approximation": (lambda F, x: F.gelu(x, approximate="erf"), FLOATS),
    "prelu: channels": (lambda F, x, w: F.prelu(x, w), (np.ones((2, 3)), np.ones(2))),
    "prelu: matrix": (lambda F, x, w: F.prelu(x, w), (np.ones((2, 3)), np.ones((1, 3)))),
    "prelu: dtypes": (lambda F, x, w: F.prelu(x, w), (np.ones((2, 3)), np.ones(3, np.float32))),
    "dropout: integers": (lambda F, x: F.dropout(x), INTEGERS),
    "dropout: p": (lambda F, x: F.dropout(x, -0.1), FLOATS),
    "dropout2d: p": (lambda F, x: F.dropout2d(x, 1.1), (np.ones((1, 2, 2, 2)),)),
    "dropout2d: a vector": (lambda F, x: F.dropout2d(x), FLOATS),
    "out: input requires a gradient": (lambda F, x: F.exp(_leaf(F, x), out=x), FLOATS),
    "out: out requires a gradient": (lambda F, x: F.exp(x, out=_leaf(F, x)), FLOATS),
    "out: array": (lambda F, x: F.exp(x, out=np.ones(3)), FLOATS),
    **{
        f"{name}: integers": (lambda F, x, name=name: getattr(F, name)(x), INTEGERS)
        for name in ("leaky_relu", "elu", "gelu", "silu", "hardswish", "softplus")
    },
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it will refuse some day
        both_raise(line, *arrays)


@pytest.mark.parametrize("name", ["dropout", "dropout2d"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_where_nothing_is_left_to_chance(name, p, training):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    agree(lambda F, x: getattr(F, name)(x, p, training), x)


# --- layers -------------------------------------------------------------------------------------------------

LAYERS = {
    "ReLU": {},
    "LeakyReLU": {"negative_slope": 0.2},
    "PReLU": {"num_parameters": 3, "init": 0.1},
    "ELU": {"alpha": 1.5},
    "GELU": {"approximate": "tanh"},
    "SiLU": {},
    "Hardswish": {},
    "Softplus": {"beta": 2.0, "threshold": 5.0},
    "Sigmoid": {},
    "Tanh": {},
    "Dropout": {"p": 0.25},
    "Dropout2d": {"p": 0.25},
}


@pytest.mark.parametrize("options", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_torchs_options_defaults_text_and_state(name, options):
    chosen = LAYERS[name] if options else {}
    theirs, ours = getattr(torch.nn, name)(**chosen).eval(), getattr(minidl.nn, name)(**chosen).eval()
    assert repr(ours) == repr(theirs).replace(", inplace=False", "").replace("inplace=False", "")
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(minidl.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert {k: v.tolist() for k, v in ours.state_dict().items()} == {
        k: v.tolist() for k, v in theirs.state_dict().items()
    }


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "conv_transpose2d", "sigmoid", "tanh", "relu", "leaky_relu"]
)
def test_gains(name):
    for param in (None, 0.2):
        expected = torch.nn.init.calculate_gain(name, param)
        assert minidl.nn.init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-15)
    for unknown in ("gelu", "elu"):
        with pytest.raises(ValueError, match="nonlinearity"):
            minidl.nn.init.calculate_gain(unknown)
        with pytest.raises(ValueError, match="nonlinearity"):
            torch.nn.init.calculate_gain(unknown)
