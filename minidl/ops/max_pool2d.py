"""Max pooling (equation E2, put right).

Notation: x (N, C, H, W), window kh x kw, stride s, padding p, dilation d, y (N, C, OH, OW), g the cotangent
of y.

The document prints p(x,y) = max_{x'} Σ_{y'} w·x(x-x', y-y'): the convolution formula with one Σ turned into
max. It cannot be meant: pooling has no weights, and the printed form is linear along one axis (doubling one
column's weights would change the maximum). What networks compute:

    forward   y[i,j] = max_{0 ≤ a < kh, 0 ≤ b < kw}  x[i·s + a·d - p, j·s + b·d - p]   (padding never wins)
    backward  dx at the arg-max of each window += g[i,j]; ties: the first in row-major order, as torch
    index     of the arg-max at row r, column q of its plane: r·W + q

The second derivative by x is zero almost everywhere, and in g the backward is linear: its adjoint reads the
cotangent at each arg-max.

Shape rule: as a convolution's, OH = ⌊(H + 2p - d(kh-1) - 1) / s⌋ + 1. With ``ceil_mode`` it is rounded up,
unless the last window would begin beyond the image and its left padding.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module, kernels
from minidl.ops._planes import ScatterAdd
from minidl.ops._shapes import Pair, pair, pool_output, require_image


class MaxPool2d(Function):
    """y = max over each window, and where it was found if ``return_indices``."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, out: Pair, return_indices: bool, **window: Pair) -> Any:
        ctx.kernels = kernels("max_pool2d", x)
        y, tap = ctx.kernels.forward(x, out=out, **window)
        ctx.save(tap)
        ctx.shape, ctx.window = x.shape, window
        return (y, plane_indices(tap, x.shape[3], **window)) if return_indices else y

    @staticmethod
    def backward(ctx: Node, g: Any, *of_indices: Any) -> Any:
        (tap,) = ctx.saved
        return ctx.kernels.backward(g, tap, ctx.shape, **ctx.window)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor, *of_indices: Any) -> Any:
        (tap,) = ctx.saved
        indices = plane_indices(tap.data, ctx.shape[3], **ctx.window)
        return ScatterAdd.apply(g, indices, size=ctx.shape[2:])


def plane_indices(tap: Any, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """Tap u·kw + v of each window (N, C, OH, OW) as the pixel's number in its plane, row·width + column."""
    xp = array_module(tap)
    u, v = xp.divmod(tap.astype(xp.int64), kernel[1])
    top, left = (xp.arange(n) * s - p for n, s, p in zip(tap.shape[2:], stride, padding, strict=True))
    return (top[:, None] + u * dilation[0]) * width + left + v * dilation[1]


def max_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window (torch's ``max_pool2d``).

    Args:
        input: (N, C, H, W), of numbers.
        kernel_size: of the window; an integer or (vertical, horizontal).
        stride: step of the window; by default the window's size.
        padding: at most half of ``kernel_size``.
        dilation: distance of a window's pixels from one another.
        ceil_mode: keep the windows that hang over the end of the image.
        return_indices: give where each maximum was found, too; :func:`~minidl.ops.max_unpool2d` asks for it.

    Returns:
        (N, C, OH, OW), or with ``return_indices`` that and the indices row·W + column, int64, same shape.

    Raises:
        ValueError: not 4-dimensional, no channels or pixels, a window larger than the padded input, too much
            padding, or a dilated window none of whose pixels lies inside the image.
        TypeError: the elements are not numbers.

    >>> import minidl
    >>> image = minidl.tensor([[[[1.0, 2.0, 5.0, 4.0], [3.0, 0.0, 1.0, 1.0]]]])
    >>> minidl.ops.max_pool2d(image, 2)
    tensor([[[[3., 5.]]]])
    >>> minidl.ops.max_pool2d(image, 2, return_indices=True)[1]
    tensor([[[[4, 2]]]])
    """
    if input.dtype.kind not in "fiu":
        raise TypeError(f"max_pool2d: input must be of numbers, got {input.dtype}")
    kernel, step, pads = check_pool("max_pool2d", input, kernel_size, stride, padding)
    gaps = pair(dilation, "dilation", "max_pool2d", least=1)
    size = (input.shape[2], input.shape[3])
    out = pool_output(size, kernel, step, pads, gaps, ceil_mode, "max_pool2d")
    if max(gaps) > 1:
        _require_pixels(size, kernel, out, step, pads, gaps)
    return MaxPool2d.apply(
        input,
        out=out,
        return_indices=return_indices,
        kernel=kernel,
        stride=step,
        padding=pads,
        dilation=gaps,
    )


def check_pool(
    operation: str, x: Tensor, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Pair, Pair, Pair]:
    """What every pooling asks of its arguments; gives (kernel, stride, padding) as pairs."""
    require_image(operation, x)
    kernel = pair(kernel_size, "kernel_size", operation, least=1)
    step = kernel if stride is None else pair(stride, "stride", operation, least=1)
    pads = pair(padding, "padding", operation)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(
            f"{operation}: padding {pads} must be at most half of the window {kernel} (input {x.shape})"
        )
    return kernel, step, pads


def _require_pixels(size: Pair, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Half a window of padding leaves a pixel in every window, but a dilated one may step over them all."""
    for n, k, o, s, p, d in zip(size, kernel, out, stride, padding, dilation, strict=True):
        for start in range(-p, o * s - p, s):
            if not any(0 <= start + u * d < n for u in range(k)):
                raise ValueError(
                    f"max_pool2d: a window holds no pixel (size {size}, kernel {kernel}, padding {padding}, "
                    f"dilation {dilation})"
                )
