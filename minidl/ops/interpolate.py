"""Upsampling and downsampling: nearest neighbour, bilinear, bicubic (equation E12), and their adjoints.

Notation: x (N, C, H, W), y (N, C, OH, OW), r = H / OH the step in the input for one output pixel (where it
was given, 1 / scale_factor), g the cotangent of y. Both axes are treated alike and one after the other, so
one axis tells all. Where output i looks, as a pixel a and a fraction t in [0, 1) of the way to the next:

    pixel centres aligned             a + t = (i + ½) r - ½      (bilinear: not below 0)
    corners aligned (align_corners)   a + t = i (H - 1) / (OH - 1)

    nearest   y[i] = x[⌊i r⌋]
    bilinear  y[i] = (1 - t) x[a] + t x[a+1]
    bicubic   y[i] = k(t+1) x[a-1] + k(t) x[a] + k(1-t) x[a+1] + k(2-t) x[a+2]

with Keys' kernel, b = -¾ as torch has it (his own choice was -½):

    k(d) = (b + 2) d³ - (b + 3) d² + 1         for d ≤ 1
    k(d) = b d³ - 5b d² + 8b d - 4b            for 1 < d < 2

Neighbours beyond the border are the border's pixel. Each mode is a matrix with one, two or four entries a
row, y = A_v x A_hᵀ, and the backward is the transposed matrices, dx = A_vᵀ g A_h: what an output pixel read,
it gives back with the same weights. That is linear in g, with y's own matrices as its backward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._shapes import Pair, pair, require_image

MODES = ("nearest", "bilinear", "bicubic")

#: For each axis, (index, weight) pairs; see kernels/reference/interpolate.py.
Taps = tuple[tuple[Any, Any], ...]


class Interpolate(Function):
    """y = A_v x A_hᵀ."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, taps: tuple[Taps, Taps]) -> Any:
        ctx.kernels = kernels("interpolate", x)
        ctx.shape, ctx.taps = x.shape, taps
        return ctx.kernels.forward(x, *taps)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.backward(g, ctx.shape, *ctx.taps)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return InterpolateAdjoint.apply(g, shape=ctx.shape, taps=ctx.taps)


class InterpolateAdjoint(Function):
    """dx = A_vᵀ g A_h as an operation on g."""

    @staticmethod
    def forward(ctx: Node, g: Any, *, shape: tuple[int, ...], taps: tuple[Taps, Taps]) -> Any:
        ctx.kernels, ctx.taps = kernels("interpolate", g), taps
        return ctx.kernels.backward(g, shape, *taps)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return ctx.kernels.forward(g, *ctx.taps)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return Interpolate.apply(g, taps=ctx.taps)


def _nearest(size: int, out: int, scale: float | None) -> Taps:
    if out == size:
        index = np.arange(out)  # a copy, and below a doubling, whatever the scale: as torch
    elif out == 2 * size:
        index = np.arange(out) // 2
    else:
        # In float32, as torch: the floor of a product that is nearly an integer depends on the rounding.
        step = np.float32(size / out if scale is None else 1 / scale)
        index = np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64)
    return ((np.minimum(index, size - 1), None),)


def _positions(size: int, out: int, scale: float | None, align_corners: bool) -> Any:
    """Where on the input each output pixel looks."""
    if align_corners:
        return np.arange(out) * ((size - 1) / max(out - 1, 1))
    return (np.arange(out) + 0.5) * (size / out if scale is None else 1 / scale) - 0.5


def _linear(size: int, out: int, scale: float | None, align_corners: bool) -> Taps:
    if out == size:  # a copy whatever the scale, as torch; here the second tap is the first with weight zero
        return ((np.arange(out), np.ones(out)), (np.arange(out), np.zeros(out)))
    position = np.maximum(_positions(size, out, scale, align_corners), 0.0)
    index = np.floor(position).astype(np.int64)
    t = position - index
    return ((index, 1 - t), (np.minimum(index + 1, size - 1), t))


def _cubic(size: int, out: int, scale: float | None, align_corners: bool) -> Taps:
    position = _positions(size, out, scale, align_corners)
    index = np.floor(position).astype(np.int64)
    t = position - index
    taps = ((-1, _keys(t + 1)), (0, _keys(t)), (1, _keys(1 - t)), (2, _keys(2 - t)))
    return tuple((np.clip(index + step, 0, size - 1), weight) for step, weight in taps)


def _keys(d: Any, b: float = -0.75) -> Any:
    """Keys' cubic convolution kernel at distances 0 ≤ d ≤ 2."""
    near = ((b + 2) * d - (b + 3)) * d * d + 1
    far = ((b * d - 5 * b) * d + 8 * b) * d - 4 * b
    return np.where(d <= 1, near, far)


def interpolate(
    input: Tensor,
    size: int | Pair | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize images (torch's ``interpolate``).

    Args:
        input: (N, C, H, W), floating-point; for nearest also uint8.
        size: of the output, an integer or (OH, OW); or
        scale_factor: OH = ⌊H·scale⌋, one number or (vertical, horizontal).
        mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``, which overshoots at edges.
        align_corners: for bilinear and bicubic only; see this module's text.
        recompute_scale_factor: go by the extents alone, as if the size that ``scale_factor`` makes had been
            given instead of it.
        antialias: there for torch's sake, and False.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: both or neither of size and scale_factor, an unknown mode, align_corners with nearest,
            recompute_scale_factor with a size, an empty image or output, or a scale that is not finite.
        NotImplementedError: ``antialias``.
        TypeError: other dtypes, or sizes and scales that are no numbers.

    >>> import minidl
    >>> minidl.ops.interpolate(minidl.tensor([[[[1.0, 2.0]]]]), scale_factor=2)
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    >>> minidl.ops.interpolate(minidl.tensor([[[[0.0, 4.0]]]]), size=(1, 4), mode="bilinear")
    tensor([[[[0., 1., 3., 4.]]]])
    """
    _check_options(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
    axes = _axes(input, size, scale_factor, bool(recompute_scale_factor))
    if mode == "nearest":
        return Interpolate.apply(input, taps=tuple(_nearest(*axis) for axis in axes))
    weigh = _linear if mode == "bilinear" else _cubic
    return Interpolate.apply(input, taps=tuple(weigh(*axis, bool(align_corners)) for axis in axes))


def _check_options(
    input: Tensor,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute_scale_factor: bool | None,
    antialias: bool,
) -> None:
    """Raise unless the options go together, as `interpolate` says."""
    require_image("interpolate", input)
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not there; shrink with avg_pool2d")
    if recompute_scale_factor and size is not None:
        raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
    if mode not in MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if input.dtype.kind != "f" and not (mode == "nearest" and input.dtype == np.uint8):
        raise TypeError(f"interpolate: input must be floating-point (nearest: or uint8), got {input.dtype}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners only makes sense with mode='bilinear' or 'bicubic'")


def _axes(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool
) -> list[tuple[int, int, float | None]]:
    """Of height and width: the input's extent, the output's, and the scale if it is not their ratio."""
    inside = (input.shape[2], input.shape[3])
    scales: tuple[float | None, float | None] = (None, None)
    if size is not None:
        out = pair(size, "size", "interpolate")
    else:
        scales = vertical, horizontal = _scales(scale_factor)
        out = (math.floor(inside[0] * vertical), math.floor(inside[1] * horizontal))
        if recompute:
            scales = (None, None)
    if min(out) < 1:
        raise ValueError(f"interpolate: cannot resize input of shape {input.shape} to {out}")
    return list(zip(inside, out, scales, strict=True))


def _scales(scale_factor: Any) -> tuple[float, float]:
    given = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
    if not all(isinstance(s, int | float | np.number) for s in given):
        raise TypeError(f"interpolate: scale_factor must be a number or a pair of them, got {scale_factor!r}")
    if len(given) != 2 or not all(math.isfinite(s) for s in given):
        raise ValueError(f"interpolate: scale_factor must be one or two finite numbers, got {scale_factor!r}")
    return float(given[0]), float(given[1])
