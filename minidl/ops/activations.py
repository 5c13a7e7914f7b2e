"""Activations, element by element: ReLU, sigmoid, tanh (the σ of equations E5, E6 and E8).

Notation: x is the pre-activation z, y = σ(x) the activation a, g the cotangent of y. Each backward is the
σ'(z) of E8, written in terms of what is cheapest to keep: the output.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Relu(Function):
    """y = max(0, x);  dx = g where y > 0, else 0 (the subgradient at 0 is 0, as in torch)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        xp = array_module(x)
        y = xp.maximum(x, 0)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        xp = array_module(g)
        passes = ~(y <= 0)  # not y > 0: torch lets g pass where y is NaN
        # The product takes a third of the time of the choice, but infinity times 0 is NaN where 0 is meant.
        dx = g * passes
        return dx if xp.isfinite(dx.sum()) else xp.where(passes, g, g.dtype.type(0))


class Sigmoid(Function):
    """y = 1 / (1 + e^-x);  dx = g y (1 - y)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        xp = array_module(x)
        # e^-|x| never overflows: 1/(1+e^-x) for x >= 0 and e^x/(1+e^x) for x < 0.
        small = xp.exp(-xp.abs(x))
        y = xp.where(x >= 0, 1, small) / (1 + small)
        y = y.astype(x.dtype, copy=False)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g * y * (1 - y)


class Tanh(Function):
    """y = tanh x;  dx = g (1 - y²)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        y = array_module(x).tanh(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g * (1 - y * y)


def relu(x: Tensor) -> Tensor:
    """max(0, x), element by element. NaN stays NaN.

    >>> import minidl
    >>> minidl.ops.relu(minidl.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return Relu.apply(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x), element by element, without overflow for large negative x.

    >>> import minidl
    >>> minidl.ops.sigmoid(minidl.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """
    return Sigmoid.apply(x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element.

    >>> import minidl
    >>> minidl.ops.tanh(minidl.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """
    return Tanh.apply(x)
