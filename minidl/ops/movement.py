"""Views: reshape, flatten, squeeze, unsqueeze, permute, transpose; and flip, which copies.

Notation: y is the output, g its cotangent. No number is computed, nor in the adjoints, which move g back. The
views share memory with their input where NumPy can (a reshape of a permuted array must copy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops import _shapes


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

    tensor_backward = backward


class Permute(Function):
    """y[i_p(0), i_p(1), ...] = x[i_0, i_1, ...];  dx = g permuted by the inverse."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, order: tuple[int, ...]) -> Any:
        ctx.order_ = order
        return x.transpose(order)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g.transpose(np.argsort(ctx.order_).tolist())

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Permute.apply(g, order=tuple(np.argsort(ctx.order_).tolist()))


class Flip(Function):
    """y[..., i, ...] = x[..., n-1-i, ...] along each of the axes;  dx = g flipped again."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...]) -> Any:
        ctx.axes = axes
        return array_module(x).flip(x, axes).copy()

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return array_module(g).flip(g, ctx.axes)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Flip.apply(g, axes=ctx.axes)


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
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
        input.numel() == known
        if -1 not in shape
        else shape.count(-1) == 1 and known > 0 and input.numel() % known == 0
    )
    if not fits or any(n < -1 for n in shape):
        raise ValueError(
            f"reshape: {input.numel()} elements of shape {input.shape} do not fit into shape {shape}"
        )
    return Reshape.apply(input, shape=shape)


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Dimensions in another order: ``permute(x, (0, 2, 3, 1))`` turns (N, C, H, W) into (N, H, W, C). A view.

    Raises:
        ValueError: not every dimension is named once.

    >>> import minidl
    >>> minidl.ops.permute(minidl.tensor([[1, 2, 3]]), (1, 0)).shape
    (3, 1)
    """
    order = _shapes.dims(tuple(dims), input.shape, "permute")
    if len(order) != input.ndim:
        raise ValueError(f"permute: {tuple(dims)} does not name every dimension of shape {input.shape}")
    return Permute.apply(input, order=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged. A view.

    Raises:
        IndexError: no such dimension.

    >>> import minidl
    >>> minidl.ops.transpose(minidl.tensor([[1, 2, 3]]), 0, 1).shape
    (3, 1)
    """
    order = list(range(input.ndim))
    (a,), (b,) = _shapes.dims(dim0, input.shape, "transpose"), _shapes.dims(dim1, input.shape, "transpose")
    order[a], order[b] = order[b], order[a]
    return permute(input, order)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` (inclusive) made one.

    Raises:
        IndexError: no such dimension.
        RuntimeError: ``start_dim`` comes after ``end_dim``.

    >>> import minidl
    >>> minidl.ops.flatten(minidl.tensor([[[1, 2], [3, 4]]]), start_dim=1)
    tensor([[1, 2, 3, 4]])
    """
    if input.ndim == 0:
        return reshape(input, (1,))
    (first,), (last,) = (
        _shapes.dims(start_dim, input.shape, "flatten"),
        _shapes.dims(end_dim, input.shape, "flatten"),
    )
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    middle = math.prod(input.shape[first : last + 1])
    return reshape(input, (*input.shape[:first], middle, *input.shape[last + 1 :]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without dimensions of extent 1: all of them, or those of ``dim`` that have it. A view.

    Raises:
        IndexError: no such dimension.
        RuntimeError: a dimension is named twice.

    >>> import minidl
    >>> x = minidl.tensor([[[1], [2]]])
    >>> minidl.ops.squeeze(x).shape, minidl.ops.squeeze(x, 0).shape, minidl.ops.squeeze(x, (0, 1)).shape
    ((2,), (2, 1), (2, 1))
    """
    axes = _shapes.dims(dim, input.shape, "squeeze")
    return Reshape.apply(input, shape=tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in axes))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of extent 1 at ``dim``; -1 is after the last one. A view.

    Raises:
        IndexError: ``dim`` is outside -ndim-1 ... ndim.

    >>> import minidl
    >>> minidl.ops.unsqueeze(minidl.tensor([1, 2]), 1).shape
    (2, 1)
    """
    if not -input.ndim - 1 <= dim <= input.ndim:
        raise IndexError(f"unsqueeze: dimension {dim} is out of range for shape {input.shape}")
    axis = dim % (input.ndim + 1)
    return Reshape.apply(input, shape=(*input.shape[:axis], 1, *input.shape[axis:]))


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The elements backwards along each of the dimensions. A copy, as in torch.

    Raises:
        IndexError: no such dimension.
        RuntimeError: a dimension is named twice.
        TypeError: the dimensions are not a sequence.

    >>> import minidl
    >>> minidl.ops.flip(minidl.tensor([[1, 2], [3, 4]]), (0, 1))
    tensor([[4, 3],
            [2, 1]])
    """
    if isinstance(dims, int | np.integer):
        raise TypeError(f"flip: dimensions must be a sequence, got {dims!r}")
    return Flip.apply(input, axes=_shapes.dims(tuple(dims), input.shape, "flip"))
