"""Joining along one dimension, as the skip connections of a U-Net need it, and cutting into pieces.

Notation: x_1 ... x_m agree in every extent but that of ``dim``, whose extents add up to that of y.

    cat    y = [x_1, ..., x_m]       dx_i = the piece of g where x_i lies (split)
    split  y_1, ..., y_m = x         dx = [g_1, ..., g_m] (cat)

``stack`` joins along a new dimension, ``chunk`` cuts into a number of pieces. Pieces are views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import cast, result_dtype
from minidl.ops._shapes import dims
from minidl.ops.movement import unsqueeze


class Cat(Function):
    """y = [x_1, ..., x_m] along one axis;  dx_i = the piece of g where x_i lies."""

    @staticmethod
    def forward(ctx: Node, *xs: Any, axis: int) -> Any:
        ctx.axis = axis
        ctx.sizes = tuple(x.shape[axis] for x in xs)
        ctx.kernels = kernels("cat", xs[0])
        return ctx.kernels.forward(*xs, axis=axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, ctx.sizes, ctx.axis)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Any:
        return _cut(g, ctx.sizes, ctx.axis)


class Split(Function):
    """y_1, ..., y_m = the pieces of x along one axis;  dx = [g_1, ..., g_m]. Called by :func:`_cut`."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, sizes: tuple[int, ...], axis: int) -> Any:
        ctx.kernels, ctx.axis = kernels("cat", x), axis
        return _pieces(x, sizes, axis)

    @staticmethod
    def backward(ctx: Node, *gs: Any) -> Any:
        return ctx.kernels.forward(*gs, axis=ctx.axis)

    @staticmethod
    def tensor_backward(ctx: Node, *gs: Tensor) -> Tensor:
        return Cat.apply(*gs, axis=ctx.axis)


def _pieces(x: Any, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    ends = np.cumsum(sizes).tolist()
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along ``dim``.

    Args:
        tensors: at least one; equal extents except along ``dim``. Different dtypes are promoted as in a sum.
            Tensors of shape (0,) are left out where others have more dimensions, as in torch.
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
    dtype = result_dtype(tensors)
    tensors = [t for t in tensors if t.shape != (0,)] or tensors
    axes = dims(dim, tensors[0].shape, "cat")
    if not axes:
        raise ValueError("cat: tensors without dimensions cannot be joined")
    (axis,) = axes
    rest = {(t.ndim, *t.shape[:axis], *t.shape[axis + 1 :]) for t in tensors}
    if len(rest) != 1:
        raise ValueError(
            f"cat: shapes {', '.join(str(t.shape) for t in tensors)} differ outside dimension {dim}"
        )
    return Cat.apply(*(cast(t, dtype) for t in tensors), axis=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new dimension ``dim``; -1 is after the last one.

    Raises:
        ValueError: no tensors, or shapes that differ.
        IndexError: ``dim`` is outside -ndim-1 ... ndim.

    >>> import minidl
    >>> minidl.ops.stack([minidl.tensor([1, 2]), minidl.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = [t if isinstance(t, Tensor) else Tensor(t) for t in tensors]
    if not tensors:
        raise ValueError("stack: expected at least one tensor")
    shape = tensors[0].shape
    if any(t.shape != shape for t in tensors):
        raise ValueError(f"stack: shapes {', '.join(str(t.shape) for t in tensors)} differ")
    if not -len(shape) - 1 <= dim <= len(shape):
        raise IndexError(f"stack: dimension {dim} is out of range for shape {shape}")
    axis = dim % (len(shape) + 1)
    return cat([unsqueeze(t, axis) for t in tensors], axis)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Cut into pieces along ``dim``: views of ``tensor``.

    Args:
        tensor: at least one dimension.
        split_size_or_sections: the extent of each piece (the last one may be smaller), or the extents of all.
        dim: along which to cut.

    Raises:
        IndexError: no such dimension.
        ValueError: negative extents, extents that do not add up, or a size of 0 where there is something to
            cut.

    >>> import minidl
    >>> minidl.ops.split(minidl.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    >>> minidl.ops.split(minidl.tensor([1, 2, 3]), [1, 2])
    (tensor([1]), tensor([2, 3]))
    """
    axis = _axis(tensor, dim, "split")
    extent, given = tensor.shape[axis], split_size_or_sections
    if isinstance(given, int | np.integer):
        if given < 0 or (given == 0 and extent):
            raise ValueError(f"split: pieces of {given} along dimension {dim} of shape {tensor.shape}")
        # The last piece ends where x ends, if not before.
        sizes = [int(given)] * (-(-extent // given) if extent else 1)
    else:
        sizes = [int(n) for n in given]
        if any(n < 0 for n in sizes) or sum(sizes) != extent:
            raise ValueError(
                f"split: extents {sizes} do not add up to {extent} (shape {tensor.shape}, dimension {dim})"
            )
    return _cut(tensor, sizes, axis)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut into ``chunks`` pieces along ``dim``, views of ``input``, all but the last of the same extent.

    Fewer pieces, where that extent, rounded up, is used up before.

    Raises:
        IndexError: no such dimension.
        ValueError: ``chunks`` is not positive.

    >>> import minidl
    >>> minidl.ops.chunk(minidl.tensor([1, 2, 3, 4, 5]), 2)
    (tensor([1, 2, 3]), tensor([4, 5]))
    """
    axis = _axis(input, dim, "chunk")
    if chunks < 1:
        raise ValueError(f"chunk: the number of pieces must be positive, got {chunks}")
    size = -(-input.shape[axis] // chunks)
    return split(input, size, axis) if size else _cut(input, [size] * chunks, axis)


def _axis(x: Tensor, dim: int, operation: str) -> int:
    if x.ndim == 0:
        raise ValueError(f"{operation}: a tensor without dimensions cannot be cut")
    return dims(dim, x.shape, operation)[0]


def _cut(x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
    if not sizes:
        return ()
    pieces: tuple[Tensor, ...] = Split.apply(x, sizes=tuple(sizes), axis=axis)
    for piece in pieces:  # all of them are views: a change of one is a change of x
        piece._version = x._version
    return pieces
