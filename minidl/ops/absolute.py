"""Absolute value and sign, element by element. Notation: g is the cotangent of y.

    abs   y = |x|       dx = g sign(x), 0 at x = 0
    sign  y = sign(x)   dx = 0

The sign of NaN is 0, as in torch.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import as_tensor, zeros_like
from minidl.ops._out import into


class Abs(Function):
    """y = |x|;  dx = g sign(x)."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.save(x)
        return array_module(x).abs(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return g * _sign(x)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return g * sign(x)


class Sign(Function):
    """y = sign(x);  dx = 0."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        return _sign(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return zeros_like(g)

    tensor_backward = backward


def _sign(x: Any) -> Any:
    xp = array_module(x)
    if x.dtype.kind == "b":
        return x.copy()
    return xp.where(xp.isnan(x), 0, xp.sign(x))


def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """|input|, element by element. ``out`` as in :func:`~minidl.ops.add`.

    Raises:
        TypeError: not a tensor, or one of bools.

    >>> import minidl
    >>> minidl.ops.abs(minidl.tensor([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    x = as_tensor("abs", input)
    if x.dtype.kind == "b":
        raise TypeError("abs: not for bool tensors")
    return into("abs", out, Abs.apply(x))


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, element by element; NaN gives 0. Its gradient is 0.

    >>> import minidl
    >>> minidl.ops.sign(minidl.tensor([-1.5, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return Sign.apply(as_tensor("sign", input))
