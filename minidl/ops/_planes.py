"""Reading from planes at given pixels, and adding back to them: each is the adjoint of the other.

Notation: a plane is one (n, c); q its pixel's number, row·W + column; index (N, C, h, w) int64.

    Gather       y[n,c,i,j] = x[n, c, index[n,c,i,j]]
    ScatterAdd   x[n, c, index[n,c,i,j]] += y[n,c,i,j]

What the derivatives of max pooling and of its inverse are made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import Pair


def gather(x: Any, index: Any) -> Any:
    """x (N, C, H, W) at the pixels ``index`` (N, C, h, w) of each plane."""
    shape = (*x.shape[:2], int(np.prod(x.shape[2:])))
    flat = index.reshape(*index.shape[:2], int(np.prod(index.shape[2:])))
    return array_module(x).take_along_axis(x.reshape(shape), flat, axis=2).reshape(index.shape)


def scatter_add(y: Any, index: Any, size: Pair) -> Any:
    """y (N, C, h, w) added into planes of zeros, ``size`` large; in float64, as a pixel may come often."""
    xp = array_module(y)
    n, c = y.shape[:2]
    pixels = size[0] * size[1]
    position = xp.arange(n * c).reshape(n, c, 1, 1) * pixels + index
    total = xp.bincount(position.ravel(), weights=y.ravel(), minlength=n * c * pixels)
    return total.reshape(n, c, *size).astype(y.dtype)


class Gather(Function):
    """y = x at the indices."""

    @staticmethod
    def forward(ctx: Node, x: Any, index: Any) -> Any:
        ctx.save(index)
        ctx.size = x.shape[2:]
        return gather(x, index)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return scatter_add(g, index, ctx.size), None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return ScatterAdd.apply(g, index, size=ctx.size), None


class ScatterAdd(Function):
    """x = zeros, with y added at the indices."""

    @staticmethod
    def forward(ctx: Node, y: Any, index: Any, *, size: Pair) -> Any:
        ctx.save(index)
        return scatter_add(y, index, size)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return gather(g, index), None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        return Gather.apply(g, index), None
