"""Smooth L1 loss: squared near 0, absolute elsewhere (Girshick 2015, "Fast R-CNN"; Huber 1964).

Notation: x prediction, y target, d = x - y, β where the two parts meet, ℓ the loss of an element, g its
cotangent.

    forward   ℓ = d² / 2β  where |d| < β,  |d| - β/2  elsewhere;  β = 0: ℓ = |d|
    backward  dx = g · d/β  where |d| < β,  g · sign d  elsewhere;  dy = -dx

Shape rule: x and y have one shape; the mean is a scalar, ``reduction="none"`` gives ℓ.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._reduce import check_reduction, checked_pair, reduced, reduction_of
from minidl.ops.l1_loss import l1_loss
from minidl.ops.where import choose


class SmoothL1Loss(Function):
    """ℓ = d² / 2β where |d| < β, |d| - β/2 elsewhere."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any, *, beta: float) -> Any:
        difference = x - y
        size = abs(difference)
        ctx.near, ctx.beta = size < beta, beta
        ctx.save(x, y, array_module(x).sign(difference))
        # |d| < β: so d/β squares without leaving the format's range, which d² may do.
        return array_module(x).where(ctx.near, difference * (difference / beta) / 2, size - beta / 2)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y, sign = ctx.saved
        dx = g * array_module(g).where(ctx.near, (x - y) / ctx.beta, sign)
        return dx, -dx if ctx.needs_input_grad[1] else None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, y, sign = ctx.saved
        dx = g * choose(Tensor(ctx.near), (x - y) / ctx.beta, sign)
        return dx, -dx if ctx.needs_input_grad[1] else None


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Error that is squared below ``beta`` and absolute above, averaged by default.

    Args:
        input, target: the same shape and dtype.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: where the two parts meet; with 0 the loss is :func:`l1_loss`.

    Raises:
        ValueError: shapes that differ, an unknown reduction, or a negative ``beta``.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> x, y = minidl.tensor([1.0, 2.0]), minidl.tensor([0.5, 4.0])
    >>> minidl.ops.smooth_l1_loss(x, y, reduction="none")
    tensor([0.125, 1.5  ])
    """
    reduction = reduction_of("smooth_l1_loss", size_average, reduce, reduction)
    input, target = checked_pair("smooth_l1_loss", input, target)
    check_reduction("smooth_l1_loss", reduction)
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must be 0 or more, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return reduced(SmoothL1Loss.apply(input, target, beta=beta), reduction)
