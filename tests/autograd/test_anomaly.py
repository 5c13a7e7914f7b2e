"""Anomaly mode: the first NaN is named, with its operation and module."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.autograd import Function, detect_anomaly
from minidl.ops.exponential import Log


class Head(nn.Module):
    def forward(self, x):
        return Log.apply(x)  # not x.log(), whose caller is another where operations are counted (make proof)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), Head())

    def forward(self, x):
        return self.body(x) + 1.0


def message(run):
    with pytest.raises(RuntimeError) as caught, detect_anomaly():
        run()
    return str(caught.value)


def test_the_operation_the_module_and_the_line_are_named():
    text = message(lambda: Head()(minidl.tensor([-1.0, 1.0])))
    start = "log: made 1 NaN of 2 values, from inputs without NaN (shapes (2,)), in module Head (Head)"
    assert text.startswith(start)
    assert re.search(r"called at .*test_anomaly\.py:\d+$", text)


def test_the_dotted_name_of_a_module_inside():
    class Negated(Net):
        def forward(self, x):
            return self.body[1](x)

    assert "in module Negated.body.1 (Head)" in message(lambda: Negated()(minidl.tensor([-1.0])))


def test_a_nan_in_the_data_is_not_blamed_on_the_operation():
    text = message(lambda: minidl.tensor([np.nan, 1.0]) * 2)
    assert text.startswith(
        "mul: made 1 NaN of 2 values, its inputs held 1 NaN already: they came with the data"
    )


def test_infinities_that_cancel_are_counted():
    x = minidl.tensor([np.inf, 1.0])
    assert "from inputs without NaN but with 2 infinities" in message(lambda: x - x)


class BadBackward(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g / 0 * 0


def test_a_nan_of_the_backward_names_the_operation_and_where_it_was_made():
    class Bad(nn.Module):
        def forward(self, x):
            return BadBackward.apply(x)

    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    text = message(lambda: Bad()(x).sum().backward())
    assert text.startswith(
        "BadBackwardBackward: the backward made 2 NaN, from cotangents without NaN (shapes (2,))"
    )
    assert "in module Bad (Bad)" in text


def test_sqrt_at_zero_is_found_in_the_backward():
    x = minidl.tensor([0.0], requires_grad=True)
    text = message(lambda: (x.sqrt() * 0.0).sum().backward())
    assert text.startswith("SqrtBackward: the backward made 1 NaN")


def test_off_by_default_and_off_again_afterwards():
    x = minidl.tensor([-1.0])
    assert np.isnan(x.log().item())
    with detect_anomaly(), detect_anomaly(False):
        assert np.isnan(x.log().item())
    with pytest.raises(RuntimeError), detect_anomaly():
        x.log()
    assert np.isnan(x.log().item())


def test_as_a_decorator():
    @detect_anomaly()
    def step(x):
        return x.log()

    for _ in range(2):
        with pytest.raises(RuntimeError, match="log: made 1 NaN"):
            step(minidl.tensor([-1.0]))


def test_nan_that_an_operation_removes_are_no_anomaly():
    class Clean(Function):
        @staticmethod
        def forward(ctx, x):
            return np.nan_to_num(x)

    with detect_anomaly():
        assert Clean.apply(minidl.tensor([np.nan, 2.0])).tolist() == [0.0, 2.0]


def test_modules_work_as_before():
    x = minidl.tensor([[1.0, 2.0]], requires_grad=True)
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    expected = net(x)
    with detect_anomaly():
        actual = net(x)
        actual.sum().backward()
    np.testing.assert_array_equal(actual.numpy(), expected.numpy())


class BadOnTensors(BadBackward):
    @staticmethod
    def tensor_backward(ctx, g):
        return minidl.tensor(np.full(g.shape, np.nan, g.dtype))


def test_a_nan_of_a_backward_on_tensors_is_found_too():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = BadOnTensors.apply(x)
    text = message(lambda: y.backward(minidl.tensor([np.inf, 1.0]), create_graph=True))
    assert text.startswith(
        "BadOnTensorsBackward: the backward made 2 NaN, from cotangents without NaN but with 1 infinities"
    )


def test_a_node_made_before_the_mode_was_on_has_no_place():
    x = minidl.tensor([0.0], requires_grad=True)
    y = (x.sqrt() * 0.0).sum()
    assert message(y.backward).endswith("from cotangents without NaN (shapes (1,))")


def test_only_floating_point_outputs_can_hold_nan_and_only_given_gradients():
    x = minidl.tensor([[1.0, 3.0], [4.0, 2.0]], requires_grad=True)
    with detect_anomaly():
        values, indices = x.max(1)  # the indices are integers
        (values * minidl.tensor([1.0, 2.0])).sum().backward()  # no gradient for the constant
    assert indices.tolist() == [1, 0]
    assert x.grad.tolist() == [[0.0, 1.0], [2.0, 0.0]]


def test_the_innermost_of_three_modules_is_named():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Net()

        def forward(self, x):
            return self.inner(x)

    text = message(lambda: Outer()(minidl.tensor([np.nan])))
    assert text.startswith("relu: made 1 NaN") and "in module Outer.inner.body.0 (ReLU), called" in text


def test_a_forward_that_is_refused_leaves_the_running_statistics_as_they_were():
    x = minidl.tensor(np.full((2, 3, 2, 2), np.nan), requires_grad=True)
    for norm in (ops.batch_norm, ops.instance_norm):
        mean, var = minidl.zeros(3, dtype="float64"), minidl.ones(3, dtype="float64")
        with pytest.raises(RuntimeError, match=norm.__name__), detect_anomaly():
            norm(x, mean, var, None, None, True)
        np.testing.assert_array_equal(mean.numpy(), np.zeros(3))
        np.testing.assert_array_equal(var.numpy(), np.ones(3))
