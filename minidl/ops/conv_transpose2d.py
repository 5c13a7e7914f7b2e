"""Transposed convolution, the "deconvolution" of equation E12: a convolution's backward used as a forward.

Notation: x (N, C, H, W), w (C, K/G, kh, kw), β (K), y (N, K, OH, OW), g the cotangent of y; stride s, padding
p, dilation d, groups G.

**Forward.** Every input pixel stamps its filter, scaled, onto the output; overlapping stamps add up:

    y[n, k, i·s + u·d - p, j·s + v·d - p] += x[n,c,i,j] · w[c,k,u,v]      and then + β[k]

That is E11's dL/dx of the convolution whose weight is w read as (filters C, channels K/G).

**Shape rule.** OH = (H - 1) s - 2p + d (kh - 1) + output_padding + 1. A stride s maps s different sizes to
the same H; output_padding says which of them to go back to.

**Backward.** The adjoint of an adjoint is the map itself: dx = the convolution of g with w; dw = the
convolution's dw with the parts of x and g exchanged; dβ = Σ g.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.ops._shapes import Pair, conv_transpose_output, pair, require_image, require_ndim
from minidl.ops.conv2d import Conv2d, Conv2dWeight, asked, check_channels, convolution_kernels


class ConvTranspose2d(Function):
    """y = wᵀ ⋆ x + β. The options besides ``out`` are those of :class:`Conv2d`."""

    @staticmethod
    def forward(ctx: Node, x: Any, weight: Any, bias: Any, *, out: Pair, **options: Any) -> Any:
        ctx.kernels, ctx.options = convolution_kernels(x, options), options
        ctx.save(x, weight)
        shape = (x.shape[0], weight.shape[1] * options["groups"], *out)
        y = ctx.kernels.backward_data(x, weight, shape, **options)
        if bias is not None:
            y += bias.reshape(1, -1, 1, 1)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, weight = ctx.saved
        kernel, options = ctx.kernels, ctx.options
        g = kernel.arrange(g, "backward_weight")  # once for all three
        dx = kernel.forward(g, weight, None, x.shape[2:], **options) if ctx.needs_input_grad[0] else None
        dw = kernel.backward_weight(x, g, weight.shape, **options) if ctx.needs_input_grad[1] else None
        db = kernel.backward_bias(g) if ctx.needs_input_grad[2] else None
        return dx, dw, db

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, weight = ctx.saved
        options, needed = ctx.options, ctx.needs_input_grad
        dx = Conv2d.apply(g, weight, None, out=x.shape[2:], **options) if needed[0] else None
        dw = Conv2dWeight.apply(x, g, shape=weight.shape, **options) if needed[1] else None
        return dx, dw, g.sum((0, 2, 3)) if needed[2] else None

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(arrays[0].size) * int(np.prod(arrays[1].shape[1:]))


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
    *,
    algorithm: str | None = None,
) -> Tensor:
    """Transposed convolution (torch's ``conv_transpose2d``, with its argument order).

    Args:
        input: (N, C, H, W), floating-point.
        weight: (C, K/groups, kh, kw), of the same dtype.
        bias: (K) or None.
        stride, padding, dilation: those of the convolution that this one is the adjoint of.
        output_padding: extra rows and columns at the bottom and right; smaller than stride or dilation.
        groups, algorithm: as in :func:`~minidl.ops.conv2d`.

    Returns:
        (N, K, OH, OW).

    Raises:
        ValueError: shapes that do not fit, an input or output without pixels, or an algorithm that cannot
            do this.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> stamp = minidl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> minidl.ops.conv_transpose2d(minidl.tensor([[[[1.0, 10.0]]]]), stamp, stride=2)
    tensor([[[[ 1.,  2., 10., 20.],
              [ 3.,  4., 30., 40.]]]])
    """
    name = "conv_transpose2d"
    require_image(name, input)
    require_ndim(name, "weight", weight, 4, "(C, K/groups, kh, kw)")
    filters = weight.shape[1] * groups
    check_channels(name, input, weight, bias, groups, channels=weight.shape[0], filters=filters)
    strides, dilations = pair(stride, "stride", name, least=1), pair(dilation, "dilation", name, least=1)
    paddings, extra = pair(padding, "padding", name), pair(output_padding, "output_padding", name)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise ValueError(
            f"{name}: output_padding {extra} must be smaller than stride {strides} or dilation {dilations}"
        )
    size, kernel = (input.shape[2], input.shape[3]), (weight.shape[2], weight.shape[3])
    out = conv_transpose_output(size, kernel, strides, paddings, extra, dilations)
    if min(out) < 1:
        raise ValueError(
            f"{name}: no output pixels are left, {out} (input {input.shape}, weight {weight.shape})"
        )
    options = {"stride": strides, "padding": paddings, "dilation": dilations, "groups": groups}
    return ConvTranspose2d.apply(input, weight, bias, out=out, **options, **asked(algorithm))
