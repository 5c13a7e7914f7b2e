"""Choice, element by element. Notation: c is the condition (bool), g the cotangent of z.

    forward  z = x where c, else y        backward  dx = g where c, else 0;  dy = 0 where c, else g

Shape rule: condition, x and y broadcast together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._device import device_of
from minidl._numbers import written
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import as_tensor, kind_of_number, operand, operands, shapes_of, summed_to
from minidl.ops.to_device import to_device


class Where(Function):
    """z = x where c, else y;  dx = g where c, dy = g elsewhere."""

    @staticmethod
    def forward(ctx: Node, condition: Any, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("where", condition, x, y)
        ctx.save(condition)
        return array_module(condition).where(condition, x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (condition,) = ctx.saved
        _, dx_needed, dy_needed = ctx.needs_input_grad
        dx = summed_to(choose(condition, g, 0), ctx.shapes[1]) if dx_needed else None
        dy = summed_to(choose(condition, 0, g), ctx.shapes[2]) if dy_needed else None
        return None, dx, dy

    tensor_backward = backward


def choose(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y: on arrays and on tensors, for backwards that serve both."""
    if any(isinstance(v, Tensor) for v in (condition, x, y)):
        return where(condition, x, y)
    return array_module(condition).where(condition, x, y)


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """``input`` where the condition holds, ``other`` elsewhere, with broadcasting.

    The gradient goes to the one that was chosen and is 0 for the other, whatever that one holds there. (Only
    0 times an infinite *slope* is NaN: to keep 1/x away from zeros, choose its argument and not its result.)

    Args:
        condition: a bool tensor or array.
        input, other: tensors, arrays or numbers; the dtype of the result is that of torch.

    Raises:
        OverflowError: a number that the dtype of the result does not hold.
        TypeError: the condition is not of bools.
        ValueError: the shapes do not broadcast.

    >>> import minidl
    >>> x = minidl.tensor([-2.0, 0.0, 3.0])
    >>> minidl.ops.where(x > 0, x, -1.0)
    tensor([-1., -1.,  3.])
    """
    if not hasattr(condition, "dtype"):
        raise TypeError(f"where: condition must be a bool tensor, got {type(condition).__name__}")
    condition = as_tensor("where", condition)
    if condition.dtype.kind != "b":
        raise TypeError(f"where: condition must be a bool tensor, got {condition.dtype}")
    x, y = operand("where", input), operand("where", other)
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        first, y = _alone(x, y)
        return Where.apply(condition, to_device(first, device_of(condition.data)), y)
    return Where.apply(condition, *operands("where", x, y, numbers=written))


def _alone(x: float, y: float) -> tuple[Tensor, float]:
    """Two numbers, the first as a tensor in the dtype of both, since there is no tensor to give one."""
    kind = max(kind_of_number(x), kind_of_number(y))
    dtype = (np.dtype(np.bool_), np.dtype(np.int64), DEFAULT_DTYPE)[kind]
    return Tensor(np.asarray(written("where", x, dtype), dtype)), written("where", y, dtype)
