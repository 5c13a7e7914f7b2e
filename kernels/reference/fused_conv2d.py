"""relu(w ⋆ [x, doubled second] + β) as the steps that it is made of: the oracle of the fused kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.layout import c_order
from minidl.kernels.reference import conv2d

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


def joined(x: Array, second: Array | None, doubled: bool) -> Array:
    """The channels of x (N, C, H, W), then those of the second part, each pixel repeated if ``doubled``."""
    if second is None:
        return x
    if doubled:
        second = second.repeat(2, axis=2).repeat(2, axis=3)
    return np.concatenate((x, second), axis=1)


def parted(dx: Array, channels: int, second: Array | None, doubled: bool) -> tuple[Array, Array | None]:
    """The adjoint of :func:`joined`: the cotangents of its two parts."""
    if second is None:
        return dx, None
    rest = dx[:, channels:]
    if doubled:
        rest = rest[:, :, ::2] + rest[:, :, 1::2]
        rest = rest[:, :, :, ::2] + rest[:, :, :, 1::2]
    return dx[:, :channels], rest


def passed(g: Array, y: Array, relu: bool) -> Array:
    """The cotangent behind the ReLU whose output is y; where y is NaN it passes, as in torch."""
    return np.where(y <= 0, g.dtype.type(0), g) if relu else g


@c_order
def forward(
    x: Array,
    second: Array | None,
    weight: Array,
    bias: Array | None,
    out: Pair,
    doubled: bool,
    relu: bool,
    **options: Any,
) -> Array:
    """x (N, C, H, W), second (N, C1, H, W), or half as large, or None, weight (K, C + C1, kh, kw) to y."""
    y = conv2d.forward(joined(x, second, doubled), weight, bias, out, **options)
    return np.maximum(y, 0, out=y) if relu else y


@c_order
def backward(
    g: Array,
    y: Array,
    x: Array,
    second: Array | None,
    weight: Array,
    needed: tuple[bool, bool],
    doubled: bool,
    relu: bool,
    **options: Any,
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """Cotangent g of y to those of x, second, weight and bias.

    ``needed`` says whether those of the pictures, and those of weight and bias, are wanted; else they are
    None.
    """
    g, whole = passed(g, y, relu), joined(x, second, doubled)
    dx = dsecond = dw = db = None
    if needed[0]:
        whole_dx = conv2d.backward_data(g, weight, whole.shape, **options)
        dx, dsecond = parted(whole_dx, x.shape[1], second, doubled)
    if needed[1]:
        dw, db = conv2d.backward_weight(g, whole, weight.shape, **options), conv2d.backward_bias(g)
    return dx, dsecond, dw, db
