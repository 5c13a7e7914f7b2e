"""The greater and the smaller of two, element by element. Notation: g is the cotangent of z.

    maximum  z = max(x, y)     dx = g where x > y, g/2 where x = y, 0 where x < y;  dy the other way round
    minimum  z = min(x, y)     dx = g where x < y, g/2 where x = y, 0 where x > y;  dy the other way round

Where one of them is NaN, so is z, and both get g, as in torch.

Shape rule: x and y broadcast together.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import as_tensor, gradients, operands, shapes_of
from minidl.ops._out import into
from minidl.ops.where import choose


def _share(g: Any, loses: Any, ties: Any) -> Any:
    return choose(loses, 0, choose(ties, g / 2, g))


class Maximum(Function):
    """z = max(x, y); ties share g evenly."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("maximum", x, y)
        ctx.save(x, y)
        return array_module(x).maximum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: _share(g, x < y, x == y), lambda: _share(g, y < x, x == y))

    tensor_backward = backward


class Minimum(Function):
    """z = min(x, y); ties share g evenly."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("minimum", x, y)
        ctx.save(x, y)
        return array_module(x).minimum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: _share(g, x > y, x == y), lambda: _share(g, y > x, x == y))

    tensor_backward = backward


def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The greater of two tensors, element by element, with broadcasting; NaN if either is.

    Args:
        input, other: tensors or arrays (for a number there is :func:`~minidl.ops.clamp`).
        out: where to write the result; see :func:`~minidl.ops.add`.

    Raises:
        TypeError: one of them is not a tensor.
        ValueError: the shapes do not broadcast.

    >>> import minidl
    >>> minidl.ops.maximum(minidl.tensor([1.0, 5.0]), minidl.tensor([3.0, 4.0]))
    tensor([3., 5.])
    """
    pair = as_tensor("maximum", input), as_tensor("maximum", other)
    return into("maximum", out, Maximum.apply(*operands("maximum", *pair)))


def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of two tensors, element by element; see :func:`maximum`.

    >>> import minidl
    >>> minidl.ops.minimum(minidl.tensor([1.0, 5.0]), minidl.tensor([3.0, 4.0]))
    tensor([1., 4.])
    """
    pair = as_tensor("minimum", input), as_tensor("minimum", other)
    return into("minimum", out, Minimum.apply(*operands("minimum", *pair)))
