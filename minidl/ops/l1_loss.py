"""Mean absolute error (equation E4).

Notation: x prediction, y target, n elements, ℓ the loss of an element, g its cotangent.

    forward   ℓ = |x - y|,  L = (1/n) Σ ℓ
    backward  dx = g · sign(x - y),  dy = -dx      (the subgradient at 0 is 0)

Shape rule: x and y have one shape; L is a scalar, ``reduction="none"`` gives ℓ.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._reduce import of_pair, reduction_of


class L1Loss(Function):
    """ℓ = |x - y|."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        difference = x - y
        ctx.save(array_module(x).sign(difference))
        return abs(difference)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (sign,) = ctx.saved  # a constant for the second derivative, too
        dx = g * sign
        return dx, -dx if ctx.needs_input_grad[1] else None

    tensor_backward = backward


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error, averaged by default.

    Args:
        input, target: the same shape and dtype.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> minidl.ops.l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([0.0, 4.0]))
    tensor(1.5)
    """
    reduction = reduction_of("l1_loss", size_average, reduce, reduction)
    return of_pair(L1Loss, input, target, reduction)
