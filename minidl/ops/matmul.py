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
from minidl.dispatch import array_module
from minidl.kernels import products
from minidl.ops._elementwise import summed_to


class Matmul(Function):
    """Z = X Y."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return product(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        # Vectors as matrices; then the two products are the same for every case.
        rows, columns = x.reshape(1, -1) if x.ndim == 1 else x, y.reshape(-1, 1) if y.ndim == 1 else y
        if x.ndim == 1:
            g = g.reshape(*g.shape[:-1], 1, *g.shape[-1:])
        if y.ndim == 1:
            g = g.reshape(*g.shape, 1)
        dx = dy = None
        if ctx.needs_input_grad[0]:
            dx = summed_to(product(g, columns.mT), rows.shape).reshape(x.shape)
        if ctx.needs_input_grad[1]:
            dy = summed_to(product(rows.mT, g), columns.shape).reshape(y.shape)
        return dx, dy

    tensor_backward = backward

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(output.size) * int(arrays[0].shape[-1])


def product(x: Any, y: Any) -> Any:
    """X Y of arrays, accurate and fast in every memory order; of tensors the operation.

    What BLAS cannot read (negative strides, gaps in both directions) NumPy multiplies, in some versions and
    in inner products of vectors always, by adding one term after the other: slowly and, in float32, with an
    error that grows with the number of terms instead of with its logarithm.
    """
    if isinstance(x, Tensor):
        return Matmul.apply(x, y)
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return products.matmul(_for_blas(x), _for_blas(y))
    return _for_blas(x) @ _for_blas(y)


def _for_blas(x: Any) -> Any:
    unit = x.itemsize
    if x.ndim == 1:
        return x if x.strides[0] == unit else array_module(x).ascontiguousarray(x)
    (m, n), (down, right) = x.shape[-2:], x.strides[-2:]
    readable = (right == unit and down >= n * unit) or (down == unit and right >= m * unit)
    return x if readable else array_module(x).ascontiguousarray(x)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product of (..., M, K) and (..., K, N), with broadcasting of the leading extents; ``x @ y``.

    Raises:
        TypeError: the factors have different dtypes, or are bool.
        ValueError: a factor is a scalar, the inner extents differ, or the leading ones do not broadcast.

    >>> import minidl
    >>> minidl.ops.matmul(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    input, other = (t if isinstance(t, Tensor) else Tensor(t) for t in (input, other))
    if input.ndim == 0 or other.ndim == 0:
        raise ValueError(
            f"matmul: both factors need at least one dimension, got shapes {input.shape} and {other.shape}"
        )
    if input.shape[-1] != other.shape[max(-2, -other.ndim)]:
        raise ValueError(f"matmul: inner extents differ in shapes {input.shape} and {other.shape}")
    if input.dtype != other.dtype:
        raise TypeError(f"matmul: factors have different dtypes, {input.dtype} and {other.dtype}")
    if input.dtype.kind == "b":
        raise TypeError("matmul: bool factors are not multiplied; cast them to integers")
    try:
        np.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: leading extents of shapes {input.shape} and {other.shape} do not broadcast"
        ) from None
    return Matmul.apply(input, other)
