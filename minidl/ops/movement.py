"""Views: reshape, permute, transpose, flatten, indexing. They move no numbers, nor do their adjoints.

Notation: y is the output, g its cotangent. All of them share memory with their input where NumPy can (a
reshape of a permuted array and an index by a list or mask must copy).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor, plain_index
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims


class Reshape(Function):
    """The same elements, in row-major order, in another shape;  dx = g in the shape of x."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return x.reshape(shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g.reshape(ctx.shape)


class Permute(Function):
    """y[i_p(0), i_p(1), ...] = x[i_0, i_1, ...];  dx = g permuted by the inverse."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, order: tuple[int, ...]) -> Any:
        ctx.order_ = order
        return x.transpose(order)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g.transpose(np.argsort(ctx.order_))


class Getitem(Function):
    """y = x[index];  dx is zero except at the index, where g is added (an element taken twice gets both)."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, index: Any) -> Any:
        ctx.shape, ctx.index = x.shape, index
        return array_module(x).asarray(x[index])

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        xp = array_module(g)
        dx = xp.zeros(ctx.shape, g.dtype)
        if _is_basic(ctx.index):
            dx[ctx.index] = g
        else:
            xp.add.at(dx, ctx.index, g)
        return dx


def _is_basic(index: Any) -> bool:
    """Integers, slices, None and ...: no element can be named twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None or p is ... or (isinstance(p, slice | int | np.integer) and not isinstance(p, bool))
        for p in parts
    )


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; one extent may be -1 and is worked out.

    Raises:
        ValueError: the number of elements does not fit.

    >>> import minidl
    >>> minidl.ops.reshape(minidl.tensor([1, 2, 3, 4]), (2, -1))
    tensor([[1, 2],
            [3, 4]])
    """
    shape = tuple(int(n) for n in shape)
    known = math.prod(n for n in shape if n != -1)
    fits = (
        x.numel() == known
        if -1 not in shape
        else shape.count(-1) == 1 and known > 0 and x.numel() % known == 0
    )
    if not fits or any(n < -1 for n in shape):
        raise ValueError(f"reshape: {x.numel()} elements of shape {x.shape} do not fit into shape {shape}")
    return Reshape.apply(x, shape=shape)


def permute(x: Tensor, dims_: Sequence[int]) -> Tensor:
    """Dimensions in another order: ``permute(x, (0, 2, 3, 1))`` turns (N, C, H, W) into (N, H, W, C). A view.

    Raises:
        ValueError: not every dimension is named once.

    >>> import minidl
    >>> minidl.ops.permute(minidl.tensor([[1, 2, 3]]), (1, 0)).shape
    (3, 1)
    """
    order = dims(tuple(dims_), x.shape, "permute")
    if len(order) != x.ndim:
        raise ValueError(f"permute: {tuple(dims_)} does not name every dimension of shape {x.shape}")
    return Permute.apply(x, order=order)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged. A view.

    Raises:
        IndexError: no such dimension.

    >>> import minidl
    >>> minidl.ops.transpose(minidl.tensor([[1, 2, 3]]), 0, 1).shape
    (3, 1)
    """
    order = list(range(x.ndim))
    (a,), (b,) = dims(dim0, x.shape, "transpose"), dims(dim1, x.shape, "transpose")
    order[a], order[b] = order[b], order[a]
    return permute(x, order)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` (inclusive) made one.

    Raises:
        IndexError: no such dimension.
        RuntimeError: ``start_dim`` comes after ``end_dim``.

    >>> import minidl
    >>> minidl.ops.flatten(minidl.tensor([[[1, 2], [3, 4]]]), start_dim=1)
    tensor([[1, 2, 3, 4]])
    """
    if x.ndim == 0:
        return reshape(x, (1,))
    (first,), (last,) = dims(start_dim, x.shape, "flatten"), dims(end_dim, x.shape, "flatten")
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    middle = math.prod(x.shape[first : last + 1])
    return reshape(x, (*x.shape[:first], middle, *x.shape[last + 1 :]))


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` with NumPy's indices: integers, slices, ``...``, ``None``, integer arrays, masks.

    Raises:
        IndexError: out of range, or too many indices.

    >>> import minidl
    >>> minidl.tensor([[1, 2], [3, 4]])[:, 0]
    tensor([1, 3])
    """
    index = plain_index(index)
    if not _is_basic(index):
        index = copy.deepcopy(index)  # the backward must see the arrays or lists in it as they are now
    try:
        return Getitem.apply(x, index=index)
    except IndexError as error:
        raise IndexError(f"getitem: {error} (shape {x.shape})") from None
