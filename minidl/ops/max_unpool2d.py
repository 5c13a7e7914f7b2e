"""Max unpooling (equation E12, as SegNet uses it): maxima go back to where they were found.

Notation: x (N, C, H, W), index (N, C, H, W) of pixels in planes of OH x OW, each row·OW + column, y
(N, C, OH, OW), g the cotangent of y.

    forward   y[n, c, index[n,c,i,j]] = x[n,c,i,j], and 0 everywhere else
    backward  dx[n,c,i,j] = g[n, c, index[n,c,i,j]], and 0 where a later value took the pixel

Overlapping pooling windows can name a pixel twice; the last value in row-major order stays. (torch calls that
case undefined: its forward keeps some value, and its backward gives each of them the whole gradient.)

Shape rule: what pooling made smaller, OH = (H - 1) s - 2p + kh. A stride s maps several sizes to the same H;
``output_size`` says which of them to go back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._planes import Gather
from minidl.ops._shapes import Pair, pair, require_image


class MaxUnpool2d(Function):
    """y = zeros with x at the indices."""

    @staticmethod
    def forward(ctx: Node, x: Any, index: Any, *, size: Pair) -> Any:
        ctx.save(index)
        ctx.kernels, ctx.size = kernels("max_unpool2d", x), size
        return ctx.kernels.put(x, index, size)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (index,) = ctx.saved
        stayed = ctx.kernels.stayed(index, ctx.size).astype(g.dtype)
        return ctx.kernels.gather(g, index) * stayed, None

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Any:
        (index,) = ctx.saved
        stayed = Tensor(ctx.kernels.stayed(index.data, ctx.size).astype(g.dtype))
        return Gather.apply(g, index) * stayed, None


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put each value back to the pixel it came from, zeros elsewhere (torch's ``max_unpool2d``).

    Args:
        input: (N, C, H, W), floating-point.
        indices: int64, of the same shape, as ``max_pool2d(..., return_indices=True)`` gives them.
        kernel_size, stride, padding: those of the pooling.
        output_size: (OH, OW), or the whole shape of which the last two are taken; less than a stride away
            from what the shape rule gives.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: shapes that do not fit, an output size too far off, or an index outside the output.
        TypeError: an input that is not floating-point, or indices that are not int64.

    >>> import minidl
    >>> image = minidl.tensor([[[[1.0, 2.0, 5.0, 4.0], [3.0, 0.0, 1.0, 1.0]]]])
    >>> y, indices = minidl.ops.max_pool2d(image, 2, return_indices=True)
    >>> minidl.ops.max_unpool2d(y, indices, 2)
    tensor([[[[0., 0., 5., 0.],
              [3., 0., 0., 0.]]]])
    """
    require_image("max_unpool2d", input)
    if input.dtype.kind != "f" or indices.dtype != np.int64:
        raise TypeError(
            f"max_unpool2d: input must be floating-point and indices int64, got {input.dtype} and "
            f"{indices.dtype}"
        )
    if indices.shape != input.shape:
        raise ValueError(f"max_unpool2d: indices have shape {indices.shape}, the input {input.shape}")
    kernel = pair(kernel_size, "kernel_size", "max_unpool2d", least=1)
    step = kernel if stride is None else pair(stride, "stride", "max_unpool2d", least=1)
    pads = pair(padding, "padding", "max_unpool2d")
    size = _output_size(input.shape[2:], kernel, step, pads, output_size)
    pixels = size[0] * size[1]
    if indices.numel() and (indices.data.min() < 0 or indices.data.max() >= pixels):
        raise ValueError(
            f"max_unpool2d: indices go from {indices.data.min()} to {indices.data.max()}, but an output of "
            f"{size} has {pixels} pixels"
        )
    return MaxUnpool2d.apply(input, indices, size=size)


def _output_size(
    size: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, wanted: Sequence[int] | None
) -> Pair:
    height, width = (
        (n - 1) * s - 2 * p + k for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
    )
    if wanted is not None:
        if not isinstance(wanted, Sequence) or len(wanted) not in (2, 4):
            raise TypeError(f"max_unpool2d: output_size must be (OH, OW) or a whole shape, got {wanted!r}")
        given = pair(tuple(wanted)[-2:], "output_size", "max_unpool2d")
        if any(abs(o - n) >= s for o, n, s in zip(given, (height, width), stride, strict=True)):
            raise ValueError(
                f"max_unpool2d: output_size {given} must be less than a stride {stride} away from "
                f"{(height, width)}"
            )
        height, width = given
    if min(height, width) < 1:
        raise ValueError(f"max_unpool2d: the output would have no pixels, {(height, width)} (input {size})")
    return height, width
