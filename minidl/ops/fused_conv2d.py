"""A convolution with what stands around it in a U-Net: two inputs, upsampling, bias, ReLU, as one operation.

Notation: as in ``conv2d.py``; x (N, C, H, W) and s (N, C₁, H, W) or None are the input's two parts, w
(K, C + C₁, kh, kw); z the pre-activation, y the output, g its cotangent. U repeats every pixel of s as 2x2
(nearest upsampling, s then is (N, C₁, H/2, W/2)), or is the identity.

    forward    z = w ⋆ [x, U s] + β,     y = max(0, z)      (y = z without ``relu``)
    backward   δ = g where y > 0, else 0 (E8's ⊙ σ'(z): the output tells where z was not positive)
               dβ = Σ δ,  dw = the convolution's of [x, U s] and δ (E11)
               [dx, ds'] = the convolution's of δ, parted as the channels were;  ds = Uᵀ ds', sums of 2x2

Nothing here is new mathematics: it is ``relu(conv2d(cat([x, interpolate(s)])))``, whose intermediate results,
the largest arrays of a U-Net, need not exist. What a tape that is recorded step by step cannot see, the
person says: this operation, or ``minidl.fuse(model)``, which puts it into a model.

Shape rule: the convolution's.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.ops._shapes import Pair, conv_output, pair, require_image, require_ndim
from minidl.ops.avg_pool2d import avg_pool2d
from minidl.ops.cat import cat, split
from minidl.ops.conv2d import Conv2dWeight, asked, check_channels, convolution_kernels
from minidl.ops.conv_transpose2d import ConvTranspose2d
from minidl.ops.interpolate import interpolate
from minidl.ops.where import choose


class FusedConv2d(Function):
    """y = relu(w ⋆ [x, U s] + β). Options besides those of the convolution: doubled (U repeats), relu."""

    @staticmethod
    def forward(ctx: Node, x: Any, second: Any, weight: Any, bias: Any, *, out: Pair, **options: Any) -> Any:
        ctx.kernels, ctx.options = convolution_kernels(x, options, "fused_conv2d"), options
        y = ctx.kernels.forward(x, second, weight, bias, out, **options)
        ctx.save(x, second, weight, bias, y if options["relu"] else None)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, second, weight, _, y = ctx.saved
        wanted = ctx.needs_input_grad
        needed = (wanted[0] or wanted[1], wanted[2] or wanted[3])
        gradients = ctx.kernels.backward(g, g if y is None else y, x, second, weight, needed, **ctx.options)
        return tuple(d if w else None for d, w in zip(gradients, wanted, strict=True))

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, second, weight, _, y = ctx.saved
        wanted, options = ctx.needs_input_grad, dict(ctx.options)
        doubled, relu = options.pop("doubled"), options.pop("relu")
        delta = choose(y <= 0, 0, g) if relu else g
        dx = ds = dw = db = None
        if wanted[0] or wanted[1]:
            dx = ConvTranspose2d.apply(delta, weight, None, out=x.shape[2:], **options)
            if second is not None:
                dx, ds = split(dx, [x.shape[1], second.shape[1]], 1)
                ds = avg_pool2d(ds, 2) * 4 if doubled else ds
        if wanted[2]:
            whole = _joined(x, second, doubled)
            dw = Conv2dWeight.apply(delta, whole, shape=weight.shape, **options)
        if wanted[3]:
            db = delta.sum((0, 2, 3))
        return tuple(d if w else None for d, w in zip((dx, ds, dw, db), wanted, strict=True))

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        return 2 * int(output.size) * int(arrays[2].size) // int(arrays[2].shape[0])


def _joined(x: Tensor, second: Tensor | None, doubled: bool) -> Tensor:
    """[x, U s] made of operations."""
    if second is None:
        return x
    return cat([x, interpolate(second, scale_factor=2) if doubled else second], 1)


def fused_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    second: Tensor | None = None,
    upsample_second: bool = False,
    relu: bool = False,
    algorithm: str | None = None,
) -> Tensor:
    """``relu(conv2d(cat([input, interpolate(second, scale_factor=2)], 1), ...))`` in one operation.

    Args:
        input: (N, C, H, W), floating-point: the first C channels.
        weight: (K, (C + C1)/groups, kh, kw), of the same dtype.
        bias: (K) or None.
        stride, padding, dilation, groups: as in :func:`~minidl.ops.conv2d`, in numbers.
        second: the other C1 channels, (N, C1, H, W), or with ``upsample_second`` (N, C1, H/2, W/2); or None.
        upsample_second: repeat each pixel of ``second`` as 2x2.
        relu: give max(0, ·) of the convolution.
        algorithm: as in :func:`~minidl.ops.conv2d`.

    Returns:
        (N, K, OH, OW).

    Raises:
        ValueError: shapes that do not fit, as in :func:`~minidl.ops.conv2d`, or a ``second`` of another size.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> skip, below = minidl.tensor([[[[1.0, -2.0], [3.0, 4.0]]]]), minidl.tensor([[[[10.0]]]])
    >>> weight = minidl.tensor([[[[1.0]], [[-0.25]]]])                 # skip - below / 4
    >>> minidl.ops.fused_conv2d(skip, weight, second=below, upsample_second=True, relu=True)
    tensor([[[[0. , 0. ],
              [0.5, 1.5]]]])
    """
    name = "fused_conv2d"
    require_image(name, input)
    require_ndim(name, "weight", weight, 4, "(K, C/groups, kh, kw)")
    channels = weight.shape[1] * groups
    if second is not None:
        channels -= _channels_of(second, input, upsample_second)
    elif upsample_second:
        raise ValueError(f"{name}: upsample_second=True needs a second input")
    check_channels(name, input, weight, bias, groups, channels=channels, filters=weight.shape[0])
    kernel = (weight.shape[2], weight.shape[3])
    options: dict[str, Any] = {
        "stride": pair(stride, "stride", name, least=1),
        "padding": pair(padding, "padding", name),
        "dilation": pair(dilation, "dilation", name, least=1),
    }
    out = conv_output((input.shape[2], input.shape[3]), kernel, **options, operation=name)
    options |= {"groups": groups, "doubled": upsample_second, "relu": relu, **asked(algorithm)}
    return FusedConv2d.apply(input, second, weight, bias, out=out, **options)


def _channels_of(second: Tensor, x: Tensor, doubled: bool) -> int:
    """The channels of the second part, whose other extents must fit."""
    require_image("fused_conv2d", second)
    factor = 2 if doubled else 1
    expected = (x.shape[0], second.shape[1], x.shape[2] // factor, x.shape[3] // factor)
    if second.shape != expected or (doubled and (x.shape[2] % 2 or x.shape[3] % 2)):
        half = "half of it" if doubled else "it"
        raise ValueError(
            f"fused_conv2d: second has shape {second.shape}, which does not lie beside input {x.shape}: "
            f"its height and width must be {half}"
        )
    if second.dtype != x.dtype:
        raise TypeError(f"fused_conv2d: input is {x.dtype}, but second {second.dtype}")
    return second.shape[1]
