"""Matrix product.

Notation: X (..., M, K), Y (..., K, N), Z = X Y (..., M, N); G is the cotangent of Z.

    forward   Z[m, n] = sum over k of X[m, k] Y[k, n]
    backward  dX = G Yᵀ,  dY = Xᵀ G

Shape rule: the inner extents agree, the leading ones broadcast; a vector counts as one row on the left and
one column on the right, and that extent of 1 is dropped from the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.ops._shapes import unbroadcast


class Matmul(Function):
    """Z = X Y."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return x @ y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        # Vectors as matrices; then the two products are the same for every case.
        rows, columns = x.reshape(1, -1) if x.ndim == 1 else x, y.reshape(-1, 1) if y.ndim == 1 else y
        if x.ndim == 1:
            g = g.reshape(*g.shape[: g.ndim - (y.ndim > 1)], 1, *g.shape[g.ndim - (y.ndim > 1) :])
        if y.ndim == 1:
            g = g.reshape(*g.shape, 1)
        dx = dy = None
        if ctx.needs_input_grad[0]:
            dx = unbroadcast(g @ columns.mT, rows.shape).reshape(x.shape)
        if ctx.needs_input_grad[1]:
            dy = unbroadcast(rows.mT @ g, columns.shape).reshape(y.shape)
        return dx, dy

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(output.size) * int(arrays[0].shape[-1])


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product of (..., M, K) and (..., K, N), with broadcasting of the leading extents; ``x @ y``.

    Raises:
        ValueError: a factor is a scalar, the inner extents differ, or the leading ones do not broadcast.

    >>> import minidl
    >>> minidl.ops.matmul(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x, y = (t if isinstance(t, Tensor) else Tensor(t) for t in (x, y))
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(
            f"matmul: both factors need at least one dimension, got shapes {x.shape} and {y.shape}"
        )
    if x.shape[-1] != y.shape[max(-2, -y.ndim)]:
        raise ValueError(f"matmul: inner extents differ in shapes {x.shape} and {y.shape}")
    if x.dtype != y.dtype:
        raise TypeError(f"matmul: factors have different dtypes, {x.dtype} and {y.dtype}")
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: leading extents of shapes {x.shape} and {y.shape} do not broadcast"
        ) from None
    return Matmul.apply(x, y)
