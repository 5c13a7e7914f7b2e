"""Comparisons and logic: bool tensors, operators, what answers as Python does."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import ops
from oracles import placed, strategies
from oracles.formulas import elementwise

NAN, INF = math.nan, math.inf
COMPARISONS = {
    "eq": (ops.eq, operator.eq),
    "ne": (ops.ne, operator.ne),
    "lt": (ops.lt, operator.lt),
    "le": (ops.le, operator.le),
    "gt": (ops.gt, operator.gt),
    "ge": (ops.ge, operator.ge),
}
LOGIC = {
    "bitwise_and": (ops.bitwise_and, operator.and_),
    "bitwise_or": (ops.bitwise_or, operator.or_),
    "bitwise_xor": (ops.bitwise_xor, operator.xor),
}


@pytest.mark.parametrize("name", COMPARISONS)
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_comparisons(name, shapes, seed):
    fn, scalar = COMPARISONS[name]
    rng = np.random.default_rng(seed)
    choices = np.array([-1.0, -0.0, 0.0, 1.0, NAN, INF, -INF])
    x, y = (rng.choice(choices, shape) for shape in shapes)
    wanted = elementwise(lambda a, b: float(scalar(a, b)), x, y).astype(bool)
    for moved_x in (x, *strategies.memory_orders(x).values()):
        result = fn(minidl.Tensor(moved_x, requires_grad=True), minidl.Tensor(y))
        assert result.dtype == np.bool_ and not result.requires_grad
        np.testing.assert_array_equal(result.numpy(), wanted)
    for left, right in ((minidl.tensor(x), placed.array(y)), (placed.array(x), minidl.tensor(y))):
        for result in (fn(left, right), scalar(left, right)):
            assert isinstance(result, minidl.Tensor)
            np.testing.assert_array_equal(result.numpy(), wanted)
    np.testing.assert_array_equal(getattr(minidl.tensor(x), name)(minidl.tensor(y)).numpy(), wanted)


@pytest.mark.parametrize("name", COMPARISONS)
def test_with_numbers_on_either_side(name):
    fn, scalar = COMPARISONS[name]
    for values in ([1.0, 2.0, 3.0], [1, 2, 3]):
        x = minidl.tensor(values)
        for number in (2, 2.0, 2.5, np.float64(2), np.int64(2), True):
            for result in (fn(x, number), scalar(x, number)):
                assert result.tolist() == [scalar(v, number) for v in values]
            for result in (fn(number, x), scalar(number, x)):
                assert result.tolist() == [scalar(number, v) for v in values]


def test_numbers_are_rounded_to_the_tensors_dtype_first():
    single, double = np.array([0.1], np.float32), np.array([0.1])
    assert (minidl.tensor(single) == 0.1).tolist() == [True]
    assert (minidl.tensor(single) == minidl.tensor(double)).tolist() == [False]
    assert (minidl.tensor(single) == minidl.tensor(np.array(0.1))).tolist() == [True]
    assert (minidl.tensor([1]) == 1.5).tolist() == [False]
    assert (minidl.tensor([True]) == 1).tolist() == [True]


def test_foreign_objects_are_neither_equal_nor_ordered():
    x = minidl.tensor([1.0, 2.0])
    for other in (None, "x", [1.0, 2.0], (1.0, 2.0), object(), {}):
        assert (x == other) is False and (other == x) is False
        assert (x != other) is True and (other != x) is True
        for compare in (operator.lt, operator.le, operator.gt, operator.ge):
            with pytest.raises(TypeError, match="not supported between"):
                compare(x, other)
        for name, (fn, _) in COMPARISONS.items():
            with pytest.raises(TypeError, match=f"{name}: operands must be tensors, arrays or numbers"):
                fn(x, other)


def test_at_least_one_operand_is_a_tensor():
    for name, (fn, _) in COMPARISONS.items():
        with pytest.raises(TypeError, match=f"{name}: at least one operand must be a tensor"):
            fn(1.0, 2)


@pytest.mark.parametrize("name", [*COMPARISONS, *LOGIC])
def test_shapes_that_do_not_broadcast_are_named(name):
    fn, scalar = (COMPARISONS | LOGIC)[name]
    for call in (fn, scalar):
        with pytest.raises(ValueError, match=rf"{name}: shapes \(2, 3\) and \(4, 3\) do not broadcast"):
            call(minidl.tensor(np.zeros((2, 3), bool)), minidl.tensor(np.zeros((4, 3), bool)))


def test_tensors_stay_keys_of_dictionaries_by_identity():
    x, y = minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 2.0])
    table = {x: "x", y: "y"}
    assert table[x] == "x" and table[y] == "y" and len({x, y, x}) == 2
    assert x in {x} and y not in {x}


def test_a_comparison_of_several_elements_has_no_truth_value():
    x = minidl.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="2 elements"):
        bool(x == x)
    assert minidl.tensor([1.0]) == 1 and not minidl.tensor([1.0]) > 1


@pytest.mark.parametrize("name", LOGIC)
@given(shapes=strategies.broadcastable(), seed=strategies.seeds)
def test_logic_of_bools(name, shapes, seed):
    fn, scalar = LOGIC[name]
    rng = np.random.default_rng(seed)
    x, y = (rng.random(shape) < 0.5 for shape in shapes)
    wanted = elementwise(lambda a, b: float(scalar(bool(a), bool(b))), x, y).astype(bool)
    pair = minidl.tensor(x), minidl.tensor(y)
    arrays = placed.array(x), placed.array(y)
    for result in (fn(*pair), scalar(*pair), scalar(arrays[0], pair[1]), scalar(pair[0], arrays[1])):
        assert isinstance(result, minidl.Tensor) and result.dtype == np.bool_
        np.testing.assert_array_equal(result.numpy(), wanted)


@pytest.mark.parametrize("name", LOGIC)
def test_logic_of_integers_is_bit_by_bit_and_takes_numbers(name):
    fn, scalar = LOGIC[name]
    x = [0b1100, 0b1010, -1]
    assert fn(minidl.tensor(x), minidl.tensor([6, 6, 6])).tolist() == [scalar(v, 6) for v in x]
    assert scalar(minidl.tensor(x), 6).tolist() == scalar(6, minidl.tensor(x)).tolist()
    assert scalar(minidl.tensor([True, False]), True).tolist() == [scalar(v, True) for v in (True, False)]
    assert fn(minidl.tensor([True, False]), minidl.tensor([2, 3])).dtype == np.int64


@pytest.mark.parametrize("name", LOGIC)
def test_logic_of_floating_point_numbers_is_refused(name):
    fn, scalar = LOGIC[name]
    floating = minidl.tensor([1.0])
    for pair in ((floating, floating), (minidl.tensor([True]), floating), (minidl.tensor([True]), 1.0)):
        for call in (fn, scalar):
            with pytest.raises(TypeError, match=f"{name}: operands must be bools or integers"):
                call(*pair)


def test_not():
    assert (~minidl.tensor([True, False])).tolist() == [False, True]
    assert ops.bitwise_not(minidl.tensor([0, 5])).tolist() == [-1, -6]
    with pytest.raises(TypeError, match="bitwise_not: input must be of bools or integers, got float32"):
        ~minidl.tensor([1.0])
    for values in ([0.0, -0.0, 2.0, NAN], [0, 1], [True, False]):
        x = minidl.tensor(values)
        assert ops.logical_not(x).tolist() == x.logical_not().tolist() == [not v for v in values]


def test_what_is_finite():
    values = [1.0, NAN, INF, -INF, 0.0]
    x = minidl.tensor(values)
    assert ops.isnan(x).tolist() == x.isnan().tolist() == [math.isnan(v) for v in values]
    assert ops.isinf(x).tolist() == x.isinf().tolist() == [math.isinf(v) for v in values]
    assert ops.isfinite(x).tolist() == x.isfinite().tolist() == [math.isfinite(v) for v in values]
    for fn, answer in ((ops.isnan, False), (ops.isinf, False), (ops.isfinite, True)):
        assert fn(minidl.tensor([1, 2])).tolist() == [answer, answer]
        assert fn(minidl.tensor(np.zeros((0, 2)))).shape == (0, 2)


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not", "bitwise_not"])
def test_numbers_are_no_tensors(name):
    with pytest.raises(TypeError, match=f"{name}: input must be a tensor"):
        getattr(ops, name)(1.0)


@pytest.mark.parametrize("name", COMPARISONS)
def test_empty_tensors_pass_through(name):
    none, one = minidl.tensor(np.zeros((0, 3))), minidl.tensor(np.zeros((1, 3)))
    assert COMPARISONS[name][0](none, one).shape == (0, 3)
