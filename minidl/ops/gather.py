"""Picking elements along a dimension by their indices, and adding elements there: each the other's adjoint.

Notation, for dimension 1 of three: index t has the shape of the picked elements, g is the cotangent of y.

    gather       y[i, j, k] = x[i, t[i,j,k], k]               dx = g added to zeros there (scatter_add)
    scatter_add  y = x, then y[i, t[i,j,k], k] += s[i,j,k]    dx = g,  ds = g picked from there (gather)

An element that is picked several times gets the sum of the cotangents.

Shape rule: x and t have as many dimensions, and t is nowhere longer than x except along ``dim``; for
scatter_add t is nowhere longer than s either. Indices count from 0; negative ones are refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims
from minidl.ops.clone import clone
from minidl.ops.pad import Pad


class Gather(Function):
    """y = x at the index along one axis;  dx = g scattered back."""

    @staticmethod
    def forward(ctx: Node, x: Any, index: Any, *, axis: int) -> Any:
        ctx.shape, ctx.axis = x.shape, axis
        ctx.save(index)
        return x[_positions(index, axis)]

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return put_back(g, index, ctx.shape, ctx.axis), None

    tensor_backward = backward


class ScatterAdd(Function):
    """y = x with the source added at the index along one axis;  dx = g,  ds = g picked from there."""

    @staticmethod
    def forward(ctx: Node, x: Any, index: Any, source: Any, *, axis: int) -> Any:
        ctx.source, ctx.axis = source.shape, axis
        ctx.save(index)
        part = source[tuple(slice(n) for n in index.shape)]
        return x + _scattered(part, index, x.shape, axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        picked = g[_positions(index, ctx.axis)]
        ds = array_module(g).zeros(ctx.source, g.dtype)
        ds[tuple(slice(n) for n in index.shape)] = picked
        return g, None, ds

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Any:
        (index,) = ctx.saved
        picked = Gather.apply(g, index, axis=ctx.axis)
        widths = tuple((0, n - m) for n, m in zip(ctx.source, index.shape, strict=True))
        return g, None, Pad.apply(picked, widths=widths, value=0.0)


def put_back(g: Any, index: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Zeros of this shape to which ``g`` is added at the index: of arrays, or of tensors."""
    if not isinstance(g, Tensor):
        return _scattered(g, index, shape, axis)
    zeros = Tensor(array_module(g.data).zeros(shape, g.dtype))
    return ScatterAdd.apply(zeros, index, g, axis=axis)


def _positions(index: Any, axis: int) -> tuple[Any, ...]:
    """An index for each axis: the given one along ``axis``, each element's own elsewhere."""
    xp = array_module(index)
    own = [
        xp.arange(n).reshape((1,) * i + (n,) + (1,) * (index.ndim - 1 - i)) for i, n in enumerate(index.shape)
    ]
    return tuple(index if i == axis else own[i] for i in range(index.ndim))


def _scattered(g: Any, index: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Zeros with ``g`` added at the index.

    Floating-point numbers are counted into bins, which adds in float64 whatever the memory order, and is
    several times as fast as ``add.at``.
    """
    xp = array_module(g)
    if g.dtype.kind != "f":
        y = xp.zeros(shape, g.dtype)
        xp.add.at(y, _positions(index, axis), g)
        return y
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    flat = xp.zeros(index.shape, np.int64)
    for positions, stride in zip(_positions(index, axis), strides, strict=True):
        flat += positions * stride
    return xp.bincount(flat.reshape(-1), g.reshape(-1), math.prod(shape)).astype(g.dtype).reshape(shape)


def _checked(operation: str, x: Tensor, dim: int, index: Tensor) -> tuple[int, ...]:
    """The axis, after every rule about the index; () where x has no dimensions."""
    axes = dims(dim, x.shape, operation)
    if index.dtype not in (np.int64, np.int32):
        raise TypeError(f"{operation}: index must be int64 or int32, got {index.dtype}")
    if index.ndim != x.ndim:
        raise ValueError(
            f"{operation}: index of shape {index.shape} needs as many dimensions as the input of {x.shape}"
        )
    if any(m > n for i, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if i not in axes):
        raise ValueError(
            f"{operation}: index of shape {index.shape} is larger than the input of shape {x.shape} "
            f"in another dimension than {dim}"
        )
    extent = x.shape[axes[0]] if axes else 1
    if index.numel() and (index.data.min() < 0 or index.data.max() >= extent):
        wrong = index.data.min() if index.data.min() < 0 else index.data.max()
        raise IndexError(f"{operation}: index {wrong} is out of range for dimension {dim} of shape {x.shape}")
    return axes


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements of ``input`` picked along ``dim``: ``y[i, j] = input[i, index[i, j]]`` for ``dim=1``.

    Args:
        input: any shape.
        dim: along which the indices count.
        index: int64 or int32, as many dimensions as the input, none longer than the input's but ``dim``.

    Returns:
        the shape of ``index``.

    Raises:
        IndexError: no such dimension, or an index out of range (negative ones are).
        TypeError: the index is not int64 or int32.
        ValueError: shapes that do not fit.

    >>> import minidl
    >>> minidl.ops.gather(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, minidl.tensor([[0, 0], [1, 0]]))
    tensor([[1., 1.],
            [4., 3.]])
    """
    axes = _checked("gather", input, dim, index)
    if not axes:  # a 0-d tensor has one element, and index 0 picks it
        return clone(input)
    return Gather.apply(input, index, axis=axes[0])


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The input with ``src`` added at the index: ``y[i, index[i, j]] += src[i, j]`` for ``dim=1``.

    Args:
        input: any shape.
        dim: along which the indices count.
        index: int64 or int32, as many dimensions as the input, none longer than the input's but ``dim``.
        src: the dtype of ``input``; in no dimension shorter than ``index`` (what lies beyond is not added).

    Raises:
        IndexError, TypeError, ValueError: as :func:`gather`; or ``src`` has another dtype or is too small.

    >>> import minidl
    >>> minidl.ops.scatter_add(minidl.tensor([1.0, 1.0]), 0, minidl.tensor([0, 0]), minidl.tensor([5.0, 7.0]))
    tensor([13.,  1.])
    """
    axes = _checked("scatter_add", input, dim, index)
    if src.dtype != input.dtype:
        raise TypeError(f"scatter_add: src is {src.dtype}, but the input {input.dtype}")
    if src.ndim != index.ndim or any(m > n for m, n in zip(index.shape, src.shape, strict=True)):
        raise ValueError(f"scatter_add: src of shape {src.shape} is smaller than the index, {index.shape}")
    if not axes:
        return input + src
    return ScatterAdd.apply(input, index, src, axis=axes[0])
