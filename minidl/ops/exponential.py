"""Exponential and natural logarithm, element by element. Notation: y is the output, g its cotangent."""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Exp(Function):
    """y = e^x;  dx = g y."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        y = array_module(x).exp(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g * y


class Log(Function):
    """y = ln x;  dx = g / x."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.save(x)
        return array_module(x).log(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return g / x


def exp(x: Tensor) -> Tensor:
    """e to the power of each element.

    >>> import minidl
    >>> minidl.ops.exp(minidl.tensor([0.0, 1.0]))
    tensor([1.      , 2.718282])
    """
    return Exp.apply(x)


def log(x: Tensor) -> Tensor:
    """Natural logarithm of each element; -inf at 0, NaN below, without a warning (as torch).

    >>> import minidl
    >>> minidl.ops.log(minidl.tensor([1.0, 0.0]))
    tensor([  0., -inf])
    """
    return Log.apply(x)
