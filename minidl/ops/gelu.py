"""Gaussian error linear unit, element by element (Hendrycks and Gimpel 2016).

Notation: Φ is the normal distribution's cumulative function, φ = Φ' its density, g the cotangent of y.

    Φ(x) = (1 + erf(x/√2)) / 2        φ(x) = e^(-x²/2) / √(2π)

    forward  y = x Φ(x)               backward  dx = g (Φ(x) + x φ(x))

With ``approximate="tanh"``, Φ is replaced by (1 + t) / 2 with t = tanh(√(2/π) (x + 0.044715 x³)):

    forward  y = x (1 + t) / 2
    backward dx = g ((1 + t) / 2 + x (1 - t²) √(2/π) (1 + 3 · 0.044715 x²) / 2)

Far from 0 the slope is 0 or 1 and no longer changes, while x² may be infinite, and infinity times 0 is NaN;
so nothing is squared beyond where that begins (``BEYOND``, ``BEYOND_TANH``).

The kernels are in ``kernels/reference/activations.py`` and its siblings.
"""

from __future__ import annotations

import math
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module, kernels
from minidl.kernels.reference.activations import BEYOND_TANH
from minidl.ops._elementwise import floating
from minidl.ops.activations import tanh
from minidl.ops.clamp import limited
from minidl.ops.exponential import exp

_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715
#: Of φ at 0.
_HEIGHT = 1 / math.sqrt(2 * math.pi)
#: φ rounds to 0 beyond.
BEYOND = 40.0


def _density(x: Any) -> Any:
    """φ, of arrays or of tensors."""
    square = x * x * -0.5
    return (exp(square) if isinstance(x, Tensor) else array_module(x).exp(square)) * _HEIGHT


class GeluSlope(Function):
    """y = Φ(x) + x φ(x), the slope of GELU;  dx = g (2 - x²) φ(x), since φ' = -x φ."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.save(x)
        return kernels("activations", x).gelu_backward(array_module(x).ones_like(x), x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        x = limited(x, BEYOND)
        return g * ((2 - x * x) * _density(x))

    tensor_backward = backward


class Gelu(Function):
    """y = x Φ(x);  dx = g (Φ(x) + x φ(x))."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        ctx.save(x)
        return ctx.kernels.gelu(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.gelu_backward(g, x)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return g * GeluSlope.apply(x)


class GeluTanh(Function):
    """y = x (1 + t) / 2."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        ctx.kernels = kernels("activations", x)
        ctx.save(x)
        return ctx.kernels.gelu_tanh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.gelu_tanh_backward(g, x)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        x = limited(x, BEYOND_TANH)
        t = tanh((x + x * x * x * _CUBIC) * _SCALE)
        inner = (1 + x * x * (3 * _CUBIC)) * _SCALE
        return g * (0.5 + 0.5 * t + 0.5 * x * (1 - t * t) * inner)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), element by element, Φ being the normal distribution's cumulative function.

    Args:
        input: floating-point, any shape.
        approximate: "none", or "tanh" for the approximation that GPT-2 and others were trained with.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: another approximation.

    >>> import minidl
    >>> minidl.ops.gelu(minidl.tensor([-1.0, 0.0, 1.0])).numpy().round(4)
    array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """
    x = floating("gelu", input)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return Gelu.apply(x) if approximate == "none" else GeluTanh.apply(x)
