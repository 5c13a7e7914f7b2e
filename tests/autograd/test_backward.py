"""backward() from several tensors at once, and its arguments where torch has them."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.autograd import backward, detect_anomaly, grad


def leaf(*values):
    return minidl.tensor(list(values), requires_grad=True)


def test_gradients_of_several_tensors_are_added():
    x = leaf(1.0, 2.0)
    backward([(x * x).sum(), x.sum()])
    assert x.grad.tolist() == [3.0, 5.0]


def test_each_has_its_cotangent_and_none_stands_for_one():
    x = leaf(1.0, 2.0)
    backward([x * x, x.sum(), x * 3.0], [minidl.tensor([1.0, 10.0]), None, np.array([0.0, 1.0], np.float32)])
    assert x.grad.tolist() == [2.0 + 1.0, 40.0 + 1.0 + 3.0]


def test_what_they_share_is_walked_once():
    x, calls = leaf(2.0), []
    shared = x * x
    shared.register_hook(lambda g: calls.append(g.item()))
    backward((shared.sum(), (shared * 3.0).sum()))
    assert calls == [4.0] and x.grad.tolist() == [16.0]


@pytest.mark.parametrize(
    "cotangent",
    [
        minidl.tensor([1.0, 10.0]),
        np.array([1.0, 10.0], np.float32),
        [1.0, 10.0],
        [minidl.tensor([1.0, 10.0])],
        (np.array([1.0, 10.0]),),
    ],
    ids=lambda c: type(c).__name__,
)
def test_one_tensor_takes_one_cotangent_in_a_list_or_not(cotangent):
    x = leaf(1.0, 2.0)
    backward(x * x, cotangent)
    assert x.grad.tolist() == [2.0, 40.0]


def test_positions_are_torch_s():
    x = leaf(3.0)
    y = x * x * x
    backward(y, None, True)
    backward(y, None, False, True)
    assert x.grad.grad_fn is not None and x.grad.tolist() == [54.0]
    assert grad((x * x).sum(), x, None, None, False, True, True)[0].tolist() == [6.0]
    with pytest.raises(NotImplementedError, match="grad: only_inputs=False"):
        grad((x * x).sum(), x, None, None, False, False)
    with detect_anomaly(True), detect_anomaly(False):
        minidl.tensor([-1.0]).log()


def test_not_as_many_cotangents_as_tensors():
    x = leaf(1.0, 2.0)
    for tensors, given in (
        ([x * 1, x * 2], minidl.tensor([1.0, 1.0])),
        ([x.sum()], []),
        (x * 1, [None, None]),
    ):
        with pytest.raises((ValueError, TypeError), match=r"cotangents|must hold real numbers"):
            backward(tensors, given)
    assert x.grad is None
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        backward([x.sum(), minidl.tensor(1.0)])
    assert x.grad is None
