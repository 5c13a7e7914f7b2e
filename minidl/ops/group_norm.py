"""Group normalisation (Wu and He 2018): statistics of each image and group of channels, whatever the batch.

Notation: x (N, C, *), G groups of C/G channels, (C/G)·H·W values a group, γ (C), β (C), g the cotangent of y.

    forward   x̂ = (x - μ_{n,q}) / √(σ²_{n,q} + ε),  y = γ_c x̂ + β_c
              with the mean and (biased) variance of image n and group q
    backward  dβ = Σ g,  dγ = Σ g x̂,  and with h = γ g and means over the group
              dx = (h - mean h - x̂ mean(h x̂)) / √(σ² + ε)

The same in training and evaluation. Shape rule: y has the shape of x. Forward and backward are those of
``_normalize.py``.
"""

from __future__ import annotations

import math

from minidl._tensor import Tensor
from minidl.ops._normalize import Normalize, channel_view, check_channels


class GroupNorm(Normalize):
    """y = γ x̂ + β with the statistics of each image and group."""


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
        ValueError: groups that do not divide C, shapes that do not fit, or (as torch) one single value: one
            image and one pixel, with a group for each channel.
        TypeError: the input is not floating-point, or weight or bias are of another dtype.

    >>> import minidl
    >>> minidl.ops.group_norm(minidl.tensor([[[[1.0, 3.0]], [[10.0, 30.0]]]]), num_groups=2, eps=0.0)
    tensor([[[[-1.,  1.]],
    <BLANKLINE>
             [[-1.,  1.]]]])
    """
    check_channels("group_norm", input, weight, bias)
    n, c = input.shape[:2]
    if num_groups < 1 or c % num_groups:
        raise ValueError(
            f"group_norm: num_groups {num_groups} must divide the channels of input {input.shape}"
        )
    pixels = math.prod(input.shape[2:])
    if n * (c // num_groups) * pixels == 1:
        raise ValueError(
            f"group_norm: needs more than one value per group or more than one image, got input of shape "
            f"{input.shape} in {num_groups} groups"
        )
    view = channel_view(input.shape, num_groups)
    normalized: Tensor = GroupNorm.apply(input, weight, bias, view=view, eps=eps)
    return normalized
