"""Powers, element by element. Notation: x is the base, y the exponent, g the cotangent of z.

    forward  z = x^y        backward  dx = g y x^(y-1),  dy = g x^y log x

At x = 0 the limits that torch takes: dx = 0 for y = 0, and dy = 0 for y >= 0.

Shape rule: x and y broadcast together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import gradients, operands, shapes_of, zeros_like
from minidl.ops._out import into
from minidl.ops.exponential import log
from minidl.ops.where import choose


class Pow(Function):
    """z = x^y;  dx = g y x^(y-1), dy = g x^y log x."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = shapes_of("pow", x, y)
        ctx.save(x, y)
        z = x**y
        return z if z.dtype != np.int8 else z.astype(np.result_type(x, y))  # NumPy makes int8 of bools

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: _along_base(g, x, y, y == 0), lambda: _along_exponent(g, x, y))

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return gradients(ctx, lambda: _along_base(g, x, y, _flat(x, y)), lambda: _along_exponent(g, x, y))


def _flat(x: Any, y: Any) -> Any:
    """Where the slope along x is 0 by decree, on tensors.

    Where 1/x is finite, y x^(y-1) is 0 for y = 0 by itself, and must be computed: it changes with y, by 1/x.
    """
    return (y == 0) & ~(abs(1 / x) < math.inf) if hasattr(y, "shape") else y == 0


def _along_base(g: Any, x: Any, y: Any, flat: Any) -> Any:
    """g y x^(y-1), and 0 where ``flat``: 0 x^-1 would be NaN at x = 0."""
    if hasattr(y, "shape"):
        return choose(flat, 0, g * (y * x ** (choose(flat, 1, y) - 1)))
    return zeros_like(g) if flat else g * (y * x ** (y - 1))


def _along_exponent(g: Any, x: Any, y: Any) -> Any:
    """g x^y log x, and 0 where x = 0 and y >= 0."""
    if hasattr(x, "shape"):
        base = choose((x == 0) & (y >= 0), 1, x)  # whose logarithm is 0, and has a slope
        return g * (x**y * (log(base) if isinstance(base, Tensor) else array_module(base).log(base)))
    slope = x**y * (math.log(x) if x > 0 else -math.inf if x == 0 else math.nan)
    return g * (choose(y >= 0, 0, slope) if x == 0 else slope)


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """z = input to the power of ``exponent``, element by element, with broadcasting.

    Args:
        input, exponent: tensors, arrays or numbers, at least one of them a tensor.
        out: where to write the result; see :func:`~minidl.ops.add`.

    Raises:
        TypeError: neither is a tensor.
        ValueError: the shapes do not broadcast, or integers are raised to a negative power.

    >>> import minidl
    >>> minidl.ops.pow(minidl.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    x, y = operands("pow", input, exponent)
    if all(v.dtype.kind != "f" for v in (x, y) if isinstance(v, Tensor)):
        lowest = _lowest(y) if isinstance(y, Tensor) else y
        if lowest < 0:
            raise ValueError(f"pow: a negative power of an integer is none (exponent {lowest})")
    return into("pow", out, Pow.apply(x, y))


def _lowest(exponents: Tensor) -> int:
    """The lowest of integers; 0 where there are none."""
    with on(exponents.data):
        return int(exponents.data.min()) if exponents.numel() else 0
