"""Average pooling to a given size: the windows are chosen, the result's extents are asked for.

Notation: x (N, C, H, W), y (N, C, OH, OW), g the cotangent of y. On each axis output i looks at the pixels
[first, last), which cover the axis as evenly as whole numbers allow and overlap where they must:

    first_i = ⌊i · H / OH⌋,   last_i = ⌈(i + 1) · H / OH⌉

    forward   y[i,j] = the mean of x over the rows of window i and the columns of window j
    backward  every pixel of the window += g[i,j] / (its number of pixels)

OH = OW = 1 is global average pooling. The operation is linear: its backward is its adjoint, whose backward is
the operation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import adaptive_windows, pair, require_image

Windows = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]


class AdaptiveAvgPool2d(Function):
    """y = mean over windows given for each axis."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, windows: Windows) -> Any:
        ctx.kernels = kernels("adaptive_avg_pool2d", x)
        ctx.shape, ctx.windows = x.shape, windows
        return ctx.kernels.forward(x, *windows)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, ctx.shape, *ctx.windows)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return AdaptiveAvgPool2dAdjoint.apply(g, shape=ctx.shape, windows=ctx.windows)


class AdaptiveAvgPool2dAdjoint(Function):
    """dx as an operation on g."""

    @staticmethod
    def forward(ctx: Node, g: Any, *, shape: tuple[int, ...], windows: Windows) -> Any:
        ctx.kernels, ctx.windows = kernels("adaptive_avg_pool2d", g), windows
        return ctx.kernels.backward(g, shape, *windows)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.forward(g, *ctx.windows)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return AdaptiveAvgPool2d.apply(g, windows=ctx.windows)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Means over windows that make the output as large as asked (torch's ``adaptive_avg_pool2d``).

    Args:
        input: (N, C, H, W), floating-point; N and C may be zero.
        output_size: an integer for both axes or (OH, OW), where None stands for the input's extent.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: not 4-dimensional, no pixels, or a negative size.
        TypeError: an input that is not floating-point, or a size that is no integer or pair.

    >>> import minidl
    >>> minidl.ops.adaptive_avg_pool2d(minidl.tensor([[[[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]]]), (1, 2))
    tensor([[[[3.5, 4.5]]]])
    """
    name = "adaptive_avg_pool2d"
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input must be floating-point, got {input.dtype}")
    require_image(name, input, channels=False)
    if isinstance(output_size, int | np.integer):
        output_size = (int(output_size), int(output_size))
    if not isinstance(output_size, Sequence) or isinstance(output_size, str) or len(output_size) != 2:
        raise TypeError(f"{name}: output_size must be an integer or a pair, got {output_size!r}")
    size = input.shape[2:]
    filled = tuple(n if o is None else o for n, o in zip(size, output_size, strict=True))
    out = pair(filled, "output_size", name)
    return AdaptiveAvgPool2d.apply(
        input, windows=tuple(adaptive_windows(n, o) for n, o in zip(size, out, strict=True))
    )
