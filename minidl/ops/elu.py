"""Exponential linear unit, element by element (Clevert et al. 2016). Notation: g is the cotangent of y.

    forward  y = x where x > 0, else α (e^x - 1)        backward  dx = g where x > 0, else g α e^x

At 0 the slope is α, and the second derivative 0, as in torch.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import check_not_in_place, floating
from minidl.ops.exponential import exp
from minidl.ops.where import choose


class Elu(Function):
    """y = x where x > 0, else α (e^x - 1)."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, alpha: float) -> Any:
        ctx.kernels, ctx.alpha = kernels("activations", x), alpha
        ctx.save(x)
        return ctx.kernels.elu(x, alpha)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.elu_backward(g, x, ctx.alpha)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (x,) = ctx.saved
        below = choose(x < 0, x, 0)  # not clamp: at 0 itself the slope's slope is 0, as in torch
        return choose(x <= 0, g * ctx.alpha * exp(below), g)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else ``alpha`` (e^x - 1). NaN stays NaN.

    Raises:
        TypeError: not a floating-point tensor.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.ops.elu(minidl.tensor([-100.0, 0.0, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    check_not_in_place("elu", inplace)
    return Elu.apply(floating("elu", input), alpha=float(alpha))
