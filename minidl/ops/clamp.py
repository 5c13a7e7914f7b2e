"""Limiting values to an interval, element by element. Notation: a and b are the bounds, g the cotangent of z.

    forward  z = min(max(x, a), b)          (b where a > b)
    backward dx = g where a <= x <= b       (at the bounds g passes, as in torch)
             da = g where x < a and a < b,   db = g where x > b or b < a

Shape rule: x, a and b broadcast together.
"""

from __future__ import annotations

import math
from typing import Any

from minidl._numbers import written
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import as_tensor, gradients, operands, shapes_of
from minidl.ops._out import into
from minidl.ops.where import choose


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


class Clamp(Function):
    """z = min(max(x, low), high), where either bound may be missing."""

    @staticmethod
    def forward(ctx: Node, x: Any, low: Any, high: Any) -> Any:
        ctx.shapes = shapes_of("clamp", x, low, high)
        ctx.save(x, low, high)
        xp = array_module(x)
        z = x if low is None else xp.maximum(x, low)
        return z if high is None else xp.minimum(z, high)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, low, high = ctx.saved
        return gradients(
            ctx,
            lambda: choose(_inside(x, low, high), g, 0),
            lambda: choose(x < low if high is None else (x < low) & (low < high), g, 0),
            lambda: choose(x > high if low is None else (x > high) | (high < low), g, 0),
        )

    tensor_backward = backward


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """``input`` with everything below ``min`` raised to it and everything above ``max`` lowered to that.

    NaN stays NaN. Where ``min`` is greater than ``max``, the result is ``max``.

    Args:
        input: any shape.
        min, max: numbers or tensors that broadcast with the input; one of them may be left out.
        out: where to write the result; see :func:`~minidl.ops.add`.

    Raises:
        OverflowError: a number that the dtype of the result does not hold.
        TypeError: the input is not a tensor.
        ValueError: neither bound is given, or the shapes do not broadcast.

    >>> import minidl
    >>> minidl.ops.clamp(minidl.tensor([-1.0, 0.5, 7.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    given = [bound for bound in (min, max) if bound is not None]
    x, *bounds = operands("clamp", as_tensor("clamp", input), *given, numbers=written)
    low = None if min is None else bounds.pop(0)
    high = None if max is None else bounds.pop(0)
    return into("clamp", out, Clamp.apply(x, low, high))


#: torch's other name for it.
clip = clamp


def limited(x: Any, bound: float) -> Any:
    """x limited to ±bound, infinities and NaN as they are: for slopes, of arrays or of tensors.

    >>> import numpy
    >>> limited(numpy.array([1e300, -3.0, numpy.inf]), 10.0)
    array([10., -3., inf])
    """
    inside = clamp(x, -bound, bound) if isinstance(x, Tensor) else x.clip(-bound, bound)
    return choose(abs(x) < math.inf, inside, x)
