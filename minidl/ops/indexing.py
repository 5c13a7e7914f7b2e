"""Indexing, ``x[index]``, as NumPy does it.

Notation: y is the output, g its cotangent. The adjoint of taking elements is putting them back: dx is zero
except at the index, where g is added (an element that was taken twice gets both).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minidl._tensor import Tensor, plain_index
from minidl.autograd import Function, Node
from minidl.dispatch import array_module


class Getitem(Function):
    """y = x[index], a view where no list, integer array or mask is in the index;  dx = g put back."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, index: Any) -> Any:
        ctx.shape, ctx.index = x.shape, index
        return array_module(x).asarray(x[index])

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _put(g, ctx.index, ctx.shape)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return PutBack.apply(g, index=ctx.index, shape=ctx.shape)


class PutBack(Function):
    """y = zeros, to which x is added at the index: the adjoint of :class:`Getitem`;  dx = g[index]."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
        ctx.index = index
        return _put(x, index, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return array_module(g).asarray(g[ctx.index])

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Getitem.apply(g, index=ctx.index)

    @classmethod
    def operation(cls) -> str:
        return "getitem"


def _put(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    xp = array_module(g)
    x = xp.zeros(shape, g.dtype)
    if _is_basic(index):
        x[index] = g
    else:
        xp.add.at(x, index, g)
    return x


def _is_basic(index: Any) -> bool:
    """Integers, bools, slices, None and ...: no element can be named twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is ... or isinstance(p, slice | int | np.integer) for p in parts)


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` with NumPy's indices: integers, slices, ``...``, ``None``, integer arrays, masks.

    Raises:
        IndexError: out of range, or too many indices.

    >>> import minidl
    >>> minidl.tensor([[1, 2], [3, 4]])[:, 0]
    tensor([1, 3])
    """
    index = plain_index(index, x.data)
    if not _is_basic(index):
        index = copy.deepcopy(index)  # the backward must see the arrays or lists in it as they are now
    try:
        return Getitem.apply(x, index=index)
    except IndexError as error:
        raise IndexError(f"getitem: {error} (shape {x.shape})") from None
