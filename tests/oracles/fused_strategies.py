"""Drawn configurations of `ops.fused_conv2d`, and its equation step by step from the literal loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles import loops
from oracles.strategies import Array, generic, seeds


@dataclass(frozen=True)
class Fused:
    """Shapes and options of one call; the values come from `arrays`."""

    x_shape: tuple[int, ...]
    second_shape: tuple[int, ...] | None
    w_shape: tuple[int, ...]
    bias: bool
    options: dict[str, Any]
    seed: int

    def arrays(self) -> list[Array]:
        """x, second (if any), weight, bias (if any)."""
        shapes = [self.x_shape, self.second_shape, self.w_shape, self.w_shape[:1] if self.bias else None]
        rng = np.random.default_rng(self.seed)
        return [generic(rng, shape) for shape in shapes if shape is not None]

    def has_corner(self) -> bool:
        """A ReLU's input so close to 0 that a difference, or rounding, may step across."""
        before = replace(self, options=self.options | {"relu": False}).literal(*self.arrays())
        return bool(self.options["relu"] and before.size and np.abs(before).min() < 1e-4)

    @property
    def terms(self) -> int:
        """Length of the longest sum: of the forward, or of a weight's gradient over the pixels."""
        pixels = self.x_shape[0] * (self.x_shape[2] + 4) * (self.x_shape[3] + 4)
        return max(int(np.prod(self.w_shape[1:])) * 4, self.w_shape[0] * 9, pixels)

    def named(self, arrays: Any) -> tuple[Any, Any, Any, Any]:
        """The same, None where there is none."""
        rest = list(arrays)
        x = rest.pop(0)
        second = rest.pop(0) if self.second_shape is not None else None
        weight = rest.pop(0)
        return x, second, weight, rest.pop(0) if self.bias else None

    def call(self, ops: Any, *tensors: Any) -> Any:
        """The operation itself."""
        x, second, weight, bias = self.named(tensors)
        return ops.fused_conv2d(x, weight, bias, second=second, **self.options)

    def literal(self, *arrays: Array) -> Array:
        """Repeat pixels, put the channels side by side, convolve by loops, cut at zero."""
        x, second, weight, bias = self.named(arrays)
        options = dict(self.options)
        doubled, relu = options.pop("upsample_second", False), options.pop("relu", False)
        options.pop("algorithm", None)
        if second is not None:
            large = np.zeros((*second.shape[:2], *x.shape[2:]))
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    large[:, :, i, j] = second[:, :, i // 2, j // 2] if doubled else second[:, :, i, j]
            x = np.array([[*a, *b] for a, b in zip(x, large, strict=True)]).reshape(
                x.shape[0], x.shape[1] + second.shape[1], *x.shape[2:]
            )
        y = loops.conv2d(
            x, weight, bias, **({"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options)
        )
        return np.array([max(v, 0.0) for v in y.ravel()]).reshape(y.shape) if relu else y


@st.composite
def fused(draw: st.DrawFn) -> Fused:
    """3x3 filters of every padding, with and without a second input; some other filters, too."""
    doubled, second = draw(st.sampled_from([(True, True), (False, True), (False, False)]))
    channels, more, filters = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    kernel = draw(st.sampled_from([3, 3, 3, 1, 2]))
    options: dict[str, Any] = {"padding": draw(st.integers(0, 2)), "relu": draw(st.booleans())}
    if kernel != 3:
        options |= {"stride": draw(st.integers(1, 2)), "dilation": draw(st.integers(1, 2))}
    least = max(1, kernel + (kernel - 1) * (options.get("dilation", 1) - 1) - 2 * options["padding"])
    height, width = draw(st.integers(least, least + 5)), draw(st.integers(least, least + 5))
    if doubled:
        height, width = height + height % 2, width + width % 2
        options["upsample_second"] = True
    n, half = draw(st.integers(1, 2)), 2 if doubled else 1
    second_shape = (n, more, height // half, width // half) if second else None
    w_shape = (filters, channels + (more if second else 0), kernel, kernel)
    return Fused(
        (n, channels, height, width), second_shape, w_shape, draw(st.booleans()), options, draw(seeds)
    )
