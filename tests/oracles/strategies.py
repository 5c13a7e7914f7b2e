"""Hypothesis strategies: shapes, arrays, memory orders, and configurations of convolutions
(pools and resampling: `window_strategies`).

Hypothesis draws what matters for finding faults (extents, strides, paddings, seeds) and shrinks it; the
values themselves come from a generator with the drawn seed, because a fault that needs one particular value
is not expected and one that needs generic values is. A configuration prints as a dataclass, so a failure can
be typed in again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from minidl.testing import (  # noqa: F401 (the tests find everything that makes arrays here)
    channels_last,
    fortran,
    memory_orders,
    reversed_axes,
    separated,
    sliced,
)
from oracles.loops import Pair, windows

Array = NDArray[np.float64]

seeds = st.integers(0, 2**32 - 1)
extents = st.integers(1, 4)


def shapes(min_dims: int = 0, max_dims: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with extents 1..4."""
    return st.lists(extents, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, count: int = 2) -> list[tuple[int, ...]]:
    """Shapes that broadcast together: some axes are missing in front, some have extent 1."""
    full = draw(shapes(0, 3))
    result = []
    for _ in range(count):
        start = draw(st.integers(0, len(full)))
        result.append(tuple(1 if draw(st.booleans()) else n for n in full[start:]))
    return result


@st.composite
def reductions(
    draw: st.DrawFn, min_dims: int = 0
) -> tuple[tuple[int, ...], int | tuple[int, ...] | None, bool]:
    """(shape, dim, keepdim): dim None, one axis or several, counted from either end."""
    shape = draw(shapes(min_dims, 4))
    kept = draw(st.booleans())
    if not shape or draw(st.booleans()):
        return shape, None, kept
    chosen = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    dims = tuple(d - len(shape) if draw(st.booleans()) else d for d in chosen)
    return shape, dims[0] if len(dims) == 1 and draw(st.booleans()) else dims, kept


def generic(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values of both signs, about 1 in size."""
    return np.asarray(rng.normal(size=shape))


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values of both signs, between 0.5 and 2 in size: for divisors."""
    return np.asarray(rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape))


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values between 0.5 and 2: for logarithms and powers."""
    return np.asarray(rng.uniform(0.5, 2.0, shape))


# --- configurations ---


def _either(draw: st.DrawFn, pair: tuple[int, ...]) -> int | tuple[int, ...]:
    """Where both numbers agree, sometimes the single number that stands for them."""
    return pair[0] if pair[0] == pair[1] and draw(st.booleans()) else pair


def _pairs(draw: st.DrawFn, low: int, high: int) -> Pair:
    first = draw(st.integers(low, high))
    return first, first if draw(st.booleans()) else draw(st.integers(low, high))


@dataclass(frozen=True)
class Convolution:
    """One call of conv2d or conv_transpose2d. `options` are its keyword arguments."""

    x_shape: tuple[int, int, int, int]
    w_shape: tuple[int, int, int, int]
    has_bias: bool
    options: dict[str, Any]
    seed: int
    bias_extent: int

    def arrays(self) -> tuple[Array, ...]:
        """x, w and, where there is one, the bias."""
        rng = np.random.default_rng(self.seed)
        bias = (generic(rng, (self.bias_extent,)),) if self.has_bias else ()
        return generic(rng, self.x_shape), generic(rng, self.w_shape), *bias

    @property
    def terms(self) -> int:
        """The number of products in the longest sum, forward or backward."""
        (N, C, H, W), (K, _, R, S) = self.x_shape, self.w_shape
        return N * (H + 9) * (W + 9) + max(C, K) * R * S


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """conv2d: kernels 1..3, strides 1..4 (past the kernel too), padding, dilation, groups, from one pixel."""
    groups, per_group, filters = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, stride = _pairs(draw, 1, 3), _pairs(draw, 1, 4)
    padding, dilation = _pairs(draw, 0, 2), _pairs(draw, 1, 3)
    height, width = (
        draw(st.integers(max(1, (k - 1) * d + 1 - 2 * p), max(1, (k - 1) * d + 1 - 2 * p) + 3))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )
    options: dict[str, Any] = {"stride": _either(draw, stride), "padding": _either(draw, padding)}
    options |= {"dilation": _either(draw, dilation), "groups": groups}
    x_shape = (draw(st.integers(1, 2)), groups * per_group, height, width)
    w_shape = (groups * filters, per_group, *kernel)
    return Convolution(x_shape, w_shape, draw(st.booleans()), options, draw(seeds), groups * filters)


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Convolution:
    """conv_transpose2d: output_padding below stride or dilation; the output has at least one pixel."""
    groups, per_group, filters = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, stride, dilation = _pairs(draw, 1, 3), _pairs(draw, 1, 3), _pairs(draw, 1, 3)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = tuple(
        draw(st.integers(0, min(2, ((n - 1) * s + d * (k - 1) + o) // 2)))
        for n, s, d, k, o in zip((height, width), stride, dilation, kernel, extra, strict=True)
    )
    options: dict[str, Any] = {"stride": _either(draw, stride), "padding": _either(draw, padding)}
    options |= {"output_padding": _either(draw, extra), "groups": groups, "dilation": _either(draw, dilation)}
    x_shape = (draw(st.integers(1, 2)), groups * per_group, height, width)
    w_shape = (groups * per_group, filters, *kernel)
    return Convolution(x_shape, w_shape, draw(st.booleans()), options, draw(seeds), groups * filters)


@dataclass(frozen=True)
class Windows:
    """One call of a pool, of unfold or of fold."""

    shape: tuple[int, int, int, int]
    options: dict[str, Any]
    seed: int

    def separated(self) -> Array:
        """Pixels without ties."""
        return separated(np.random.default_rng(self.seed), self.shape)

    def generic(self) -> Array:
        """Any pixels."""
        return generic(np.random.default_rng(self.seed), self.shape)

    def pairs(self) -> tuple[Pair, Pair, Pair]:
        """Kernel, stride and padding, each written as a pair; a missing stride is the kernel."""
        kernel = self.options["kernel_size"]
        stride = self.options.get("stride")
        values = (kernel, kernel if stride is None else stride, self.options.get("padding", 0))
        return tuple((v, v) if isinstance(v, int) else v for v in values)  # type: ignore[return-value]


@st.composite
def unfoldings(draw: st.DrawFn) -> Windows:
    """unfold and fold: as a convolution, without groups."""
    case = draw(convolutions())
    options = {name: case.options[name] for name in ("dilation", "padding", "stride")}
    kernel = _either(draw, case.w_shape[2:])
    return Windows(case.x_shape, {"kernel_size": kernel, **options}, case.seed)


def columns_of(case: Windows) -> tuple[int, int, int]:
    """The shape of unfold's result for this case."""
    kernel, stride, padding = case.pairs()
    dilation = case.options["dilation"]
    dilation = (dilation, dilation) if isinstance(dilation, int) else dilation
    rows, cols = (windows(case.shape[2 + a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    return case.shape[0], case.shape[1] * kernel[0] * kernel[1], rows * cols
