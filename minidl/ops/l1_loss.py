"""Mean absolute error (equation E4).

Notation: x prediction, y target, n elements, g the cotangent of the result.

    forward   L = (1/n) Σ |x - y|
    backward  dx = g · sign(x - y) / n,  dy = -dx      (the subgradient at 0 is 0)
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops.cross_entropy import REDUCTIONS
from minidl.ops.reductions import accurate_sum


class L1Loss(Function):
    """L = (1/n) Σ |x - y|."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any, *, reduction: str) -> Any:
        difference = x - y
        ctx.save(array_module(x).sign(difference))
        ctx.scale = difference.size if reduction == "mean" else 1
        losses = abs(difference)
        if reduction == "none":
            return losses
        return (accurate_sum(losses, tuple(range(x.ndim))) / x.dtype.type(ctx.scale)).reshape(())

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (sign,) = ctx.saved
        dx = (g / g.dtype.type(ctx.scale)) * sign
        return dx, -dx if ctx.needs_input_grad[1] else None


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error, averaged by default.

    Args:
        input, target: the same shape and dtype.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.

    >>> import minidl
    >>> minidl.ops.l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([0.0, 4.0]))
    tensor(1.5)
    """
    if input.shape != target.shape:
        raise ValueError(
            f"l1_loss: input has shape {input.shape} and target {target.shape}; they must be equal"
        )
    if input.dtype.kind != "f" or input.dtype != target.dtype:
        raise TypeError(
            f"l1_loss: input ({input.dtype}) and target ({target.dtype}) must have one floating-point dtype"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"l1_loss: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    return L1Loss.apply(input, target, reduction=reduction)
