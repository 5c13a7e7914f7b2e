"""Sorting along a dimension, and the k largest or smallest elements.

Notation: t are the indices of the elements in order, y[i] = x[t[i]] along ``dim``; g is the cotangent of y.
Each element goes to one place at most, so its gradient comes from there: dx[t[i]] = g[i], and 0 for elements
that are not among the k.

NaN is larger than everything, and equal elements keep their order (``stable`` is always true), as in torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims
from minidl.ops.clone import clone
from minidl.ops.gather import put_back


class Sorted(NamedTuple):
    """Elements in order along a dimension, and where each one came from (int64)."""

    values: Tensor
    indices: Tensor


class Sort(Function):
    """y = the first elements of x in order along one axis, and their indices."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axis: int, descending: bool, count: int) -> Any:
        xp = array_module(x)
        index = _order(x, axis, descending)
        index = xp.ascontiguousarray(index[(slice(None),) * axis + (slice(count),)])
        ctx.save(index)
        ctx.shape, ctx.axis = x.shape, axis
        return xp.take_along_axis(x, index, axis=axis), index

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        (index,) = ctx.saved
        return put_back(g, index, ctx.shape, ctx.axis)

    tensor_backward = backward


class Topk(Sort):
    """As :class:`Sort`, under the name of ``topk``."""


def _order(x: Any, axis: int, descending: bool) -> Any:
    """The indices that sort ``x``, equal elements in their order."""
    xp = array_module(x)
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable").astype(np.int64, copy=False)
    # Backwards through the array and then backwards through the result: equal elements are turned twice.
    backwards = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return (x.shape[axis] - 1 - xp.flip(backwards, axis)).astype(np.int64, copy=False)


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Sorted:
    """Elements in order along ``dim``: a named pair (values, indices).

    Args:
        input: any shape.
        dim: along which to sort.
        descending: the largest first.
        stable: accepted as in torch; equal elements keep their order in any case.

    Raises:
        IndexError: no such dimension.

    >>> import minidl
    >>> values, indices = minidl.ops.sort(minidl.tensor([3.0, 1.0, 2.0]))
    >>> values, indices
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    axes = dims(dim, input.shape, "sort")
    if not axes:
        return Sorted(clone(input), Tensor(array_module(input.data).zeros((), np.int64)))
    return Sorted(*Sort.apply(input, axis=axes[0], descending=descending, count=input.shape[axes[0]]))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices (int64) that sort ``input`` along ``dim``; arguments and errors as :func:`sort`.

    >>> import minidl
    >>> minidl.ops.argsort(minidl.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([0, 2, 1])
    """
    axes = dims(dim, input.shape, "argsort")
    with on(input.data):
        return Tensor(
            _order(input.data, axes[0], descending) if axes else array_module(input.data).zeros((), np.int64)
        )


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The ``k`` largest (or smallest) elements along ``dim``: a named pair (values, indices).

    Args:
        input: any shape, not bool.
        k: how many, 0 to the extent of ``dim``.
        dim: along which to look.
        largest: the largest (else the smallest); NaN is larger than everything.
        sorted: accepted as in torch; the result is in order in any case, of equal elements the first ones.

    Raises:
        IndexError: no such dimension.
        TypeError: the tensor is bool.
        ValueError: ``k`` is negative or larger than the extent.

    >>> import minidl
    >>> minidl.ops.topk(minidl.tensor([3.0, 1.0, 2.0]), 2)
    Sorted(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    axes = dims(dim, input.shape, "topk")
    if input.dtype.kind == "b":
        raise TypeError("topk: bool tensors are not ordered; cast them to integers")
    extent = input.shape[axes[0]] if axes else 1
    if not 0 <= k <= extent:
        raise ValueError(f"topk: k must lie in 0..{extent}, got {k} (shape {input.shape}, dimension {dim})")
    if not axes:
        return Sorted(clone(input), Tensor(array_module(input.data).zeros((), np.int64)))
    return Sorted(*Topk.apply(input, axis=axes[0], descending=largest, count=k))
