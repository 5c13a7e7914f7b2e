"""Exponential, natural logarithm and square root, element by element.

Notation: y is the output, g its cotangent. Integers become float32 first, as in torch.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import inexact
from minidl.ops._out import into


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

    tensor_backward = backward


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

    tensor_backward = backward


class Sqrt(Function):
    """y = √x;  dx = g / (2 y), infinite at x = 0."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        y = array_module(x).sqrt(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g / (2 * y)

    tensor_backward = backward


class Rsqrt(Function):
    """y = 1/√x;  dx = -g y³ / 2."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        y = 1 / array_module(x).sqrt(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return -0.5 * g * y * y * y  # factor by factor: y³ may be infinite or 0 where g y³ is not

    tensor_backward = backward


def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """e to the power of each element. ``out`` as in :func:`~minidl.ops.add`.

    >>> import minidl
    >>> minidl.ops.exp(minidl.tensor([0.0, 1.0]))
    tensor([1.      , 2.718282])
    """
    return into("exp", out, Exp.apply(inexact("exp", input)))


def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Natural logarithm of each element; -inf at 0, NaN below, without a warning (as torch).

    ``out`` as in :func:`~minidl.ops.add`.

    >>> import minidl
    >>> minidl.ops.log(minidl.tensor([1.0, 0.0]))
    tensor([  0., -inf])
    """
    return into("log", out, Log.apply(inexact("log", input)))


def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Square root of each element; NaN below 0. ``out`` as in :func:`~minidl.ops.add`.

    >>> import minidl
    >>> minidl.ops.sqrt(minidl.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return into("sqrt", out, Sqrt.apply(inexact("sqrt", input)))


def rsqrt(input: Tensor) -> Tensor:
    """One over the square root of each element: infinite at 0, NaN below.

    >>> import minidl
    >>> minidl.ops.rsqrt(minidl.tensor([4.0, 0.25]))
    tensor([0.5, 2. ])
    """
    return Rsqrt.apply(inexact("rsqrt", input))
