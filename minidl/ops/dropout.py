"""Dropout: in training each element is zeroed with probability p, the others are scaled by 1/(1-p).

Notation: m is the mask, 0 with probability p and 1/(1-p) otherwise, so that E[m x] = x; g the cotangent of y.

    forward  y = m ⊙ x        backward  dx = m ⊙ g        (Srivastava et al. 2014, in the "inverted" form)

``dropout`` has one number of m for each element, ``dropout2d`` one for each sample and channel (Tompson et
al. 2015): neighbouring pixels are so alike that a picture with holes hides nothing, a missing channel does.

**Which random numbers.** A call that drops takes the next n 32-bit numbers u_0 ... u_{n-1} of
:func:`minidl.random.uint32`, so ⌈n/2⌉ numbers of the generator, where n is the number of elements (for
``dropout2d``, N · C). The i-th element in row-major order is kept if u_i >= p · 2^32. So the mask is a
function of the seed and of the draws before it, and not of dtype, memory order, threads or the machine that
computes it. Without training, or with p = 0, nothing is drawn.
"""

from __future__ import annotations

import math
from typing import Any

from minidl import random
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._elementwise import check_not_in_place, floating
from minidl.ops._shapes import require_ndim


class Dropout(Function):
    """y = m ⊙ x, where the mask has the given shape, which broadcasts to that of x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, p: float, shape: tuple[int, ...]) -> Any:
        ctx.kernels = kernels("dropout", x)
        key, first = random.claim(-(-math.prod(shape) // 2))
        scale = 1 / (1 - p) if p < 1 else 0.0
        y, mask = ctx.kernels.forward(x, shape, math.ceil(p * 2**32), scale, key, first)
        ctx.save(mask)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (mask,) = ctx.saved
        return ctx.kernels.backward(g, mask)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        (mask,) = ctx.saved
        return g * mask


def _checked(operation: str, x: Any, p: float) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"{operation}: p must be a probability between 0 and 1, got {p}")
    return floating(operation, x)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability ``p`` and scale the rest by 1/(1-p); the identity when not training.

    Args:
        input: any shape, floating-point.
        p: probability in [0, 1].
        training: whether to drop at all.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: p is no probability.
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl
    >>> minidl.manual_seed(0)
    >>> y = minidl.ops.dropout(minidl.tensor([1.0] * 1000), p=0.25)
    >>> sorted(set(y.tolist()))
    [0.0, 1.3333333730697632]
    """
    check_not_in_place("dropout", inplace)
    x = _checked("dropout", input, p)
    return Dropout.apply(x, p=float(p), shape=x.shape) if training and p > 0 else x


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each channel of each sample with probability ``p``, scale the rest by 1/(1-p); the identity when
    not training.

    Args:
        input: (N, C, H, W), floating-point.
        p: probability in [0, 1].
        training: whether to drop at all.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: p is no probability, or the input is not 4-dimensional. (torch also takes other shapes,
            and warns that it will not.)
        NotImplementedError: ``inplace``, which is there for torch's sake.

    >>> import minidl, numpy
    >>> minidl.manual_seed(0)
    >>> y = minidl.ops.dropout2d(minidl.tensor(numpy.ones((1, 4, 8, 8), "float32")))
    >>> y.sum((2, 3))
    tensor([[  0.,   0., 128.,   0.]])
    """
    check_not_in_place("dropout2d", inplace)
    x = _checked("dropout2d", input, p)
    require_ndim("dropout2d", "input", x, 4, "(N, C, H, W)")
    return Dropout.apply(x, p=float(p), shape=(*x.shape[:2], 1, 1)) if training and p > 0 else x
