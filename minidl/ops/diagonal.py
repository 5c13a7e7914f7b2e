"""The diagonal of two dimensions.

Notation: y[..., i] = x[..., i + max(0, -k), ..., i + max(0, k), ...], where the two positions are ``dim1``
and ``dim2`` and k is the offset; g is the cotangent of y. The adjoint puts g back on the diagonal of zeros.

Shape rule: the two dimensions vanish, their diagonal becomes the last one.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims


class Diagonal(Function):
    """y = the diagonal of x, a view;  dx = zeros with g on the diagonal."""

    is_view = True

    @staticmethod
    def forward(ctx: Node, x: Any, *, offset: int, axes: tuple[int, int]) -> Any:
        ctx.shape, ctx.offset, ctx.axes = x.shape, offset, axes
        return _diagonal(x, offset, axes)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _embedded(g, ctx.shape, ctx.offset, ctx.axes)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Embed.apply(g, shape=ctx.shape, offset=ctx.offset, axes=ctx.axes)


class Embed(Function):
    """The adjoint of :class:`Diagonal`."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, shape: tuple[int, ...], offset: int, axes: tuple[int, int]) -> Any:
        ctx.offset, ctx.axes = offset, axes
        return _embedded(x, shape, offset, axes)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _diagonal(g, ctx.offset, ctx.axes)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Diagonal.apply(g, offset=ctx.offset, axes=ctx.axes)

    @classmethod
    def operation(cls) -> str:
        return "diagonal"


def _diagonal(x: Any, offset: int, axes: tuple[int, int]) -> Any:
    """A view through which the diagonal can also be written: the two axes are walked with one stride."""
    xp = array_module(x)
    matrices = xp.moveaxis(x, axes, (-2, -1))[..., max(0, -offset) :, max(0, offset) :]
    (*batch, rows, columns), (*outer, down, right) = matrices.shape, matrices.strides
    return xp.lib.stride_tricks.as_strided(matrices, (*batch, min(rows, columns)), (*outer, down + right))


def _embedded(g: Any, shape: tuple[int, ...], offset: int, axes: tuple[int, int]) -> Any:
    x = array_module(g).zeros(shape, g.dtype)
    _diagonal(x, offset, axes)[...] = g
    return x


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as the last dimension. A view.

    Args:
        input: at least two dimensions.
        offset: how far right of (below, where negative) the main diagonal.
        dim1, dim2: the rows and the columns.

    Raises:
        IndexError: no such dimension.
        RuntimeError: both are the same.

    >>> import minidl
    >>> x = minidl.tensor([[1, 2], [3, 4]])
    >>> minidl.ops.diagonal(x), minidl.ops.diagonal(x, offset=1)
    (tensor([1, 4]), tensor([2]))
    """
    if input.ndim < 2:
        raise IndexError(f"diagonal: needs two dimensions, got shape {input.shape}")
    first, second = dims((dim1, dim2), input.shape, "diagonal")
    return Diagonal.apply(input, offset=offset, axes=(first, second))
