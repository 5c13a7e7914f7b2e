"""Dropout: in training each element is zeroed with probability p, the others are scaled by 1/(1-p).

Notation: m is the mask, 0 with probability p and 1/(1-p) otherwise, so that E[m x] = x; g the cotangent of y.

    forward  y = m ⊙ x        backward  dx = m ⊙ g        (Srivastava et al. 2014, in the "inverted" form)
"""

from __future__ import annotations

from typing import Any

from minidl import random
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Dropout(Function):
    """y = m ⊙ x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, p: float) -> Any:
        xp = array_module(x)
        # Drawn on the host in row-major order, whatever the memory order of x: one seed, one mask.
        kept = xp.asarray(random.generator().random(x.shape, dtype="float32") >= p)
        scale = 1 / (1 - p) if p < 1 else 0.0
        mask = kept * x.dtype.type(scale)
        ctx.save(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (mask,) = ctx.saved
        return g * mask


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero each element with probability ``p`` and scale the rest by 1/(1-p); the identity when not training.

    Args:
        x: any shape, floating-point.
        p: probability in [0, 1].
        training: whether to drop at all.

    Raises:
        ValueError: p is no probability.

    >>> import minidl
    >>> minidl.manual_seed(0)
    >>> y = minidl.ops.dropout(minidl.tensor([1.0] * 1000), p=0.25)
    >>> sorted(set(y.tolist()))
    [0.0, 1.3333333730697632]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be a probability between 0 and 1, got {p}")
    return Dropout.apply(x, p=float(p)) if training and p > 0 else x
