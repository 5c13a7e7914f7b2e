"""Mean squared error.

Notation: x prediction, y target, n elements, ℓ the loss of an element, g its cotangent.

    forward   ℓ = (x - y)²,  L = (1/n) Σ ℓ
    backward  dx = 2 g (x - y),  dy = -dx

Shape rule: x and y have one shape; L is a scalar, ``reduction="none"`` gives ℓ.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.ops._reduce import of_pair, reduction_of


class MseLoss(Function):
    """ℓ = (x - y)²."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        difference = x - y
        return difference * difference

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        dx = 2 * g * (x - y)  # twice the difference might be infinite where the mean's share of it is not
        return dx, -dx if ctx.needs_input_grad[1] else None

    tensor_backward = backward


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared error, averaged by default.

    Args:
        input, target: the same shape and dtype.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> minidl.ops.mse_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([0.0, 4.0]))
    tensor(2.5)
    """
    reduction = reduction_of("mse_loss", size_average, reduce, reduction)
    return of_pair(MseLoss, input, target, reduction)
