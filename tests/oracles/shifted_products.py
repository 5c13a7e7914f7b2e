"""Convolution and its gradients as sums of shifted products, tap by tap, in float64; and drawn convolutions.

For every tap (u, v) of the filter there is one view of the padded picture, which holds the pixel that the tap
sees for each output. The forward adds views times weights; the gradients are the adjoints of that, view by
view. It is as literal as the loops of ``oracles.loops`` and fast enough for channels beyond a vector's width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracles.loops import Pair, windows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One convolution: the extents, and the options as the kernels take them (pairs)."""

    n: int
    size: Pair
    groups: int
    channels: int  # of a group
    filters: int  # of a group
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    seed: int = 0

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.n, self.groups * self.channels, *self.size

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.groups * self.filters, self.channels, *self.kernel

    @property
    def out(self) -> Pair:
        every = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = (windows(*axis) for axis in every)
        return height, width

    @property
    def options(self) -> dict[str, Any]:
        """What the kernels take besides arrays and shapes."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    def arrays(self, dtype: Any) -> tuple[NDArray[Any], ...]:
        """x, weight, bias and a cotangent of the output."""
        rng = np.random.default_rng(self.seed)
        k = self.w_shape[0]
        shapes = (self.x_shape, self.w_shape, (k,), (self.n, k, *self.out))
        return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)

    def views(self, padded: Array) -> Iterator[tuple[Pair, Array]]:
        """Each tap, and of a padded picture the pixels that it sees: (N, groups, C/groups, OH, OW)."""
        (oh, ow), (sy, sx), (dy, dx) = self.out, self.stride, self.dilation
        grouped = padded.reshape(self.n, self.groups, self.channels, *padded.shape[2:])
        for u, v in np.ndindex(*self.kernel):
            rows = slice(u * dy, u * dy + (oh - 1) * sy + 1, sy)
            columns = slice(v * dx, v * dx + (ow - 1) * sx + 1, sx)
            yield (u, v), grouped[..., rows, columns]

    def padded(self, x: NDArray[Any]) -> Array:
        """x in its frame of zeros, in float64."""
        (py, px), (h, w) = self.padding, self.size
        frame = np.zeros((self.n, x.shape[1], h + 2 * py, w + 2 * px))
        frame[:, :, py : py + h, px : px + w] = x
        return frame

    def forward(self, x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None) -> Array:
        """y (N, K, OH, OW)."""
        w = weight.astype(np.float64).reshape(self.groups, self.filters, *self.w_shape[1:])
        y = np.zeros((self.n, self.groups, self.filters, *self.out))
        for (u, v), view in self.views(self.padded(x)):
            y += np.einsum("ngcij,gkc->ngkij", view, w[..., u, v])
        y = y.reshape(self.n, self.w_shape[0], *self.out)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    def backward_data(self, g: NDArray[Any], weight: NDArray[Any]) -> Array:
        """dx (N, C, H, W)."""
        w = weight.astype(np.float64).reshape(self.groups, self.filters, *self.w_shape[1:])
        g = g.reshape(self.n, self.groups, self.filters, *self.out)
        frame = self.padded(np.zeros(self.x_shape))
        for (u, v), view in self.views(frame):
            view += np.einsum("ngkij,gkc->ngcij", g, w[..., u, v])
        (py, px), (h, width) = self.padding, self.size
        return frame[:, :, py : py + h, px : px + width]

    def backward_weight(self, g: NDArray[Any], x: NDArray[Any]) -> Array:
        """dw (K, C/groups, kh, kw)."""
        g = g.astype(np.float64).reshape(self.n, self.groups, self.filters, *self.out)
        dw = np.zeros((self.groups, self.filters, self.channels, *self.kernel))
        for (u, v), view in self.views(self.padded(x)):
            dw[..., u, v] = np.einsum("ngkij,ngcij->gkc", g, view)
        return dw.reshape(self.w_shape)


def _pair(draw: st.DrawFn, low: int, high: int) -> Pair:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


@st.composite
def _placed(draw: st.DrawFn, channels: tuple[int, int, int], kernel: Pair | None, dense: bool) -> Case:
    """A case with these (groups, channels, filters): windows that overlap, leave gaps, or lie outside."""
    kernel = kernel or _pair(draw, 1, 5)
    stride, dilation = ((1, 1), (1, 1)) if dense else (_pair(draw, 1, 4), _pair(draw, 1, 3))
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    padding = tuple(draw(st.integers(0, span + 1)) for span in spans)
    least = tuple(max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True))
    size = tuple(low + draw(st.integers(0, 13)) for low in least)
    n = draw(st.sampled_from([1, 2, 3, 5, 0]))
    seed = draw(st.integers(0, 2**32 - 1))
    return Case(n, size, *channels, kernel, stride, padding, dilation, seed)  # type: ignore[arg-type]


#: Channels around the widths of vectors (4, 8, 16) and of panels of two.
_extents = st.integers(1, 37)


def dense() -> st.SearchStrategy[Case]:
    """3x3, stride 1, one group: what Winograd's algorithm can do."""
    channels = st.tuples(st.just(1), _extents, _extents)
    return channels.flatmap(lambda c: _placed(c, (3, 3), True))


def general() -> st.SearchStrategy[Case]:
    """Any filter, stride, dilation and padding; one group, or a few of uneven channels."""
    one = st.tuples(st.just(1), _extents, _extents)
    few = st.tuples(st.integers(2, 5), st.integers(1, 9), st.integers(1, 9))
    return st.one_of(one, few).flatmap(lambda c: _placed(c, None, False))


def depthwise() -> st.SearchStrategy[Case]:
    """A filter or a few for each channel."""
    channels = st.tuples(_extents, st.just(1), st.sampled_from([1, 1, 2, 3]))
    return channels.flatmap(lambda c: _placed(c, None, False))
