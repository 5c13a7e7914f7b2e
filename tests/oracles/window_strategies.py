"""Hypothesis strategies for the operations that look through windows, with all their options.

As in `oracles.strategies`: extents and options are drawn, values come from a generator with a drawn seed, and
a case prints as a dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.loops import Pair, pair
from oracles.pool_loops import starts
from oracles.strategies import Array, Convolution, Windows, _either, _pairs, generic, seeds, separated


@st.composite
def same_convolutions(draw: st.DrawFn) -> Convolution:
    """conv2d with padding="same": odd and even kernels, dilation, groups, images smaller than the window."""
    groups, per_group, filters = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, dilation = _pairs(draw, 1, 4), _pairs(draw, 1, 3)
    options: dict[str, Any] = {"dilation": _either(draw, dilation), "groups": groups}
    size = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    x_shape = (draw(st.integers(1, 2)), groups * per_group, *size)
    w_shape = (groups * filters, per_group, *kernel)
    return Convolution(x_shape, w_shape, draw(st.booleans()), options, draw(seeds), groups * filters)


def _has_pixels(extent: int, kernel: int, begins: list[int], dilation: int) -> bool:
    return bool(begins) and all(
        any(0 <= begin + u * dilation < extent for u in range(kernel)) for begin in begins
    )


def _shape(draw: st.DrawFn, height: int, width: int) -> tuple[int, int, int, int]:
    """A batch of a few images, or none."""
    return draw(st.sampled_from([1, 2, 0])), draw(st.integers(1, 3)), height, width


@st.composite
def max_pools(draw: st.DrawFn) -> Windows:
    """max_pool2d: padding, dilation, ceil_mode; one pixel, empty batches, no window without pixels."""
    kernel, stride, dilation = _pairs(draw, 1, 3), _pairs(draw, 1, 4), _pairs(draw, 1, 3)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    given_stride, ceil = draw(st.booleans()), draw(st.booleans())
    size = []
    for k, s, p, d in zip(kernel, stride if given_stride else kernel, padding, dilation, strict=True):
        allowed = [n for n in range(1, 12) if _has_pixels(n, k, starts(n, k, s, p, d, ceil), d)]
        size.append(draw(st.sampled_from(allowed[:7])))
    options: dict[str, Any] = {"kernel_size": _either(draw, kernel)}
    if given_stride:
        options["stride"] = _either(draw, stride)
    options |= {"padding": _either(draw, padding), "dilation": _either(draw, dilation), "ceil_mode": ceil}
    return Windows(_shape(draw, *size), options, draw(seeds))


@st.composite
def avg_pools(draw: st.DrawFn) -> Windows:
    """avg_pool2d: padding, ceil_mode, count_include_pad, divisor_override."""
    kernel, stride = _pairs(draw, 1, 4), _pairs(draw, 1, 4)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    given_stride, ceil = draw(st.booleans()), draw(st.booleans())
    size = []
    for k, s, p in zip(kernel, stride if given_stride else kernel, padding, strict=True):
        allowed = [n for n in range(1, 12) if starts(n, k, s, p, 1, ceil)]
        size.append(draw(st.sampled_from(allowed[:7])))
    options: dict[str, Any] = {"kernel_size": _either(draw, kernel)}
    if given_stride:
        options["stride"] = _either(draw, stride)
    options |= {"padding": _either(draw, padding), "ceil_mode": ceil}
    options["count_include_pad"] = draw(st.booleans())
    options["divisor_override"] = draw(st.sampled_from([None, None, 1, 3, -2]))
    return Windows(_shape(draw, *size), options, draw(seeds))


@dataclass(frozen=True)
class Adaptive:
    """One call of adaptive_avg_pool2d."""

    shape: tuple[int, int, int, int]
    output_size: Any
    seed: int

    def generic(self) -> Array:
        """Any pixels."""
        return generic(np.random.default_rng(self.seed), self.shape)


@st.composite
def adaptive_pools(draw: st.DrawFn, empty: bool = True) -> Adaptive:
    """adaptive_avg_pool2d: smaller, larger, equal (None), perhaps empty; a number or a pair."""
    least = 0 if empty else 1
    shape = (
        draw(st.sampled_from([1, 2, least])),
        draw(st.integers(least, 3)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
    )
    extents = st.one_of(st.integers(1, 11), st.none(), st.just(least))
    size = draw(st.one_of(st.integers(least, 5), st.tuples(extents, extents)))
    return Adaptive(shape, size, draw(seeds))


@dataclass(frozen=True)
class Unpooling:
    """One call of max_unpool2d: of what max_pool2d with these options made of an image of this shape."""

    pooling: Windows
    size: Pair
    options: dict[str, Any]

    def image(self) -> Array:
        """The image that is pooled, without ties."""
        return separated(np.random.default_rng(self.pooling.seed), self.pooling.shape)


@st.composite
def unpoolings(draw: st.DrawFn, overlapping: bool = False) -> Unpooling:
    """max_unpool2d back to the pooled image's size; unless `overlapping`, no pixel is named twice."""
    kernel = _pairs(draw, 1, 3)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    stride = _pairs(draw, 1, 3) if overlapping else tuple(k + draw(st.integers(0, 1)) for k in kernel)
    size = tuple(
        draw(st.integers(max(1, k - 2 * p), max(1, k - 2 * p) + 6))
        for k, p in zip(kernel, padding, strict=True)
    )
    options: dict[str, Any] = {"kernel_size": _either(draw, kernel), "padding": _either(draw, padding)}
    if stride != kernel or draw(st.booleans()):
        options["stride"] = _either(draw, stride)
    pooling = Windows(_shape(draw, *size), options, draw(seeds))
    given: Any = size if draw(st.booleans()) else pooling.shape
    return Unpooling(pooling, (size[0], size[1]), options | {"output_size": given})


@dataclass(frozen=True)
class Resizing:
    """One call of interpolate; `size` is the output's, `scale` what was passed as scale_factor, if it was."""

    shape: tuple[int, int, int, int]
    size: Pair
    scale: tuple[float, float] | None
    options: dict[str, Any]
    seed: int

    def generic(self) -> Array:
        """Any pixels."""
        return generic(np.random.default_rng(self.seed), self.shape)

    @property
    def align_corners(self) -> bool | None:
        """As passed."""
        return self.options.get("align_corners")


@st.composite
def resizings(draw: st.DrawFn, mode: str) -> Resizing:
    """interpolate: up and down, by size or by scale factor (also such as leave a remainder), all corners."""
    shape = (
        draw(st.sampled_from([1, 2, 0])),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 5)),
    )
    options: dict[str, Any] = {"mode": mode}
    if mode != "nearest":
        options["align_corners"] = draw(st.sampled_from([None, False, True]))
    if draw(st.booleans()):
        size = _pairs(draw, 1, 11)
        return Resizing(shape, size, None, options | {"size": _either(draw, size)}, draw(seeds))
    factors = st.sampled_from([1.0, 2.0, 3.0, 4.0, 1.5, 2.5, 0.5, 0.75, 1.1, 1.2, 2.1, 2.3, 0.4, 0.9])
    first = draw(factors)
    scale = (first, first if draw(st.booleans()) else draw(factors))
    if any(int(n * s) < 1 for n, s in zip(shape[2:], scale, strict=True)):
        scale = (2.0, 2.0)
    out = (int(shape[2] * scale[0]), int(shape[3] * scale[1]))
    given: Any = scale[0] if scale[0] == scale[1] and draw(st.booleans()) else scale
    return Resizing(shape, out, scale, options | {"scale_factor": given}, draw(seeds))


def padded(x: Array, before: Pair, after: Pair) -> Array:
    """x (N, C, H, W) in a frame of zeros."""
    frame = np.zeros((*x.shape[:2], *(n + b + a for n, b, a in zip(x.shape[2:], before, after, strict=True))))
    frame[:, :, before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]] = x
    return frame


def frame_of(case: Convolution) -> tuple[Pair, Pair]:
    """What padding="same" puts before and after: the span d (k - 1), its larger half after the image."""
    spans = [d * (k - 1) for d, k in zip(pair(case.options["dilation"]), case.w_shape[2:], strict=True)]
    before = (spans[0] // 2, spans[1] // 2)
    return before, (spans[0] - before[0], spans[1] - before[1])
