"""Instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016): statistics of each channel of each image.

Notation: x (N, C, *), M = H·W values in a plane, γ (C), β (C), g the cotangent of y.

    forward   x̂ = (x - μ_{n,c}) / √(σ²_{n,c} + ε),  y = γ_c x̂ + β_c
              with the mean and (biased) variance of each plane; or with running ones for each channel, where
              running ← (1 - m) running + m · mean over n of (μ_{n,c}, σ²_{n,c} M/(M-1))
    backward  dβ = Σ g,  dγ = Σ g x̂,  and with h = γ g and means over the plane
              dx = (h - mean h - x̂ mean(h x̂)) / √(σ² + ε);  with running statistics dx = h / √(σ² + ε)

It is group normalisation with a group for each channel, and with one image batch normalisation. Shape rule: y
has the shape of x. Forward and backward are those of ``_normalize.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl._device import on
from minidl._tensor import Tensor
from minidl.ops._normalize import (
    Normalize,
    NormalizeBy,
    channel_view,
    check_channels,
    check_running,
    given_statistics,
    update_running,
)


class InstanceNorm(Normalize):
    """y = γ x̂ + β with the statistics of each plane."""


class InstanceNormEval(NormalizeBy):
    """y = γ (x - μ) / √(σ² + ε) + β with the running statistics of each channel."""


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each channel of each image, then scale and shift each channel.

    Args:
        input: (N, C, ...), floating-point.
        running_mean, running_var: (C), updated in place where the input's own statistics are used; both
            ``None`` where no record is kept.
        weight, bias: γ and β, (C), or None.
        use_input_stats: standardise by the statistics of each plane (else by the running ones).
        momentum: share of this batch in the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: shapes that do not fit, planes of a single value, or no running statistics where those are
            to be used.
        TypeError: the input is not floating-point, or weight or bias are of another dtype.

    >>> import minidl
    >>> minidl.ops.instance_norm(minidl.tensor([[[[1.0, 3.0]], [[10.0, 30.0]]]]), eps=0.0)
    tensor([[[[-1.,  1.]],
    <BLANKLINE>
             [[-1.,  1.]]]])
    """
    check_channels("instance_norm", input, weight, bias)
    check_running("instance_norm", input, running_mean, running_var, needed=not use_input_stats)
    if not use_input_stats:
        assert running_mean is not None and running_var is not None  # checked
        view, given = channel_view(input.shape), given_statistics(running_mean, running_var)
        return InstanceNormEval.apply(input, weight, bias, view=view, eps=eps, **given)
    (n, c), pixels = input.shape[:2], math.prod(input.shape[2:])
    if pixels == 1:
        raise ValueError(
            f"instance_norm: needs more than one value per plane, got input of shape {input.shape}"
        )
    view = channel_view(input.shape, c)
    statistics: list[Any] = []
    normalized: Tensor = InstanceNorm.apply(input, weight, bias, view=view, eps=eps, statistics=statistics)
    mean, var = statistics
    if input.numel() > 0:
        with on(mean):
            update_running(running_mean, mean.reshape(n, c).mean(axis=0, dtype=np.float64), momentum)
            unbiased = var.reshape(n, c).mean(axis=0, dtype=np.float64) * (pixels / (pixels - 1))
            update_running(running_var, unbiased, momentum)
    return normalized
