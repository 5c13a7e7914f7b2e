"""Average pooling (the other half of equation E2).

Notation: x (N, C, H, W), window kh x kw, stride s, padding p, y (N, C, OH, OW), g the cotangent of y; m[i,j]
the number that a window's sum is divided by.

    forward   y[i,j] = (1 / m[i,j]) Σ_{a,b} x[i·s + a - p, j·s + b - p]      (padding counts as zeros)
    backward  every pixel of the window += g[i,j] / m[i,j]

m is kh·kw, or with ``ceil_mode`` what of the window lies on the image and its padding; without
``count_include_pad`` what of it lies on the image. The operation is linear: its backward is its adjoint,
whose backward is the operation itself.

Shape rule: as max pooling's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, pool_output
from minidl.ops.max_pool2d import check_pool


class AvgPool2d(Function):
    """y = mean over each window. The options besides ``out``: kernel, stride, padding, divisor."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, out: Pair, **window: Any) -> Any:
        ctx.kernels = kernels("avg_pool2d", x)
        ctx.shape, ctx.window = x.shape, window
        return ctx.kernels.forward(x, out=out, **window)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, ctx.shape, **ctx.window)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return AvgPool2dAdjoint.apply(g, shape=ctx.shape, **ctx.window)


class AvgPool2dAdjoint(Function):
    """dx as an operation on g."""

    @staticmethod
    def forward(ctx: Node, g: Any, *, shape: tuple[int, ...], **window: Any) -> Any:
        ctx.kernels = kernels("avg_pool2d", g)
        ctx.out, ctx.window = g.shape[2:], window
        return ctx.kernels.backward(g, shape, **window)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.forward(g, out=ctx.out, **ctx.window)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return AvgPool2d.apply(g, out=ctx.out, **ctx.window)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window (torch's ``avg_pool2d``); floating-point only.

    Args:
        input, kernel_size, stride, padding, ceil_mode: as :func:`~minidl.ops.max_pool2d`.
        count_include_pad: divide by the padded pixels, too.
        divisor_override: divide by this instead.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: as max_pool2d, or a divisor of zero.
        TypeError: the input is not floating-point, or the divisor no integer.

    >>> import minidl
    >>> minidl.ops.avg_pool2d(minidl.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    if input.dtype.kind != "f":
        raise TypeError(f"avg_pool2d: input must be floating-point, got {input.dtype}")
    kernel, step, pads = check_pool("avg_pool2d", input, kernel_size, stride, padding)
    if divisor_override is not None and not isinstance(divisor_override, int | np.integer):
        raise TypeError(f"avg_pool2d: divisor_override must be an integer, got {divisor_override!r}")
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be zero")
    size = (input.shape[2], input.shape[3])
    out = pool_output(size, kernel, step, pads, (1, 1), ceil_mode, "avg_pool2d")
    divisor = divisor_override or _divisor(size, kernel, out, step, pads, count_include_pad)
    return AvgPool2d.apply(input, out=out, kernel=kernel, stride=step, padding=pads, divisor=divisor)


def _divisor(size: Pair, kernel: Pair, out: Pair, stride: Pair, padding: Pair, include_pad: bool) -> Any:
    """The number of pixels of each window (OH, OW); one integer where it is the same for all."""
    lengths = []
    for n, k, o, s, p in zip(size, kernel, out, stride, padding, strict=True):
        first = np.arange(o) * s - p
        last = np.minimum(first + k, n + p)
        lengths.append(last - first if include_pad else np.minimum(last, n) - np.maximum(first, 0))
    counts = np.outer(*lengths)
    return int(counts[0, 0]) if (counts == counts[0, 0]).all() else counts
