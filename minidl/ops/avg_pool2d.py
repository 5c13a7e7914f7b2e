"""Average pooling (the other half of equation E2).

Notation: x (N, C, H, W), window kh x kw, stride s, padding p, y (N, C, OH, OW), g the cotangent of y.

    forward   y[i,j] = (1 / (kh·kw)) Σ_{a,b} x[i·s + a - p, j·s + b - p]      (padding counts as zeros)
    backward  every pixel of the window += g[i,j] / (kh·kw)

Shape rule: as max pooling's.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, conv_output
from minidl.ops.max_pool2d import check_pool


class AvgPool2d(Function):
    """y = mean over each window."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, kernel: Pair, stride: Pair, padding: Pair) -> Any:
        out = conv_output(x.shape[2:], kernel, stride, padding, (1, 1), "avg_pool2d")
        ctx.kernels = kernels("avg_pool2d", x)
        ctx.options = (x.shape, kernel, stride, padding)
        return ctx.kernels.forward(x, kernel, out, stride, padding)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, *ctx.options)


def avg_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
) -> Tensor:
    """The mean of each window. Arguments and errors as :func:`~minidl.ops.max_pool2d`; floating-point only.

    Raises:
        TypeError: the input is not floating-point.

    >>> import minidl
    >>> minidl.ops.avg_pool2d(minidl.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    if input.dtype.kind != "f":
        raise TypeError(f"avg_pool2d: input must be floating-point, got {input.dtype}")
    kernel, step, pads = check_pool("avg_pool2d", input, kernel_size, stride, padding)
    return AvgPool2d.apply(input, kernel=kernel, stride=step, padding=pads)
