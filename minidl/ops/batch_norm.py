"""Batch normalisation (Ioffe and Szegedy 2015): statistics of each channel over the whole batch.

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

Shape rule: y has the shape of x. Forward and backward are those of ``_normalize.py``, each channel a group.
"""

from __future__ import annotations

import math
from typing import Any

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


class BatchNorm(Normalize):
    """y = γ x̂ + β with the statistics of this batch."""


class BatchNormEval(NormalizeBy):
    """y = γ (x - μ) / √(σ² + ε) + β with the running statistics."""


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
        running_mean, running_var: (C), updated in place while training; both ``None`` where no record is
            kept.
        weight, bias: γ and β, (C), or None.
        training: use the statistics of this batch (else the running ones).
        momentum: share of the batch in the running statistics.
        eps: added to the variance; positive in training.

    Raises:
        ValueError: shapes that do not fit, a single value a channel in training, evaluation without running
            statistics, or ``eps`` not positive in training.
        TypeError: the input is not floating-point, or weight or bias are of another dtype.

    >>> import minidl
    >>> x = minidl.tensor([[[[1.0, 3.0]]]])
    >>> minidl.ops.batch_norm(x, None, None, training=True, eps=1e-12)
    tensor([[[[-1.,  1.]]]])
    """
    check_channels("batch_norm", input, weight, bias)
    check_running("batch_norm", input, running_mean, running_var, needed=not training)
    view = channel_view(input.shape)
    if not training:
        assert running_mean is not None and running_var is not None  # checked
        given = given_statistics(running_mean, running_var)
        return BatchNormEval.apply(input, weight, bias, view=view, eps=eps, **given)
    if not eps > 0:
        raise ValueError(f"batch_norm: eps must be positive in training, got {eps}")
    count = input.shape[0] * math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got input of shape {input.shape}"
        )
    statistics: list[Any] = []
    normalized: Tensor = BatchNorm.apply(input, weight, bias, view=view, eps=eps, statistics=statistics)
    mean, var = statistics
    if count > 0:
        with on(mean):
            update_running(running_mean, mean, momentum)
            update_running(running_var, var * (count / (count - 1)), momentum)
    return normalized
