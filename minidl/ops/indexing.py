"""Indexing, ``x[index]``, with torch's indices (``minidl/_indexing.py`` says what they mean).

Notation: y is the output, g its cotangent. The adjoint of taking elements is putting them back: dx is zero
except at the index, where g is added (an element that was taken twice gets both).
"""

from __future__ import annotations

from typing import Any

from minidl._indexing import Index, resolved
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Getitem(Function):
    """y = x[index], a view where no list, integer array or mask is in the index;  dx = g put back."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, index: Index) -> Any:
        ctx.shape, ctx.index = x.shape, index
        return _taken(x, index)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _put(g, ctx.index, ctx.shape)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return PutBack.apply(g, index=ctx.index, shape=ctx.shape)


class PutBack(Function):
    """y = zeros, to which x is added at the index: the adjoint of :class:`Getitem`;  dx = g[index]."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, index: Index, shape: tuple[int, ...]) -> Any:
        ctx.index = index
        return _put(x, index, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _taken(g, ctx.index)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Getitem.apply(g, index=ctx.index)

    @classmethod
    def operation(cls) -> str:
        return "getitem"


def _taken(x: Any, index: Index) -> Any:
    y = index.view_of(x)
    return y[index.taken] if index.taken else y


def _put(g: Any, index: Index, shape: tuple[int, ...]) -> Any:
    xp = array_module(g)
    x = xp.zeros(shape, g.dtype)
    if index.taken:
        xp.add.at(index.view_of(x), index.taken, g)
    else:
        index.view_of(x)[...] = g  # no element is there twice
    return x


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` with torch's indices: integers, slices, ``...``, ``None``, integer arrays, masks.

    As in torch, an integer, also a tensor of one without dimensions, takes its dimension away before lists
    and masks are looked at (NumPy counts it as a list), uint8 tensors are masks, and a list of lists is a
    tuple of lists. Other than torch, slices may step backwards, tensors of all integers may be indices, and
    a list of floats may not.

    Returns:
        a view where there are integers, slices, ``...`` and ``None`` only, else a copy.

    Raises:
        IndexError: out of range, too many indices, or what is no index.
        TypeError: text, or a slice of something else than integers.

    >>> import minidl
    >>> x = minidl.arange(24).reshape(2, 3, 4)
    >>> x[0, :, [0, 3]]
    tensor([[ 0,  3],
            [ 4,  7],
            [ 8, 11]])
    >>> x[x > 20]
    tensor([21, 22, 23])
    """
    return Getitem.apply(x, index=resolved("getitem", index, x.data))
