"""Group normalisation (Wu and He 2018): statistics of each image and group of channels, whatever the batch.

Notation: x (N, C, *), G groups of C/G channels, (C/G)·H·W values a group, γ (C), β (C), g the cotangent of y.

    forward   x̂ = (x - μ_{n,q}) / √(σ²_{n,q} + ε),  y = γ_c x̂ + β_c
              with the mean and (biased) variance of image n and group q
    backward  dβ = Σ g,  dγ = Σ g x̂,  and with h = γ g and means over the group
              dx = (h - mean h - x̂ mean(h x̂)) / √(σ² + ε)

The same in training and evaluation.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops.batch_norm import affine, affine_backward, check_affine


class GroupNorm(Function):
    """y = γ x̂ + β with the statistics of each image and group."""

    @staticmethod
    def forward(ctx: Node, x: Any, weight: Any, bias: Any, *, groups: int, eps: float) -> Any:
        ctx.kernels = kernels("normalize", x)
        n, c = x.shape[:2]
        xhat, _, _, inv_std = ctx.kernels.forward(x.reshape(1, n * groups, -1), eps)
        xhat = xhat.reshape(n, c, -1)
        ctx.shape, ctx.groups = x.shape, groups
        ctx.save(xhat, inv_std, weight)
        return affine(xhat, weight, bias).reshape(x.shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        xhat, inv_std, weight = ctx.saved
        dxhat, dweight, dbias = affine_backward(ctx, g.reshape(xhat.shape), xhat, weight)
        if not ctx.needs_input_grad[0]:
            return None, dweight, dbias
        grouped = (1, xhat.shape[0] * ctx.groups, -1)
        dx = ctx.kernels.backward(dxhat.reshape(grouped), xhat.reshape(grouped), inv_std)
        return dx.reshape(ctx.shape), dweight, dbias


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each group of channels of each image, then scale and shift each channel.

    Args:
        input: (N, C, ...), floating-point.
        num_groups: divides C.
        weight, bias: γ and β, (C), or None.
        eps: added to the variance.

    Raises:
        ValueError: groups that do not divide C, or shapes that do not fit.

    >>> import minidl
    >>> minidl.ops.group_norm(minidl.tensor([[[[1.0, 3.0]], [[10.0, 30.0]]]]), num_groups=2, eps=0.0)
    tensor([[[[-1.,  1.]],
    <BLANKLINE>
             [[-1.,  1.]]]])
    """
    check_affine("group_norm", input, weight, bias)
    if num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups {num_groups} must divide the channels of input {input.shape}"
        )
    return GroupNorm.apply(input, weight, bias, groups=num_groups, eps=eps)
