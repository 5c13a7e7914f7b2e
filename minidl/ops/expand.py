"""Expansion: dimensions of extent 1 stretched, and new ones in front, without copying.

Notation: y[..., i, ...] = x[..., 0, ...] along every stretched dimension, g the cotangent of y; dx = g summed
over the stretched and the new dimensions.

Shape rule: dimensions are aligned at the right; each keeps its extent or stretches from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._elementwise import summed_to


class Expand(Function):
    """y = x, read again and again along the stretched dimensions;  dx = Σ g over them."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return array_module(x).broadcast_to(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return summed_to(g, ctx.shape)

    tensor_backward = backward


def spread(g: Any, shape: tuple[int, ...]) -> Any:
    """An array or a tensor broadcast to ``shape``: the adjoint of a sum."""
    if isinstance(g, Tensor):
        return Expand.apply(g, shape=shape)
    return array_module(g).broadcast_to(g, shape)


def expand(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Dimensions of extent 1 stretched to ``sizes``; -1 keeps an extent; new dimensions come in front.

    A view, which cannot be written to: several of its elements are one and the same number in memory.

    Raises:
        RuntimeError: too few extents, an extent that is neither the present one nor stretched from 1, or a
            -1 for a new dimension.

    >>> import minidl
    >>> minidl.ops.expand(minidl.tensor([[1], [2]]), (-1, 3))
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    sizes = tuple(int(n) for n in sizes)
    new = len(sizes) - x.ndim
    if new < 0:
        raise RuntimeError(f"expand: {len(sizes)} extents {sizes} for shape {x.shape}, which has more")
    present = (None,) * new + x.shape
    shape = tuple(n if size == -1 else size for n, size in zip(present, sizes, strict=True))
    for n, size in zip(present, shape, strict=True):
        if size is None or size < 0 or n not in (None, 1, size):
            raise RuntimeError(f"expand: shape {x.shape} cannot be expanded to {sizes}")
    return Expand.apply(x, shape=shape)
