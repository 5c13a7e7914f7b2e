"""ReLUs with a slope below zero, element by element: a given one, or one that is learnt.

Notation: a is the slope, g the cotangent of y.

    leaky_relu  y = x where x > 0, else a x      dx = g where x > 0, else a g
    prelu       the same, a being one number     da = Σ g x over the positions with x <= 0 that use a
                or one for each channel

Maas et al. 2013; He et al. 2015.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import check_not_in_place, floating, gradients, shapes_of
from minidl.ops.where import choose


class LeakyRelu(Function):
    """y = x where x > 0, else a x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, slope: float) -> Any:
        ctx.kernels, ctx.slope = kernels("activations", x), slope
        ctx.save(x)
        return ctx.kernels.leaky_relu(x, slope)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.leaky_relu_backward(g, x, ctx.slope)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return choose(x > 0, g, g * ctx.slope)


class Prelu(Function):
    """y = x where x > 0, else a x, where a broadcasts to the shape of x."""

    @staticmethod
    def forward(ctx: Node, x: Any, a: Any) -> Any:
        ctx.shapes = shapes_of("prelu", x, a)
        ctx.save(x, a)
        return choose(x > 0, x, a * x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, a = ctx.saved
        return gradients(ctx, lambda: choose(x > 0, g, g * a), lambda: choose(x > 0, 0, g * x))

    tensor_backward = backward


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else ``negative_slope`` · x. NaN stays NaN.

    Raises:
        TypeError: not a floating-point tensor.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.ops.leaky_relu(minidl.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2,  3. ])
    """
    check_not_in_place("leaky_relu", inplace)
    return LeakyRelu.apply(floating("leaky_relu", input), slope=float(negative_slope))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x.

    Args:
        input: any shape; dimension 1 is the channel (a vector and a 0-d tensor have one channel).
        weight: one number, or (C,) with one for each channel, in the input's dtype.

    Raises:
        TypeError: not floating-point tensors of one dtype.
        ValueError: the weight is no vector, or its length is neither 1 nor the number of channels.

    >>> import minidl
    >>> minidl.ops.prelu(minidl.tensor([[-2.0, -2.0], [3.0, 3.0]]), minidl.tensor([0.5, 0.25]))
    tensor([[-1. , -0.5],
            [ 3. ,  3. ]])
    """
    x, a = floating("prelu", input), floating("prelu", weight)
    if x.dtype != a.dtype:
        raise TypeError(f"prelu: input and weight must have one dtype, got {x.dtype} and {a.dtype}")
    channels = x.shape[1] if x.ndim > 1 else 1
    if a.ndim > 1 or a.numel() not in (1, channels):
        raise ValueError(
            f"prelu: weight must hold 1 number or one for each of {channels} channels, "
            f"got shape {a.shape} (input {x.shape})"
        )
    return Prelu.apply(x, a.reshape([a.numel() if axis == 1 else 1 for axis in range(x.ndim)]))
