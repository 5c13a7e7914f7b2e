"""Python numbers that a dtype does not hold: computed with, compared with, and written."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import minidl
from minidl import ops


def t(values, dtype="float32"):
    return minidl.tensor(values, dtype=dtype)


FLOATS = {
    "add": (lambda x: x + 1e40, [math.inf] * 3),
    "sub": (lambda x: x - 1e40, [-math.inf] * 3),
    "mul": (lambda x: x * 1e40, [math.inf, -math.inf, math.nan]),
    "mul by an integer": (lambda x: x * 10**40, [math.inf, -math.inf, math.nan]),
    "div": (lambda x: x / 1e40, [0, -0.0, 0]),
    "div of it": (lambda x: 1e40 / x, [math.inf, -math.inf, math.inf]),
    "pow": (lambda x: abs(x) ** 1e40, [1, math.inf, 0]),
    "lt": (lambda x: x < 1e40, [True, True, True]),
    "gt": (lambda x: x > 1e300, [False, False, False]),
    "gt, below all": (lambda x: x > -1e40, [True, True, True]),
    "eq": (lambda x: x == 1e40, [False, False, False]),
    "eq of infinity, since it is rounded first": (lambda x: x * math.inf == 1e40, [True, False, False]),
    "lt of an integer": (lambda x: x < 2**70, [True, True, True]),
    "cast": (lambda x: (x.double() * 1e300).float(), [math.inf, -math.inf, 0]),
}


@pytest.mark.parametrize("what", FLOATS)
def test_a_float_that_float32_does_not_hold_is_infinite_where_it_is_computed_with(what):
    apply, expected = FLOATS[what]
    np.testing.assert_array_equal(apply(t([1.0, -2.0, 0.0])).numpy(), expected)


def test_a_gradient_flows_beside_a_number_that_is_infinite():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    (x + 1e40).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-(2**15), 2**15 - 1)}
LIMITS |= {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
INTEGERS = {
    "add": lambda x, n: x + n,
    "sub": lambda x, n: n - x,
    "mul": lambda x, n: x * n,
    "pow": lambda x, n: n**x,
    "bitwise_and": lambda x, n: x & n,
    "bitwise_or": lambda x, n: n | x,
    "bitwise_xor": lambda x, n: x ^ n,
    "clamp": lambda x, n: x.clamp(0, n),
    "where": lambda x, n: ops.where(x > 1, x, n),
    "full": lambda x, n: minidl.full((2,), n, dtype=x.dtype),
    "pad": lambda x, n: ops.pad(x, (1, 0), value=n),
    "__setitem__": lambda x, n: x.__setitem__(0, n),
    "copy_": lambda x, n: x.copy_(n),
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("operation", INTEGERS)
def test_an_integer_that_the_dtype_does_not_hold_is_refused_by_name(operation, dtype):
    low, high = LIMITS[dtype]
    x = t([1, 2, 3], dtype)
    for n in (high + 1, low - 1, 2**70, -(10**400)):
        with pytest.raises(
            OverflowError, match=f"^{operation}: .* does not fit into {dtype} .{low} to {high}"
        ):
            INTEGERS[operation](x, n)
        assert x.tolist() == [1, 2, 3]
    for n in (high, low):
        INTEGERS[operation](t([1, 1, 1], dtype), n)


def test_the_message_names_the_remedy():
    with pytest.raises(OverflowError) as caught:
        t([1, 2], "uint8") * 256
    assert str(caught.value) == (
        "mul: 256 does not fit into uint8 (0 to 255); use a dtype that holds it, such as int64"
    )
    assert (t([1, 2], "uint8").astype("int64") * 256).tolist() == [256, 512]
    with pytest.raises(OverflowError, match=r"such as float32$"):
        t([1, 2], "int64") * 2**70
    with pytest.raises(OverflowError, match=r"an integer of 3322 bits does not fit into float32 .*38[)]$"):
        t([1.0]) + 10**1000


COMPARISONS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", COMPARISONS)
def test_any_integer_may_be_compared_with_integers(name, dtype):
    compare, (low, high) = COMPARISONS[name], LIMITS[dtype]
    values = [low, 0, 1, high]
    for n in (low - 1, low, 0, 1, high, high + 1, -(2**70), 2**70, 10**400):
        assert compare(t(values, dtype), n).tolist() == [compare(v, n) for v in values]
        assert compare(n, t(values, dtype)).tolist() == [compare(n, v) for v in values]


WRITTEN = {
    "clamp": lambda x, n: x.clamp(max=n),
    "where": lambda x, n: ops.where(x > 1, n, x),
    "full": lambda x, n: minidl.full((2,), n, dtype=x.dtype),
    "pad": lambda x, n: ops.pad(x, (1, 0), value=n),
    "__setitem__": lambda x, n: x.__setitem__(slice(0, 1), n),
    "copy_": lambda x, n: x.copy_(n),
    "init": lambda x, n: minidl.nn.init.constant_(x, n),
}


@pytest.mark.parametrize("operation", WRITTEN)
def test_a_float_that_the_dtype_does_not_hold_is_not_written(operation):
    for n in (1e40, -1e40, 10**40):
        with pytest.raises(
            OverflowError, match=f"^{operation}: .*does not fit into float32.*such as float64"
        ):
            WRITTEN[operation](t([1.0, 2.0]), n)
        WRITTEN[operation](t([1.0, 2.0], "float64"), n)
    for n in (math.inf, -math.inf, math.nan, 3.4e38):
        WRITTEN[operation](t([1.0, 2.0]), n)
    if operation in ("clamp", "where"):  # a float beside integers makes floats of them
        return
    for n in (math.inf, math.nan, 1e30):
        with pytest.raises(OverflowError, match=f"^{operation}: (inf|nan|1e[+]30) does not fit into int64"):
            WRITTEN[operation](t([1, 2], "int64"), n)


def test_numbers_in_lists():
    assert minidl.tensor([1e40, -1e300]).tolist() == [math.inf, -math.inf]
    assert minidl.Tensor([1e40, 1]).tolist() == [math.inf, 1.0]
    assert minidl.tensor([2**70, 0.5]).tolist() == [float(np.float32(2.0**70)), 0.5]
    for numbers, dtype in (([2**63], None), ([300], "uint8"), ([-1], "uint8"), ([1e20], "int64")):
        with pytest.raises(OverflowError, match=r"^tensor: .*; use a dtype that holds the numbers$"):
            minidl.tensor(numbers, dtype=dtype)
    with pytest.raises(ValueError, match=r"^tensor: .*NaN"):
        minidl.tensor([math.nan], dtype="int64")


def test_numbers_in_arrays_are_cast():
    x = minidl.zeros(2)
    x[0] = np.array(1e300)
    x[1:] = minidl.tensor(np.array([-1e300]))
    assert x.tolist() == [math.inf, -math.inf]
    assert x.copy_(np.array([1e300, 1.0])).tolist() == [math.inf, 1.0]
    u = minidl.zeros(3, dtype="uint8")
    assert u.copy_(minidl.tensor([256, 257, -1])).tolist() == [0, 1, 255]
    out = minidl.zeros(1)
    assert ops.mul(minidl.tensor(np.array([1e300])), 1.0, out=out).tolist() == [math.inf]


def test_what_is_no_number_is_refused_by_name():
    x = t([1.0, 2.0])
    for wrong in (np.str_("a"), np.datetime64(0, "s"), np.complex64(1j)):
        with pytest.raises(TypeError, match=r"^add: an operand must be a number"):
            x + wrong
        with pytest.raises(TypeError, match=r"^__setitem__: the value must be a number"):
            x[0] = wrong
    for wrong in ("a", None, 1j, Fraction(1, 2)):
        with pytest.raises(TypeError, match=r"^mul: operands must be tensors, arrays or numbers"):
            ops.mul(x, wrong)
        with pytest.raises(TypeError, match=r"^full: fill_value must be a number"):
            minidl.full((2,), wrong)
