"""Element-wise arithmetic: sum, difference, product, quotient. Powers are in ``pow.py``.

Notation: ``x`` and ``y`` are tensors (or numbers) whose shapes broadcast to that of ``z``; ``g`` is the
cotangent of ``z``.

Shape rule: axes are aligned at the right, extents of 1 stretch. The adjoint of stretching is summing, so each
backward ends with :func:`~minidl.ops._elementwise.summed_to`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import Cast as Cast
from minidl.ops._elementwise import as_tensor, gradients, operands, shapes_of
from minidl.ops._elementwise import cast as cast
from minidl.ops._out import into


class Add(Function):
    """z = x + y;  dx = g, dy = g."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("add", x, y)
        if hasattr(x, "strides") and hasattr(y, "strides"):  # neither is a number
            return kernels("arithmetic", x).add(x, y)
        return x + y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return gradients(ctx, lambda: g, lambda: g)

    tensor_backward = backward


class Sub(Function):
    """z = x - y;  dx = g, dy = -g."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("sub", x, y)
        return x - y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return gradients(ctx, lambda: g, lambda: -g)

    tensor_backward = backward


class Mul(Function):
    """z = x y;  dx = g y, dy = g x."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("mul", x, y)
        ctx.save(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: g * y, lambda: g * x)

    tensor_backward = backward


class Div(Function):
    """z = x / y;  dx = g / y, dy = -g x / y²."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("div", x, y)
        ctx.save(x, y)
        return x / y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: g / y, lambda: -g * (x / y / y))

    tensor_backward = backward


class Neg(Function):
    """z = -x;  dx = -g."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        return -x

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return -g

    tensor_backward = backward


def add(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """z = input + other, element by element, with broadcasting.

    Args:
        input, other: tensors, arrays or numbers, at least one of them a tensor. The result has the dtype that
            torch gives: float32 and int64 make float32.
        out: a tensor of the result's shape to write the result into, which is then returned. Nothing is
            recorded, so no gradient may be required.

    Raises:
        TypeError: neither is a tensor.
        ValueError: the shapes do not broadcast, or the result does not fit into ``out``.
        RuntimeError: with ``out``, a gradient is required or the dtype cannot hold the result.

    >>> import minidl
    >>> minidl.ops.add(minidl.tensor([[1.0], [2.0]]), minidl.tensor([10.0, 20.0]))
    tensor([[11., 21.],
            [12., 22.]])
    """
    return into("add", out, Add.apply(*operands("add", input, other)))


def sub(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """z = input - other, element by element, with broadcasting; see :func:`add`.

    Raises:
        TypeError: bools; their difference is ``a ^ b``, their opposite ``~a``.

    >>> import minidl
    >>> minidl.ops.sub(1.0, minidl.tensor([1.0, 2.0]))
    tensor([ 0., -1.])
    """
    _refuse_bool("sub", input, other)
    return into("sub", out, Sub.apply(*operands("sub", input, other)))


def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """z = input · other, element by element, with broadcasting; see :func:`add`.

    >>> import minidl
    >>> minidl.ops.mul(minidl.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return into("mul", out, Mul.apply(*operands("mul", input, other)))


def div(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """z = input / other, element by element, with broadcasting; see :func:`add`. Integers become float32.

    >>> import minidl
    >>> minidl.ops.div(minidl.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    """
    return into("div", out, Div.apply(*operands("div", input, other, inexact=True)))


def neg(input: Tensor) -> Tensor:
    """z = -input.

    Raises:
        TypeError: not a tensor, or one of bools (whose opposite is ``~input``).

    >>> import minidl
    >>> minidl.ops.neg(minidl.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    x = as_tensor("neg", input)
    _refuse_bool("neg", x)
    return Neg.apply(x)


def _refuse_bool(operation: str, *values: Any) -> None:
    if any(getattr(value, "dtype", None) == np.bool_ for value in values):
        raise TypeError(f"{operation}: not for bool tensors; use ~ (not) or ^ (differs)")
