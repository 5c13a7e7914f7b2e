"""Upsampling and downsampling by nearest neighbour or bilinearly (equation E12), and the adjoint.

Notation: x (N, C, H, W), y (N, C, OH, OW), r = H / OH the step in the input for one output pixel (where it
was given, 1 / scale_factor), g the cotangent of y. Both axes are treated alike and one after the other, so
one axis tells all:

    nearest   y[i] = x[⌊i r⌋]
    bilinear  y[i] = (1 - t) x[a] + t x[a+1],  a + t = max(0, (i + ½) r - ½)     (pixel centres are aligned)
              with align_corners: a + t = i (H - 1) / (OH - 1)                    (corner pixels are aligned)

The neighbour a+1 stops at the last pixel. Each is a matrix with one or two entries a row, y = A_v x A_hᵀ,
and the backward is the transposed matrices, dx = A_vᵀ g A_h: what an output pixel read, it gives back with
the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, pair, require_ndim

MODES = ("nearest", "bilinear")


class Interpolate(Function):
    """y = A_v x A_hᵀ."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, taps: tuple[Any, Any]) -> Any:
        ctx.kernels = kernels("interpolate", x)
        ctx.shape, ctx.taps = x.shape, taps
        return ctx.kernels.forward(x, *taps)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, ctx.shape, *ctx.taps)


def _nearest(size: int, out: int, scale: float | None) -> tuple[Any, ...]:
    # In float32, as torch: the floor of a product that is nearly an integer depends on the rounding.
    step = np.float32(size / out if scale is None else 1 / scale)
    index = np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64)
    return ((np.minimum(index, size - 1), None),)


def _linear(size: int, out: int, scale: float | None, align_corners: bool) -> tuple[Any, ...]:
    if align_corners:
        position = np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    else:
        position = np.maximum(
            0.0, (np.arange(out) + 0.5) * (size / out if scale is None else 1 / scale) - 0.5
        )
    index = np.minimum(np.floor(position).astype(np.int64), size - 1)
    t = np.clip(position - index, 0.0, 1.0)
    return ((index, 1 - t), (np.minimum(index + 1, size - 1), t))


def interpolate(
    input: Tensor,
    size: int | Pair | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize images.

    Args:
        input: (N, C, H, W), floating-point.
        size: of the output, an integer or (OH, OW); or
        scale_factor: OH = ⌊H·scale⌋, one number or (vertical, horizontal).
        mode: ``"nearest"`` or ``"bilinear"``.
        align_corners: for bilinear only; see this module's text.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: both or neither of size and scale_factor, an unknown mode, align_corners with nearest, or
            an empty output.

    >>> import minidl
    >>> minidl.ops.interpolate(minidl.tensor([[[[1.0, 2.0]]]]), scale_factor=2)
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    >>> minidl.ops.interpolate(minidl.tensor([[[[0.0, 4.0]]]]), size=(1, 4), mode="bilinear")
    tensor([[[[0., 1., 3., 4.]]]])
    """
    require_ndim("interpolate", "input", input, 4, "(N, C, H, W)")
    if input.dtype.kind != "f":
        raise TypeError(f"interpolate: input must be floating-point, got {input.dtype}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if mode not in MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners only makes sense with mode='bilinear'")
    inside = (input.shape[2], input.shape[3])
    scales: tuple[float | None, float | None] = (None, None)
    if size is not None:
        out = pair(size, "size", "interpolate")
    else:
        assert scale_factor is not None
        given = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
        scales = (float(given[0]), float(given[1]))
        out = (math.floor(inside[0] * given[0]), math.floor(inside[1] * given[1]))
    if min(*inside, *out) < 1:
        raise ValueError(
            f"interpolate: cannot resize input of shape {input.shape} to {out}: an extent is empty"
        )
    if mode == "nearest":
        taps = tuple(_nearest(n, o, s) for n, o, s in zip(inside, out, scales, strict=True))
    else:
        taps = tuple(
            _linear(n, o, s, bool(align_corners)) for n, o, s in zip(inside, out, scales, strict=True)
        )
    return Interpolate.apply(input, taps=taps)
