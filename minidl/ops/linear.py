"""Fully connected layer (equation E5).

Notation: A (..., in) are rows of activations, W (out, in), b (out), Z the pre-activations; G is the cotangent
of Z. The documents write one sample as a column, z = W a + b; a batch of rows is

    forward   Z = A Wᵀ + b
    backward  dA = G W,   dW = Gᵀ A,   db = Σ over rows of G

which are E8's Wᵀδ (the transpose that the document leaves out) and E9 with its indices put right, δ a_{l-1}ᵀ.
"""

from __future__ import annotations

import math
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops.matmul import product
from minidl.ops.reductions import accurate_sum


class Linear(Function):
    """Z = A Wᵀ + b."""

    @staticmethod
    def forward(ctx: Node, a: Any, weight: Any, bias: Any) -> Any:
        ctx.save(a, weight)
        z = product(a, weight.T)
        if bias is None:
            return z
        # An inner product of vectors gives no array that could be changed.
        return z + bias if z.ndim < 2 else kernels("arithmetic", z).add_to_rows(z, bias)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        a, weight = ctx.saved
        count = math.prod(a.shape[:-1])
        rows, inputs = g.reshape(count, weight.shape[0]), a.reshape(count, weight.shape[1])
        da = product(g, weight) if ctx.needs_input_grad[0] else None
        dw = product(rows.mT, inputs) if ctx.needs_input_grad[1] else None
        db = accurate_sum(rows, (0,)).reshape(weight.shape[:1]) if ctx.needs_input_grad[2] else None
        return da, dw, db

    tensor_backward = backward

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(output.size) * int(arrays[1].shape[1])


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A Wᵀ + b.

    Args:
        input: (..., in).
        weight: (out, in).
        bias: (out) or None.

    Returns:
        (..., out).

    Raises:
        TypeError: input, weight and bias have different dtypes.
        ValueError: shapes that do not fit.

    >>> import minidl
    >>> minidl.ops.linear(minidl.tensor([[1.0, 2.0]]), minidl.tensor([[3.0, 4.0]]), minidl.tensor([0.5]))
    tensor([[11.5]])
    """
    if weight.ndim != 2 or input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: weight (out, in) of shape {weight.shape} does not fit "
            f"input (..., in) of shape {input.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, got {bias.shape}")
    if input.dtype != weight.dtype:
        raise TypeError(f"linear: input is {input.dtype}, but the weight {weight.dtype}")
    if bias is not None and bias.dtype != weight.dtype:
        raise TypeError(f"linear: bias is {bias.dtype}, but the weight {weight.dtype}")
    return Linear.apply(input, weight, bias)
