"""Reading from planes at given pixels, and adding back to them: each is the adjoint of the other.

Notation: a plane is one (n, c); q its pixel's number, row·W + column; index (N, C, h, w) int64.

    Gather       y[n,c,i,j] = x[n, c, index[n,c,i,j]]
    ScatterAdd   x[n, c, index[n,c,i,j]] += y[n,c,i,j]

What the derivatives of max pooling and of its inverse are made of. Their kernels are beside max unpooling's.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair


class Gather(Function):
    """y = x at the indices."""

    @staticmethod
    def forward(ctx: Node, x: Any, index: Any) -> Any:
        ctx.save(index)
        ctx.kernels, ctx.size = kernels("max_unpool2d", x), x.shape[2:]
        return ctx.kernels.gather(x, index)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return ctx.kernels.scatter_add(g, index, ctx.size), None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return ScatterAdd.apply(g, index, size=ctx.size), None


class ScatterAdd(Function):
    """x = zeros, with y added at the indices."""

    @staticmethod
    def forward(ctx: Node, y: Any, index: Any, *, size: Pair) -> Any:
        ctx.save(index)
        ctx.kernels = kernels("max_unpool2d", y)
        return ctx.kernels.scatter_add(y, index, size)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return ctx.kernels.gather(g, index), None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return Gather.apply(g, index), None
