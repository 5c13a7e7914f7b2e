"""relu(w ⋆ [x, doubled second] + β) on a device: bias and ReLU are part of the convolution's last step.

The two inputs are joined before and parted after by element-wise glue.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda import conv2d
from minidl.kernels.cuda.arrays import on_device
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.relu_mask import relu_mask

Pair = tuple[int, int]


def joined(x: Any, second: Any, doubled: bool) -> Any:
    """The channels of x (N, C, H, W), then those of the second part, each pixel repeated if ``doubled``."""
    if second is None:
        return x
    xp, (n, c, h, w) = namespace(x), x.shape
    whole = xp.empty((n, c + second.shape[1], h, w), x.dtype)
    whole[:, :c] = x
    if doubled:
        for i in range(4):
            whole[:, c:, i // 2 :: 2, i % 2 :: 2] = second
    else:
        whole[:, c:] = second
    return whole


def parted(dx: Any, channels: int, second: Any, doubled: bool) -> tuple[Any, Any]:
    """The adjoint of :func:`joined`: the cotangents of its two parts."""
    if second is None:
        return dx, None
    rest = dx[:, channels:]
    if doubled:
        rest = rest[:, :, ::2] + rest[:, :, 1::2]
        rest = rest[:, :, :, ::2] + rest[:, :, :, 1::2]
    return dx[:, :channels], rest


def passed(g: Any, y: Any, relu: bool) -> Any:
    """The cotangent behind the ReLU whose output is y; where y is NaN it passes, as in torch."""
    return relu_mask(g, y) if relu else g


@on_device
def forward(
    x: Any, second: Any, weight: Any, bias: Any, out: Pair, doubled: bool, relu: bool, **options: Any
) -> Any:
    """x (N, C, H, W), second (N, C1, H, W), or half as large, or None, weight (K, C + C1, kh, kw) to y."""
    return conv2d.forward(joined(x, second, doubled), weight, bias, out, relu=relu, **options)


@on_device
def backward(
    g: Any,
    y: Any,
    x: Any,
    second: Any,
    weight: Any,
    needed: tuple[bool, bool],
    doubled: bool,
    relu: bool,
    **options: Any,
) -> tuple[Any, Any, Any, Any]:
    """Cotangent g of y to those of x, second, weight and bias.

    ``needed`` says whether those of the pictures, and those of weight and bias, are wanted; else they are
    None.
    """
    g = passed(g, y, relu)
    dx = dsecond = dw = db = None
    if needed[0]:
        c = x.shape[1] + (0 if second is None else second.shape[1])
        whole = conv2d.backward_data(g, weight, (x.shape[0], c, *x.shape[2:]), **options)
        dx, dsecond = parted(whole, x.shape[1], second, doubled)
    if needed[1]:
        dw = conv2d.backward_weight(g, joined(x, second, doubled), weight.shape, **options)
        db = conv2d.backward_bias(g)
    return dx, dsecond, dw, db
