"""Two-dimensional convolution (equation E1), the operation that everything else here serves.

Notation: x (N, C, H, W) input, w (K, C/G, kh, kw) filters, β (K) bias, y (N, K, OH, OW) output, g the
cotangent of y; stride s, padding p, dilation d, groups G. Filter k belongs to group q = ⌊k / (K/G)⌋ and sees
the C/G channels of that group. x is 0 outside.

**Forward.**

    y[n,k,i,j] = β[k] + Σ_{c < C/G} Σ_u Σ_v  w[k,c,u,v] · x[n, q·C/G + c, i·s + u·d - p, j·s + v·d - p]

This is *cross-correlation*, which networks compute and call convolution. The document's E1 prints true
convolution, x(x-x', y-y'): the filter is flipped. The two differ by that flip and a shift: E1's y at
(i+kh-1, j+kw-1) is the cross-correlation with flip(w) at (i, j). A network learns its filters, so which of
the two it computes makes no difference to what it can learn. :func:`~minidl.ops.convolve2d` is the printed
one.

**Shape rule.** OH = ⌊(H + 2p - d(kh-1) - 1) / s⌋ + 1, and the same for OW.

**Backward** (equation E11; the documents only say "backpropagation"). y is linear in each of x, w and β, so
each cotangent is the adjoint of one linear map: wherever the forward reads x[..] times w[..] into y[..], the
backward adds g[..] times the other factor.

    dβ[k]       = Σ_{n,i,j} g[n,k,i,j]
    dw[k,c,u,v] = Σ_{n,i,j} g[n,k,i,j] · x[n, q·C/G + c, i·s + u·d - p, j·s + v·d - p]
                = cross-correlation of x with g
    dx[n,c,a,b] = Σ g[n,k,i,j] · w[k,c,u,v] over all k, u, v, i, j with i·s + u·d - p = a, j·s + v·d - p = b
                = full convolution of g, s-1 zeros put between its values, with the dilated w; p pixels
                  cropped on each side

Each of dw and dx is linear in both of its factors again, so that second derivatives need nothing new: dx as
an operation is the transposed convolution (equation E12), dw is :class:`Conv2dWeight`, and their backwards
are made of each other and of the convolution.

As matrices, with the windows of x as the columns of X: Y = W X, dW = G Xᵀ, dX = col2im(Wᵀ G). The kernels are
in ``kernels/reference/conv2d.py`` and its siblings; X is never held whole there
(:data:`minidl.kernels.reference.conv2d.COLUMN_BYTES` bounds it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import REFERENCE, Kernels, kernels
from minidl.ops._shapes import Pair, conv_output, pair, require_image, require_ndim, same_padding
from minidl.ops.pad import pad


def convolution_kernels(x: Any, options: dict[str, Any], operation: str = "conv2d") -> Kernels:
    """The kernels for x; only the compiled ones have several algorithms to choose from.

    Raises:
        ValueError: an algorithm is asked for, and the reference kernels are in use.
    """
    found = kernels(operation, x)
    if options.get("algorithm") is not None and found.backend == REFERENCE:
        raise ValueError(
            f"convolution: algorithm={options['algorithm']!r} is one of backend 'numba', but {REFERENCE!r} "
            "is in use, which has only one; call minidl.use('numba') or leave algorithm out"
        )
    return found


class Conv2d(Function):
    """y = w ⋆ x + β. Options besides ``out``: stride, padding, dilation (pairs), groups, algorithm."""

    @staticmethod
    def forward(ctx: Node, x: Any, weight: Any, bias: Any, *, out: Pair, **options: Any) -> Any:
        ctx.kernels, ctx.options = convolution_kernels(x, options), options
        ctx.save(x, weight)
        return ctx.kernels.forward(x, weight, bias, out, **options)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, weight = ctx.saved
        kernel, options = ctx.kernels, ctx.options
        g = kernel.arrange(g, "backward_weight")  # once for all three
        dx = kernel.backward_data(g, weight, x.shape, **options) if ctx.needs_input_grad[0] else None
        dw = kernel.backward_weight(g, x, weight.shape, **options) if ctx.needs_input_grad[1] else None
        db = kernel.backward_bias(g) if ctx.needs_input_grad[2] else None
        return dx, dw, db

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        from minidl.ops.conv_transpose2d import ConvTranspose2d  # it needs this module first

        x, weight = ctx.saved
        options, needed = ctx.options, ctx.needs_input_grad
        dx = ConvTranspose2d.apply(g, weight, None, out=x.shape[2:], **options) if needed[0] else None
        dw = Conv2dWeight.apply(g, x, shape=weight.shape, **options) if needed[1] else None
        return dx, dw, g.sum((0, 2, 3)) if needed[2] else None

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(output.size) * int(np.prod(arrays[1].shape[1:]))


class Conv2dWeight(Function):
    """E11's dw as an operation on g and x, linear in each: what a second derivative goes through."""

    @staticmethod
    def forward(ctx: Node, g: Any, x: Any, *, shape: tuple[int, ...], **options: Any) -> Any:
        ctx.kernels, ctx.options = convolution_kernels(x, options), options
        ctx.save(g, x)
        return ctx.kernels.backward_weight(g, x, shape, **options)

    @staticmethod
    def backward(ctx: Node, weight: Any) -> Any:
        (g, x), options = ctx.saved, ctx.options
        dg = ctx.kernels.forward(x, weight, None, g.shape[2:], **options) if ctx.needs_input_grad[0] else None
        dx = ctx.kernels.backward_data(g, weight, x.shape, **options) if ctx.needs_input_grad[1] else None
        return dg, dx

    @staticmethod
    def tensor_backward(ctx: Node, weight: Any) -> Any:
        from minidl.ops.conv_transpose2d import ConvTranspose2d

        (g, x), options, needed = ctx.saved, ctx.options, ctx.needs_input_grad
        dg = Conv2d.apply(x, weight, None, out=g.shape[2:], **options) if needed[0] else None
        dx = ConvTranspose2d.apply(g, weight, None, out=x.shape[2:], **options) if needed[1] else None
        return dg, dx


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    *,
    algorithm: str | None = None,
) -> Tensor:
    """Cross-correlate images with filters (torch's ``conv2d``); see this module's text for the equations.

    Args:
        input: (N, C, H, W), floating-point.
        weight: (K, C/groups, kh, kw), of the same dtype.
        bias: (K) or None.
        stride, padding, dilation: an integer, or (vertical, horizontal). padding may also be ``"valid"``
            (none) or ``"same"`` (the output has the input's size; stride 1 only). Where "same" needs an odd
            number of pixels, right and bottom get one more than left and top.
        groups: number of parts, which do not see each other, that the channels are cut into; ``groups=C``
            is a depthwise convolution.
        algorithm: how the kernels of backend ``"numba"`` compute it, forward and backward: ``"winograd4"``,
            ``"winograd2"``, ``"direct"``, ``"im2col"`` or ``"depthwise"``. None leaves the choice to
            the planner (``minidl plan`` shows it). Not an argument of torch's.

    Returns:
        (N, K, OH, OW).

    Raises:
        ValueError: shapes that do not fit, groups that do not divide, a window larger than the input, an
            image without pixels, ``padding="same"`` with a stride, or an algorithm that does not exist,
            cannot do this convolution, or belongs to another backend than the one in use.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> image = minidl.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    >>> edge = minidl.tensor([[[[-1.0, 1.0]]]])
    >>> minidl.ops.conv2d(image, edge)
    tensor([[[[1., 1.],
              [1., 1.],
              [1., 1.]]]])
    """
    require_image("conv2d", input)
    require_ndim("conv2d", "weight", weight, 4, "(K, C/groups, kh, kw)")
    check_channels(
        "conv2d", input, weight, bias, groups, channels=weight.shape[1] * groups, filters=weight.shape[0]
    )
    kernel = (weight.shape[2], weight.shape[3])
    strides, dilations = (
        pair(stride, "stride", "conv2d", least=1),
        pair(dilation, "dilation", "conv2d", least=1),
    )
    pads, more = _padding(padding, kernel, strides, dilations)
    if any(more):
        input = pad(input, (0, more[1], 0, more[0]))
    out = conv_output((input.shape[2], input.shape[3]), kernel, strides, pads, dilations, "conv2d")
    options = {"stride": strides, "padding": pads, "dilation": dilations, "groups": groups}
    return Conv2d.apply(input, weight, bias, out=out, **options, **asked(algorithm))


def asked(algorithm: str | None) -> dict[str, str]:
    """The option that asks for an algorithm; none for None: the reference kernels do not know it."""
    return {} if algorithm is None else {"algorithm": algorithm}


def _padding(padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The padding on every side, and how much more there is at the bottom and at the right."""
    if not isinstance(padding, str):
        return pair(padding, "padding", "conv2d"), (0, 0)
    check_named_padding("conv2d", padding, stride)
    return same_padding(kernel, dilation) if padding == "same" else ((0, 0), (0, 0))


def check_named_padding(operation: str, padding: str, stride: Pair) -> None:
    """A padding given by name is "valid", or "same" with stride 1."""
    if padding not in ("same", "valid"):
        raise ValueError(f"{operation}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    if padding == "same" and stride != (1, 1):
        raise ValueError(f"{operation}: padding='same' needs a stride of 1, got {stride}")


def check_channels(
    operation: str, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, channels: int, filters: int
) -> None:
    """What a convolution and a transposed one ask of their operands."""
    shapes = f"input {x.shape}, weight {weight.shape}, groups {groups}"
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{operation}: groups must be positive and divide {weight.shape[0]} ({shapes})")
    if x.shape[1] != channels:
        raise ValueError(f"{operation}: expected input with {channels} channels, got {x.shape[1]} ({shapes})")
    if 0 in weight.shape:
        raise ValueError(f"{operation}: weight has an extent of zero ({shapes})")
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"{operation}: bias must have shape ({filters},), got {bias.shape} ({shapes})")
    dtypes = {t.dtype for t in (x, weight, bias) if t is not None}
    if len(dtypes) != 1 or x.dtype.kind != "f":
        names = " and ".join(sorted(map(str, dtypes)))
        raise TypeError(
            f"{operation}: input, weight and bias must have one floating-point dtype, got {names}"
        )
