"""Windows as columns (im2col) and the adjoint (col2im), as public operations: what a convolution does inside.

Notation: x (N, C, H, W), window kh x kw, stride s, padding p, dilation d, L = OH·OW windows, row-major.

    unfold  col[n, (c·kh + u)·kw + v, i·OW + j] = x[n, c, i·s + u·d - p, j·s + v·d - p]
    fold    x[n, c, a, b] = Σ of col over all windows and taps that read the pixel (a, b)

Each is the adjoint of the other, so each one's backward is the other's forward. ``fold(unfold(x))`` is x
times the number of windows that hold each pixel.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, conv_output, pair, require_image, require_ndim


class Unfold(Function):
    """x to col (im2col)."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, kernel: Pair, window: tuple[Pair, Pair, Pair]) -> Any:
        out = conv_output(x.shape[2:], kernel, *window, "unfold")
        ctx.kernels = kernels("unfold", x)
        ctx.options = (x.shape, kernel, out, *window)
        return ctx.kernels.forward(x, kernel, out, *window)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, *ctx.options)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        shape, kernel, out, *window = ctx.options
        return Fold.apply(g, shape=shape, kernel=kernel, out=out, window=tuple(window))


class Fold(Function):
    """col to x (col2im)."""

    @staticmethod
    def forward(ctx: Node, col: Any, *, shape: tuple[int, ...], kernel: Pair, out: Pair, window: Any) -> Any:
        ctx.kernels = kernels("unfold", col)
        ctx.options = (kernel, out, *window)
        return ctx.kernels.backward(col, shape, kernel, out, *window)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.forward(g, *ctx.options)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        kernel, _, *window = ctx.options
        return Unfold.apply(g, kernel=kernel, window=tuple(window))


def _window(operation: str, stride: Any, padding: Any, dilation: Any) -> tuple[Pair, Pair, Pair]:
    return (
        pair(stride, "stride", operation, least=1),
        pair(padding, "padding", operation),
        pair(dilation, "dilation", operation, least=1),
    )


def _require_float(operation: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: input must be floating-point, got {x.dtype}")


def unfold(
    input: Tensor,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Every window of the image as a column: (N, C, H, W) to (N, C·kh·kw, L).

    Raises:
        ValueError: not 4-dimensional, no channels or pixels, or a window larger than the padded input.
        TypeError: the input is not floating-point.

    >>> import minidl
    >>> minidl.ops.unfold(minidl.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]), kernel_size=2)
    tensor([[[1., 2.],
             [2., 3.],
             [4., 5.],
             [5., 6.]]])
    """
    require_image("unfold", input)
    _require_float("unfold", input)
    kernel = pair(kernel_size, "kernel_size", "unfold", least=1)
    return Unfold.apply(input, kernel=kernel, window=_window("unfold", stride, padding, dilation))


def fold(
    input: Tensor,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Add columns back to the pixels they came from: (N, C·kh·kw, L) to (N, C, H, W).

    Args:
        input: as :func:`unfold` gives it.
        output_size: (H, W), or one number for both.
        kernel_size, dilation, padding, stride: those of the windows.

    Raises:
        ValueError: not 3-dimensional, or the columns do not belong to an image of that size.
        TypeError: the input is not floating-point.

    >>> import minidl
    >>> columns = minidl.ops.unfold(minidl.tensor([[[[1.0, 2.0, 3.0]]]]), kernel_size=(1, 2))
    >>> minidl.ops.fold(columns, output_size=(1, 3), kernel_size=(1, 2))
    tensor([[[[1., 4., 3.]]]])
    """
    require_ndim("fold", "input", input, 3, "(N, C*kh*kw, L)")
    _require_float("fold", input)
    size = pair(output_size, "output_size", "fold", least=1)
    kernel = pair(kernel_size, "kernel_size", "fold", least=1)
    window = _window("fold", stride, padding, dilation)
    out = conv_output(size, kernel, *window, "fold")
    n, rows, length = input.shape
    taps = kernel[0] * kernel[1]
    if not rows or rows % taps or length != out[0] * out[1]:
        raise ValueError(
            f"fold: an image of {size} has {out[0] * out[1]} windows of {taps} pixels a channel; "
            f"input has shape {input.shape}"
        )
    shape = (n, rows // taps, *size)
    return Fold.apply(input, shape=shape, kernel=kernel, out=out, window=window)
