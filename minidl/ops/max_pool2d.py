"""Max pooling (equation E2, put right).

Notation: x (N, C, H, W), window kh x kw, stride s, padding p, y (N, C, OH, OW), g the cotangent of y.

The document prints p(x,y) = max_{x'} Σ_{y'} w·x(x-x', y-y'): the convolution formula with one Σ turned into
max. It cannot be meant: pooling has no weights, and the printed form is linear along one axis (doubling one
column's weights would change the maximum). What networks compute:

    forward   y[i,j] = max_{0 ≤ a < kh, 0 ≤ b < kw}  x[i·s + a - p, j·s + b - p]      (padding never wins)
    backward  dx at the arg-max of each window += g[i,j]; ties: the first in row-major order, as torch

Shape rule: as a convolution's, OH = ⌊(H + 2p - kh) / s⌋ + 1.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, conv_output, pair, require_ndim


class MaxPool2d(Function):
    """y = max over each window."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, kernel: Pair, stride: Pair, padding: Pair) -> Any:
        out = conv_output(x.shape[2:], kernel, stride, padding, (1, 1), "max_pool2d")
        ctx.kernels = kernels("max_pool2d", x)
        y, tap = ctx.kernels.forward(x, kernel, out, stride, padding)
        ctx.save(tap)
        ctx.options = (x.shape, kernel, stride, padding)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (tap,) = ctx.saved
        return ctx.kernels.backward(g, tap, *ctx.options)


def max_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
) -> Tensor:
    """The largest value of each window.

    Args:
        input: (N, C, H, W).
        kernel_size: of the window; an integer or (vertical, horizontal).
        stride: step of the window; by default the window's size.
        padding: at most half of the window.

    Raises:
        ValueError: not 4-dimensional, a window larger than the padded input, or too much padding.

    >>> import minidl
    >>> minidl.ops.max_pool2d(minidl.tensor([[[[1.0, 2.0, 5.0, 4.0], [3.0, 0.0, 1.0, 1.0]]]]), 2)
    tensor([[[[3., 5.]]]])
    """
    kernel, step, pads = check_pool("max_pool2d", input, kernel_size, stride, padding)
    return MaxPool2d.apply(input, kernel=kernel, stride=step, padding=pads)


def check_pool(
    operation: str, x: Tensor, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Pair, Pair, Pair]:
    """What every pooling asks of its arguments; gives (kernel, stride, padding) as pairs."""
    require_ndim(operation, "input", x, 4, "(N, C, H, W)")
    kernel = pair(kernel_size, "kernel_size", operation, least=1)
    step = kernel if stride is None else pair(stride, "stride", operation, least=1)
    pads = pair(padding, "padding", operation)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(
            f"{operation}: padding {pads} must be at most half of the window {kernel} (input {x.shape})"
        )
    return kernel, step, pads
