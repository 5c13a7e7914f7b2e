"""Activations without options, element by element: ReLU, sigmoid, tanh (the σ of equations E5, E6 and E8),
SiLU, hardswish.

Notation: x is the pre-activation z, y = σ(x) the activation a, g the cotangent of y. Each backward is the
σ'(z) of E8, written in terms of what is cheapest to keep: where possible, the output.

The kernels are in ``kernels/reference/activations.py`` and its siblings. Those with options have files of
their own: ``leaky_relu.py``, ``elu.py``, ``gelu.py``, ``softplus.py``.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import as_tensor, check_not_in_place, floating, inexact
from minidl.ops.clamp import limited
from minidl.ops.where import choose


class Relu(Function):
    """y = max(0, x);  dx = g where y > 0, else 0 (the subgradient at 0 is 0, as in torch)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        y = ctx.kernels.relu(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return ctx.kernels.relu_backward(g, y)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return choose(y <= 0, 0, g)


class Sigmoid(Function):
    """y = 1 / (1 + e^-x);  dx = g y (1 - y)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        y = ctx.kernels.sigmoid(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return ctx.kernels.sigmoid_backward(g, y)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g * y * (1 - y)


class Tanh(Function):
    """y = tanh x;  dx = g (1 - y²)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        y = ctx.kernels.tanh(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return ctx.kernels.tanh_backward(g, y)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (y,) = ctx.saved
        return g * (1 - y * y)


class Silu(Function):
    """y = x s with s = 1 / (1 + e^-x);  dx = g s (1 + x (1 - s))."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        ctx.save(x)
        return ctx.kernels.silu(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.silu_backward(g, x)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        x = limited(x, 800)  # beyond, the slope is 0 or 1, and what infinity times 0 would make of it is NaN
        s = sigmoid(x)
        return g * (s * (1 + x * (1 - s)))


class Hardswish(Function):
    """y = x min(max(x + 3, 0), 6) / 6;  dx = 0 for x <= -3, g for x >= 3, g (x/3 + 1/2) between."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        ctx.save(x)
        return ctx.kernels.hardswish(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.hardswish_backward(g, x)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return choose(x <= -3, 0, choose(x < 3, g * (x / 3 + 0.5), g))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x), element by element. NaN stays NaN.

    Raises:
        TypeError: not a tensor, or one of bools.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.ops.relu(minidl.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    check_not_in_place("relu", inplace)
    x = as_tensor("relu", input)
    if x.dtype.kind == "b":
        raise TypeError("relu: not for bool tensors")
    return Relu.apply(x)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x), element by element, without overflow for large negative x.

    >>> import minidl
    >>> minidl.ops.sigmoid(minidl.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """
    return Sigmoid.apply(inexact("sigmoid", input))


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element.

    >>> import minidl
    >>> minidl.ops.tanh(minidl.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """
    return Tanh.apply(inexact("tanh", input))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + e^-x), element by element (also called swish).

    Raises:
        TypeError: not a floating-point tensor.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.ops.silu(minidl.tensor([-1.0, 0.0, 100.0])).numpy().round(4)
    array([ -0.2689,   0.    , 100.    ], dtype=float32)
    """
    check_not_in_place("silu", inplace)
    return Silu.apply(floating("silu", input))


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """0 below -3, x above 3, x (x + 3) / 6 between (Howard et al. 2019): SiLU from straight pieces.

    Raises:
        TypeError: not a floating-point tensor.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.ops.hardswish(minidl.tensor([-4.0, 0.0, 1.5, 4.0])) + 0.0
    tensor([0.   , 0.   , 1.125, 4.   ])
    """
    check_not_in_place("hardswish", inplace)
    return Hardswish.apply(floating("hardswish", input))
