"""Layer normalisation (Ba, Kiros and Hinton 2016): statistics of each row, whatever the batch.

Notation: x (*, D...), a row being the last axes, those of ``normalized_shape`` D..., with d values; γ and β
(D...), a scale and a shift for each place in a row; g the cotangent of y.

    forward   x̂ = (x - μ_row) / √(σ²_row + ε),  y = γ x̂ + β
              with the mean and (biased) variance of each row
    backward  dβ = Σ g,  dγ = Σ g x̂  over the rows,  and with h = γ g and means over the row
              dx = (h - mean h - x̂ mean(h x̂)) / √(σ² + ε)

The same in training and evaluation. Shape rule: y has the shape of x. Forward and backward are those of
``_normalize.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidl._tensor import Tensor
from minidl.ops._normalize import Normalize, View, check_affine


class LayerNorm(Normalize):
    """y = γ x̂ + β with the statistics of each row."""


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each row (the last axes together), then scale and shift each place in it.

    Args:
        input: (..., *normalized_shape), floating-point.
        normalized_shape: the extents of the last axes, which are normalised together; at least one.
        weight, bias: γ and β, of ``normalized_shape``, or None.
        eps: added to the variance.

    Raises:
        ValueError: the input does not end in ``normalized_shape``, or weight or bias have another shape.
        TypeError: ``normalized_shape`` is no sequence of integers, the input is not floating-point, or weight
            or bias are of another dtype.

    >>> import minidl
    >>> minidl.ops.layer_norm(minidl.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    if not isinstance(normalized_shape, Sequence) or not all(
        isinstance(n, int | np.integer) for n in normalized_shape
    ):
        raise TypeError(f"layer_norm: normalized_shape must be a tuple of integers, got {normalized_shape!r}")
    shape = tuple(int(n) for n in normalized_shape)
    if not shape or input.shape[max(0, input.ndim - len(shape)) :] != shape:
        raise ValueError(
            f"layer_norm: normalized_shape {shape} must be the last extents of the input {input.shape}, "
            "one at least"
        )
    check_affine("layer_norm", input, weight, bias, shape)
    d, rows = math.prod(shape), math.prod(input.shape[: input.ndim - len(shape)])
    view = View((rows, d, 1), 1, shape)
    normalized: Tensor = LayerNorm.apply(input, weight, bias, view=view, eps=eps)
    return normalized
