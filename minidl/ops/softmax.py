"""Softmax and its logarithm along one dimension (equation E6).

Notation: z are the logits, p = softmax(z), g the cotangent of the output, sums run along ``dim``.

    softmax      p_j = e^(z_j - m) / Σ_k e^(z_k - m), m = max z     dz = p ⊙ (g - Σ g p)
    log_softmax  log p_j = (z_j - m) - log Σ_k e^(z_k - m)          dz = g - p Σ g

The shift by the maximum changes nothing in exact arithmetic and keeps every exponential at most one.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import cast, floating
from minidl.ops._shapes import dims
from minidl.ops.clone import clone
from minidl.ops.exponential import exp
from minidl.ops.movement import reshape
from minidl.ops.reductions import accurate_sum


class Softmax(Function):
    """p = e^(z - max z) / Σ e^(z - max z)."""

    @staticmethod
    def forward(ctx: Node, z: Any, *, axis: int) -> Any:
        ctx.kernels, ctx.axis = kernels("softmax", z), axis
        p = ctx.kernels.forward(z, axis)
        ctx.save(p)
        return p

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (p,) = ctx.saved
        return ctx.kernels.backward(g, p, ctx.axis)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        (p,) = ctx.saved
        return p * (g - accurate_sum(g * p, (ctx.axis,)))


class LogSoftmax(Function):
    """log p = (z - max z) - log Σ e^(z - max z)."""

    @staticmethod
    def forward(ctx: Node, z: Any, *, axis: int) -> Any:
        ctx.kernels, ctx.axis = kernels("softmax", z), axis
        log_p = ctx.kernels.log_forward(z, axis)
        ctx.save(log_p)
        return log_p

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (log_p,) = ctx.saved
        return ctx.kernels.log_backward(g, log_p, ctx.axis)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        (log_p,) = ctx.saved
        return g - exp(log_p) * accurate_sum(g, (ctx.axis,))


def _along(function: type[Function], z: Tensor, dim: int, dtype: Any, operation: str) -> Tensor:
    """The function along ``dim``. A tensor without dimensions counts as a vector of one, as in torch."""
    if dtype is not None:
        z = cast(z, dtype)
    floating(operation, z)
    axes = dims(dim, z.shape, operation)
    if z.numel() == 0:
        return clone(z)  # nothing, of which there is no maximum either
    if not axes:
        return reshape(function.apply(reshape(z, (1,)), axis=0), ())
    return function.apply(z, axis=axes[0])


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Probabilities from logits: positive, summing to one along ``dim``; computed in ``dtype`` if given.

    Raises:
        IndexError: no such dimension.
        TypeError: the logits are not floating-point.

    >>> import minidl
    >>> minidl.ops.softmax(minidl.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5, 0.5])
    """
    return _along(Softmax, input, dim, dtype, "softmax")


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Logarithms of the probabilities, exact where the probabilities themselves would round to 0 or 1.

    Computed in ``dtype`` if that is given.

    Raises:
        IndexError: no such dimension.
        TypeError: the logits are not floating-point.

    >>> import minidl
    >>> minidl.ops.log_softmax(minidl.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.])
    """
    return _along(LogSoftmax, input, dim, dtype, "log_softmax")
