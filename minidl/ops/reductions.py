"""Sum, mean and maximum over some dimensions.

Notation: R is the set of reduced positions, n their number, g the cotangent of the result y.

    sum   y = Σ_R x        dx = g at every position of R
    mean  y = (1/n) Σ_R x  dx = g / n
    max   y = max_R x      dx = g at the maximum, 0 elsewhere

Where several positions tie, the maximum along ``dim`` gives g to the first one, and the maximum over
everything shares it evenly, as in torch.

Shape rule: reduced dimensions vanish, or stay with extent 1 where ``keepdim=True``.

Accuracy: NumPy adds pairwise only along contiguous memory. Elsewhere the rounding error of a float32 sum
grows with its length instead of with its logarithm, so sums are accumulated in float64 unless the array lies
in C order and its last dimension is reduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims

Dims = int | Sequence[int] | None


class MaxResult(NamedTuple):
    """Maxima along a dimension and where each one was found (int64)."""

    values: Tensor
    indices: Tensor


def accurate_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """Sum over ``axes`` with the dimensions kept, accurate in every memory order."""
    pairwise = x.flags.c_contiguous and x.ndim - 1 in axes
    if x.dtype != np.float32 or pairwise or not axes:
        return x.sum(axis=axes, keepdims=True)
    return x.sum(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)


def _drop(y: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    return y if keepdim else y.reshape([n for i, n in enumerate(y.shape) if i not in axes])


def _keep(g: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    return g.reshape([1 if i in axes else n for i, n in enumerate(shape)])


class Sum(Function):
    """y = Σ x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        return _drop(accurate_sum(x, axes), axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        shape, axes = ctx.shape, ctx.axes
        return array_module(g).broadcast_to(_keep(g, shape, axes), shape)


class Mean(Function):
    """y = (1/n) Σ x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        ctx.n = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
        return _drop(accurate_sum(x, axes) / x.dtype.type(ctx.n), axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        shape, axes = ctx.shape, ctx.axes
        return array_module(g).broadcast_to(_keep(g / g.dtype.type(ctx.n), shape, axes), shape)


class MaxAll(Function):
    """y = max x over everything; positions that tie share the cotangent evenly."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        y = x.max()
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        at_maximum = x == y if y == y else x != x
        return at_maximum * (g / g.dtype.type(at_maximum.sum()))

    @classmethod
    def operation(cls) -> str:
        return "max"


class MaxDim(Function):
    """y = max x along one dimension, and the index of the first maximum, which gets the cotangent."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axis: int, keepdim: bool) -> Any:
        xp = array_module(x)
        index = xp.expand_dims(x.argmax(axis=axis), axis)
        ctx.save(index)
        ctx.shape, ctx.axis = x.shape, axis
        y = xp.take_along_axis(x, index, axis=axis)
        return _drop(y, (axis,), keepdim), _drop(index, (axis,), keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        (index,) = ctx.saved
        shape, axis = ctx.shape, ctx.axis
        xp = array_module(g)
        dx = xp.zeros(shape, g.dtype)
        xp.put_along_axis(dx, index, _keep(g, shape, (axis,)), axis=axis)
        return dx

    @classmethod
    def operation(cls) -> str:
        return "max"


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Sum over the given dimensions (all by default).

    Args:
        x: any shape.
        dim: a dimension or several; negative ones count from the end.
        keepdim: keep the reduced dimensions with extent 1.

    Raises:
        IndexError: no such dimension.

    >>> import minidl
    >>> minidl.ops.sum(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if x.dtype.kind == "b":
        x = Tensor(x.data.astype(np.int64))
    return Sum.apply(x, axes=dims(dim, x.shape, "sum"), keepdim=keepdim)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Arithmetic mean over the given dimensions (all by default); NaN over nothing. Arguments as :func:`sum`.

    Raises:
        IndexError: no such dimension.
        TypeError: the tensor is not floating-point.

    >>> import minidl
    >>> minidl.ops.mean(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
    tensor([[1.5],
            [3.5]])
    """
    if x.dtype.kind != "f":
        raise TypeError(f"mean: the tensor must be floating-point, got {x.dtype}")
    return Mean.apply(x, axes=dims(dim, x.shape, "mean"), keepdim=keepdim)


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Largest element: over everything a 0-d tensor, along ``dim`` a named pair (values, indices). NaN wins.

    Raises:
        IndexError: no such dimension.
        ValueError: there is nothing to take the maximum of.

    >>> import minidl
    >>> values, indices = minidl.ops.max(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    >>> values, indices
    (tensor([5., 7.]), tensor([1, 0]))
    """
    if dim is None:
        if x.numel() == 0:
            raise ValueError(f"max: a tensor of shape {x.shape} has no elements")
        return MaxAll.apply(x)
    (axis,) = dims(dim, x.shape, "max") or (None,)
    if axis is None:
        return MaxResult(MaxAll.apply(x), Tensor(np.zeros((), np.int64)))
    if x.shape[axis] == 0:
        raise ValueError(f"max: dimension {dim} of shape {x.shape} has no elements")
    return MaxResult(*MaxDim.apply(x, axis=axis, keepdim=keepdim))
