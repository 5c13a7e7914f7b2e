"""Concatenation along one dimension, as the skip connections of a U-Net need it.

Notation: x_1 ... x_m agree in every extent but that of ``dim``, whose extents add up. The adjoint cuts g into
the same pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims


class Cat(Function):
    """y = [x_1, ..., x_m] along one axis;  dx_i = the piece of g where x_i lies."""

    @staticmethod
    def forward(ctx: Node, *xs: Any, axis: int) -> Any:
        ctx.axis = axis
        ctx.cuts = np.cumsum([x.shape[axis] for x in xs])[:-1]
        return array_module(xs[0]).concatenate(xs, axis=axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return tuple(array_module(g).split(g, ctx.cuts, axis=ctx.axis))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along ``dim``.

    Args:
        tensors: at least one; equal extents except along ``dim``.
        dim: where to join; negative counts from the end.

    Raises:
        ValueError: no tensors, or shapes that do not fit.
        IndexError: no such dimension.

    >>> import minidl
    >>> minidl.cat([minidl.tensor([[1, 2]]), minidl.tensor([[3, 4], [5, 6]])], dim=0)
    tensor([[1, 2],
            [3, 4],
            [5, 6]])
    """
    tensors = [t if isinstance(t, Tensor) else Tensor(t) for t in tensors]
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    (axis,) = dims(dim, tensors[0].shape, "cat") or (-1,)
    if axis < 0:
        raise ValueError("cat: tensors without dimensions cannot be joined")
    rest = {(t.ndim, *t.shape[:axis], *t.shape[axis + 1 :]) for t in tensors}
    if len(rest) != 1:
        raise ValueError(
            f"cat: shapes {', '.join(str(t.shape) for t in tensors)} differ outside dimension {dim}"
        )
    return Cat.apply(*tensors, axis=axis)
