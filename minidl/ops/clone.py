"""A copy. Notation: y = x, g the cotangent of y; dx = g."""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Clone(Function):
    """y = x, in memory of its own and in C order."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        return array_module(x).array(x, order="C")

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g

    tensor_backward = backward


def clone(input: Tensor) -> Tensor:
    """The same values in memory of their own, in C order; the gradient passes through.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0])
    >>> y = minidl.ops.clone(x)
    >>> y[0] = 5.0
    >>> x, y
    (tensor([1., 2.]), tensor([5., 2.]))
    """
    return Clone.apply(input)
