"""Literal loops for resampling (E12): one output pixel at a time, in float64. Nothing is shared with the
library."""

from __future__ import annotations

import math

import numpy as np

from oracles.loops import Array, Pair

#: One input pixel and its weight.
Tap = tuple[int, float]


def interpolate(
    x: Array,
    size: Pair,
    scale: tuple[float, float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Array:
    """y[i, j] = the weighted sum of the pixels that i and j look at. `scale`, where given, sets the step."""
    taps_of = {"nearest": nearest, "bilinear": linear, "bicubic": cubic}[mode]
    (rows, cols) = (
        [
            taps_of(i, x.shape[2 + a], size[a], scale[a] if scale else None, align_corners)
            for i in range(size[a])
        ]
        for a in (0, 1)
    )
    y = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in np.ndindex(y.shape):
        y[n, c, i, j] = sum(a * b * x[n, c, row, col] for row, a in rows[i] for col, b in cols[j])
    return y


def nearest(i: int, extent: int, out: int, scale: float | None, _: bool | None) -> list[Tap]:
    """The pixel floor(i step), in float32 as torch, which copies and doubles whatever the scale says."""
    if out == extent:
        return [(i, 1.0)]
    if out == 2 * extent:
        return [(i // 2, 1.0)]
    step = np.float32(extent / out if scale is None else 1 / scale)
    return [(min(math.floor(np.float32(i) * step), extent - 1), 1.0)]


def _position(i: int, extent: int, out: int, scale: float | None, align_corners: bool | None) -> float:
    """Where on the input output pixel i looks."""
    if align_corners:
        return 0.0 if out == 1 else i * (extent - 1) / (out - 1)
    return (i + 0.5) * (extent / out if scale is None else 1 / scale) - 0.5


def linear(i: int, extent: int, out: int, scale: float | None, align_corners: bool | None) -> list[Tap]:
    """The two pixels around the position, the nearer one weighing more; none before the first."""
    if out == extent:
        return [(i, 1.0)]
    position = max(_position(i, extent, out, scale, align_corners), 0.0)
    first = min(math.floor(position), extent - 1)
    return [(first, 1 - (position - first)), (min(first + 1, extent - 1), position - first)]


def cubic(i: int, extent: int, out: int, scale: float | None, align_corners: bool | None) -> list[Tap]:
    """Four pixels, weighted by Keys' kernel of their distance; beyond the border the border's pixel."""
    position = _position(i, extent, out, scale, align_corners)
    first = math.floor(position)
    pixels = range(first - 1, first + 3)
    return [(min(max(q, 0), extent - 1), keys(abs(position - q))) for q in pixels]


def keys(d: float, a: float = -0.75) -> float:
    """Keys (1981), equation 15, with torch's a."""
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0
