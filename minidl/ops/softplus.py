"""Softplus, a smooth ReLU, element by element. Notation: g is the cotangent of y.

    forward  y = log(1 + e^(βx)) / β        backward  dx = g / (1 + e^(-βx))

Where βx exceeds the threshold, y = x and dx = g: the difference is below the rounding.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import floating
from minidl.ops.activations import sigmoid
from minidl.ops.where import choose


class Softplus(Function):
    """y = log(1 + e^(βx)) / β, or x above the threshold."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, beta: float, threshold: float) -> Any:
        ctx.kernels, ctx.beta, ctx.threshold = kernels("activations", x), beta, threshold
        ctx.save(x)
        return ctx.kernels.softplus(x, beta, threshold)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.softplus_backward(g, x, ctx.beta, ctx.threshold)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        z = x * ctx.beta
        return choose(z > ctx.threshold, g, g * sigmoid(z))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(βx)) / β, element by element; x itself where βx > ``threshold``.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: beta is 0.

    >>> import minidl
    >>> minidl.ops.softplus(minidl.tensor([-100.0, 0.0, 100.0])).numpy().round(4)
    array([  0.    ,   0.6931, 100.    ], dtype=float32)
    """
    x = floating("softplus", input)
    if beta == 0:
        raise ValueError("softplus: beta must not be 0")
    return Softplus.apply(x, beta=float(beta), threshold=float(threshold))
