"""Convolutions for the tests of the CUDA kernels: sizes that fill neither tiles nor warps."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels.cuda.conv2d_geometry import Geometry


class Case(NamedTuple):
    """A convolution by its shapes and options."""

    name: str
    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def out(self) -> tuple[int, int]:
        sizes = zip(self.x[2:], self.weight[2:], self.stride, self.padding, self.dilation, strict=True)
        h, w = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return h, w

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.x, self.weight, self.out, self.stride, self.padding, self.dilation, self.groups)

    def arrays(self, dtype: Any, seed: int = 0) -> tuple[np.ndarray[Any, Any], ...]:
        """x, weight, bias, g."""
        rng = np.random.default_rng(seed)
        shapes = (self.x, self.weight, self.weight[:1], (self.x[0], self.weight[0], *self.out))
        return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)

    @property
    def terms(self) -> int:
        """The longest sum in any direction."""
        n, k = self.x[0], self.weight[0] // self.groups
        return max(prod(self.weight[1:]), k * prod(self.weight[2:]), n * prod(self.out))


CASES = (
    Case("one pixel", (1, 1, 1, 1), (1, 1, 1, 1)),
    Case("one pixel, padded", (1, 2, 1, 1), (3, 2, 3, 3), padding=(1, 1)),
    Case("same", (2, 5, 7, 9), (6, 5, 3, 3), padding=(1, 1)),
    Case("more padding than needed", (1, 3, 4, 5), (2, 3, 3, 3), padding=(3, 4)),
    Case("pointwise", (2, 5, 3, 4), (7, 5, 1, 1)),
    Case("strides, dilations, groups", (2, 6, 9, 8), (10, 3, 3, 2), (2, 1), (2, 2), (1, 2), 2),
    Case("pixels that no window reads", (1, 2, 8, 9), (3, 2, 2, 2), (3, 4)),
    Case("channelwise", (2, 5, 6, 7), (5, 1, 3, 3), padding=(1, 1), groups=5),
    Case("three filters for a channel", (2, 3, 7, 8), (9, 1, 2, 3), (1, 2), (2, 2), (2, 2), 3),
    Case("3x3 in groups", (1, 4, 6, 10), (6, 2, 3, 3), padding=(0, 1), groups=2),
)


def on(xp: ModuleType, *arrays: np.ndarray[Any, Any]) -> Iterator[Any]:
    """The arrays on a device."""
    return (xp.asarray(array) for array in arrays)
