"""Batch normalisation (Ioffe and Szegedy 2015).

Notation: x (N, C, *), M = N·H·W values a channel, γ (C) weight, β (C) bias, ε for safety, x̂ the standardised
input, g the cotangent of y.

    forward, training     μ_c = mean, σ²_c = mean of (x - μ_c)² (divided by M)
                          x̂ = (x - μ) / √(σ² + ε),  y = γ x̂ + β
                          running ← (1 - m) running + m (μ, σ² M/(M-1))    (momentum m; variance unbiased)
    forward, evaluation   μ and σ² are the running ones
    backward, training    dβ = Σ g,  dγ = Σ g x̂,  dx = γ/√(σ²+ε) · (g - mean g - x̂ · mean(g x̂))
    backward, evaluation  dβ and dγ as above,  dx = γ/√(σ²+ε) · g

Sums and means run over everything but the channel. In training every value of a channel moves its mean and
deviation: the two means in dx take out of g what only a common shift or stretch of the channel could use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels


class BatchNorm(Function):
    """y = γ x̂ + β with the statistics of this batch, which (variance biased) are further outputs."""

    @staticmethod
    def forward(ctx: Node, x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
        ctx.kernels = kernels("normalize", x)
        xhat, mean, var, inv_std = ctx.kernels.forward(x.reshape(*x.shape[:2], -1), eps)
        ctx.shape = x.shape
        ctx.save(xhat, inv_std, weight)
        return affine(xhat, weight, bias).reshape(x.shape), mean, var

    @staticmethod
    def backward(ctx: Node, g: Any, _mean: Any, _var: Any) -> Any:
        xhat, inv_std, weight = ctx.saved
        g = g.reshape(xhat.shape)
        dxhat, dweight, dbias = affine_backward(ctx, g, xhat, weight)
        dx = ctx.kernels.backward(dxhat, xhat, inv_std) if ctx.needs_input_grad[0] else None
        return None if dx is None else dx.reshape(ctx.shape), dweight, dbias


class BatchNormEval(Function):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ²."""

    @staticmethod
    def forward(ctx: Node, x: Any, weight: Any, bias: Any, *, mean: Any, var: Any, eps: float) -> Any:
        inv_std = (1 / np.sqrt(var + eps)).astype(x.dtype).reshape(1, -1, 1)
        xhat = (x.reshape(*x.shape[:2], -1) - mean.astype(x.dtype).reshape(1, -1, 1)) * inv_std
        ctx.shape = x.shape
        ctx.save(xhat, inv_std, weight)
        return affine(xhat, weight, bias).reshape(x.shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        xhat, inv_std, weight = ctx.saved
        dxhat, dweight, dbias = affine_backward(ctx, g.reshape(xhat.shape), xhat, weight)
        return (dxhat * inv_std).reshape(ctx.shape), dweight, dbias

    @classmethod
    def operation(cls) -> str:
        return "batch_norm"


def affine(xhat: Any, weight: Any, bias: Any) -> Any:
    """γ x̂ + β for each channel, (N, C, M), in new memory: x̂ is saved for the backward."""
    y = xhat.copy() if weight is None else xhat * weight.reshape(1, -1, 1)
    if bias is not None:
        y += bias.reshape(1, -1, 1)
    return y


def affine_backward(ctx: Node, g: Any, xhat: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Cotangent of γ x̂ + β, (N, C, M), to those of x̂, γ and β."""
    dbias = g.sum(axis=2).sum(axis=0) if ctx.needs_input_grad[2] else None
    dweight = (g * xhat).sum(axis=2).sum(axis=0) if ctx.needs_input_grad[1] else None
    dxhat = g if weight is None else g * weight.reshape(1, -1, 1)
    return dxhat, dweight, dbias


def check_affine(operation: str, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
    """What the normalisations ask of their operands."""
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: input must be floating-point, got {x.dtype}")
    if x.ndim < 2:
        raise ValueError(f"{operation}: input must be (N, C, ...), got shape {x.shape}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != x.shape[1:2]:
            raise ValueError(
                f"{operation}: {name} must have shape ({x.shape[1]},), got {parameter.shape} "
                f"(input {x.shape})"
            )


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each channel, then scale and shift it.

    Args:
        input: (N, C) or (N, C, ...), floating-point.
        running_mean, running_var: (C), updated in place while training; ``None`` where no record is kept.
        weight, bias: γ and β, (C), or None.
        training: use the statistics of this batch (else the running ones).
        momentum: share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: shapes that do not fit, a single value a channel in training, or evaluation without
            running statistics.

    >>> import minidl
    >>> x = minidl.tensor([[[[1.0, 3.0]]]])
    >>> minidl.ops.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[[[-1.,  1.]]]])
    """
    check_affine("batch_norm", input, weight, bias)
    running = (running_mean, running_var)
    for name, record in zip(("running_mean", "running_var"), running, strict=True):
        if record is not None and record.shape != input.shape[1:2]:
            raise ValueError(
                f"batch_norm: {name} must have shape ({input.shape[1]},), got {record.shape} "
                f"(input {input.shape})"
            )
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        # Copies: the statistics may be updated between this forward and its backward.
        mean, var = running_mean.data.copy(), running_var.data.copy()
        return BatchNormEval.apply(input, weight, bias, mean=mean, var=var, eps=eps)
    count = input.numel() // max(1, input.shape[1])
    if count < 2:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got input of shape {input.shape}"
        )
    y, mean, var = BatchNorm.apply(input, weight, bias, eps=eps)
    unbiased = var.data * (count / (count - 1))
    for record, value in zip(running, (mean.data, unbiased), strict=True):
        if record is not None:
            record.data *= 1 - momentum
            record.data += (momentum * value).astype(record.dtype)
            record.mark_changed()
    return y
