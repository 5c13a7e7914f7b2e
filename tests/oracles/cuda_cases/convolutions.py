"""Convolutions by each algorithm, the columns and the products that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from minidl.kernels.cuda import (
    conv2d_depthwise,
    conv2d_direct,
    conv2d_implicit,
    conv2d_winograd,
    gemm,
    unfold,
)
from minidl.kernels.reference import conv2d as reference
from oracles import loops
from oracles.conv_cases import Case as Shapes
from oracles.cuda_cases.case import Case, Draw

MIXED = Shapes("mixed", (2, 6, 9, 8), (10, 3, 3, 2), (2, 1), (2, 2), (1, 2), 2)
STRIDED = Shapes("strided", (1, 2, 8, 9), (3, 2, 2, 2), (3, 2))
DILATED = Shapes("dilated", (1, 2, 8, 9), (3, 2, 2, 2), padding=(1, 0), dilation=(2, 3))
BARE = Shapes("bare", (1, 2, 6, 7), (3, 2, 3, 3))
PADDED = Shapes("padded", (1, 3, 4, 5), (2, 3, 3, 3), padding=(3, 4))
SQUARE = Shapes("square", (2, 4, 6, 10), (6, 2, 3, 3), padding=(0, 1), groups=2)
#: More filters, by one, and more pixels or taps, than a tile of the fastest kernels has.
TILES = Shapes("tiles", (1, 2, 12, 13), (129, 2, 3, 3), padding=(1, 1))
TAPS = Shapes("taps", (1, 15, 4, 3), (129, 15, 3, 3), padding=(1, 1))
DEPTHWISE = Shapes("depthwise", (2, 3, 17, 18), (9, 1, 2, 3), (1, 2), (2, 2), (2, 2), 3)

#: Planes of more than a block, a vertical stride, no padding.
BLOCKS = Shapes("blocks", (1, 2, 35, 20), (2, 1, 3, 2), (2, 1), groups=2)


@dataclass(frozen=True)
class Convolution:
    """The calls of one algorithm with one shape.

    Attributes:
        module: the algorithm.
        shapes: of the arrays.
        factor: the error of a product of two factors and of adding it, in roundings. (Winograd's transforms
            make it larger by the sizes of their matrices' entries, which are below 8.)
        bad: whether a weight and a cotangent are infinite.
    """

    module: ModuleType
    shapes: Shapes
    factor: float = 10
    bad: bool = False

    def _case(self, function: str, version: str | None, make: Any, call: Any, expected: Any) -> Case:
        operation = self.module.__name__.rpartition(".")[2]
        name = f"{self.shapes.name}-infinite" if self.bad else self.shapes.name
        slack = self.factor * (self.shapes.terms + 8)
        return Case(operation, function, version, name, make, slack, expected=expected, call=call)

    def _arrays(self, draw: Draw) -> list[Any]:
        x, weight, bias, g = self.shapes.arrays(draw.dtype)
        if self.bad:
            weight[1, 0, 1, 0] = g[0, 1, 0, 0] = np.inf
        return [x, weight, bias, g]

    def forward(self, version: str | None = None, relu: bool = False, bias: bool = True) -> Case:
        def make(draw: Draw) -> Any:
            x, weight, shift, _ = self._arrays(draw)
            return (x, weight, shift if bias else None), {}

        def call(x: Any, weight: Any, shift: Any, **options: Any) -> Any:
            return self.module.forward(x, weight, shift, self.shapes.geometry, relu, **options)

        def expected(x: Any, weight: Any, shift: Any) -> Any:
            y = reference.forward(x, weight, shift, self.shapes.out, **self.shapes.options)
            return np.maximum(y, 0) if relu else y

        return self._case(f"forward{'-relu' * relu}", version, make, call, expected)

    def backward_data(self, version: str | None = None, **also: Any) -> Case:
        def call(g: Any, weight: Any, **options: Any) -> Any:
            return self.module.backward_data(g, weight, self.shapes.geometry, **options, **also)

        def expected(g: Any, weight: Any) -> Any:
            return reference.backward_data(g, weight, self.shapes.x, **self.shapes.options)

        def make(draw: Draw) -> Any:
            _, weight, _, g = self._arrays(draw)
            return (g, weight), {}

        return self._case("backward_data", version, make, call, expected)

    def backward_weight(self, version: str | None = None) -> Case:
        def call(g: Any, x: Any, **options: Any) -> Any:
            return self.module.backward_weight(g, x, self.shapes.geometry, **options)

        def expected(g: Any, x: Any) -> Any:
            return reference.backward_weight(g, x, self.shapes.weight, **self.shapes.options)

        def make(draw: Draw) -> Any:
            x, _, _, g = self._arrays(draw)
            return (g, x), {}

        return self._case("backward_weight", version, make, call, expected)


def direct() -> Iterator[Case]:
    for shapes in (MIXED, PADDED, BARE, STRIDED, DILATED):
        of = Convolution(conv2d_direct, shapes)
        for version in conv2d_direct.VERSIONS:
            yield of.forward(version)
        yield from (of.backward_data(), of.backward_weight())
    bad = Convolution(conv2d_direct, PADDED, bad=True)
    for version in conv2d_direct.VERSIONS:
        yield bad.forward(version, relu=True, bias=False)
    yield from (bad.backward_data(), bad.backward_weight())
    yield from _repeated(bad, "backward_data", "dx")
    for version in conv2d_direct.VERSIONS:
        yield from _repeated(bad, "forward", "y", version)

    def bias(draw: Draw) -> Any:
        return (draw(3, 5, 17, 18),), {}

    yield Case("conv2d_direct", "backward_bias", None, "", bias, 256, expected=reference.backward_bias)


def _repeated(of: Convolution, function: str, result: str, version: str | None = None) -> Iterator[Case]:
    """With a flag: what was there before stays if it is 0, and is overwritten if it is 1."""
    whole = getattr(of, function)(version)
    for flag in (0, 1):

        def make(draw: Draw, flag: int = flag) -> Any:
            there = np.full(whole.want(draw.dtype).shape, 7, draw.dtype)
            return (whole.make(draw)[0], np.array([flag], np.int32), there), {}

        def call(given: Any, only_if: Any, there: Any, **options: Any) -> Any:
            options = {**options, "only_if": only_if, result: there}
            return getattr(of.module, function)(*given, of.shapes.geometry, **options)

        def expected(given: Any, only_if: Any, there: Any) -> Any:
            return whole.expected(*given) if only_if[0] else there

        yield replace(whole, name=f"flag {flag}", make=make, expected=expected, call=call)


def depthwise() -> Iterator[Case]:
    plain, bad = Convolution(conv2d_depthwise, DEPTHWISE), Convolution(conv2d_depthwise, DEPTHWISE, bad=True)
    for of in (plain, bad, Convolution(conv2d_depthwise, BLOCKS)):
        yield from (of.forward(), of.forward(relu=True, bias=False), of.backward_data(), of.backward_weight())


def implicit() -> Iterator[Case]:
    for shapes in (MIXED, DILATED, TILES):
        of = Convolution(conv2d_implicit, shapes)
        for version in conv2d_implicit.VERSIONS:
            yield of.forward(version, relu=shapes is TILES)
    plain, bad = Convolution(conv2d_implicit, MIXED), Convolution(conv2d_implicit, PADDED, bad=True)
    for of in (plain, bad):
        yield from (
            of.forward("v1", bias=False),
            of.forward(bias=False),
            of.backward_data("v1"),
            of.backward_weight(),
        )
    yield Convolution(conv2d_implicit, TAPS).backward_weight()
    yield from _repeated(Convolution(conv2d_implicit, PADDED), "backward_weight", "dw")
    whole = plain.backward_weight()

    def shares(g: Any, x: Any) -> Any:
        with patch.object(conv2d_implicit, "LEAST_PIXELS", 30):
            return conv2d_implicit.backward_weight(g, x, MIXED.geometry)

    yield replace(whole, name="shares", call=shares)


def winograd() -> Iterator[Case]:
    for bad in (False, True):
        of = Convolution(conv2d_winograd, SQUARE, 80, bad)
        yield from (of.forward("v3", relu=True), of.forward("v3", bias=False))
        yield from (of.backward_data("v3"), of.backward_weight("v3"))


def columns() -> Iterator[Case]:
    for shapes in (
        MIXED,
        PADDED,
        BARE,
        STRIDED,
        DILATED,
        Shapes("wide", (1, 2, 3, 40), (1, 2, 2, 3), padding=(0, 1)),
    ):
        window = (shapes.weight[2:], shapes.out, shapes.stride, shapes.padding, shapes.dilation)

        def options(s: Shapes) -> dict[str, Any]:
            return {"stride": s.stride, "padding": s.padding, "dilation": s.dilation}

        def forward(draw: Draw, s: Any = shapes, window: Any = window) -> Any:
            return (draw(*s.x), *window), {}

        def unfolded(x: Any, *window: Any, s: Any = shapes) -> Any:
            return loops.unfold(x, s.weight[2:], **options(s)).astype(x.dtype)

        def backward(draw: Draw, s: Any = shapes, window: Any = window) -> Any:
            rows = s.x[1] * s.weight[2] * s.weight[3]
            return (draw(s.x[0], rows, s.out[0] * s.out[1]), s.x, *window), {}

        def folded(col: Any, *window: Any, s: Any = shapes) -> Any:
            return loops.fold(col, s.x[2:], s.weight[2:], **options(s)).astype(col.dtype)

        for v in unfold.VERSIONS:
            yield Case("unfold", "forward", v, shapes.name, forward, 0, expected=unfolded)
            yield Case("unfold", "backward", v, shapes.name, backward, 50, expected=folded)


def products() -> Iterator[Case]:
    def product(
        name: str, size: tuple[int, int, int], images: int, groups: int, share: int, turned: bool
    ) -> Callable[[str], Case]:
        m, n, k = size

        def make(draw: Draw) -> Any:
            a, b = draw(images, groups, m, k), draw(images, groups, k, n)
            given = (np.ascontiguousarray(a.mT), np.ascontiguousarray(b.mT)) if turned else (a, b)
            return (*given, draw(groups * m) if turned else None), {}

        def call(a: Any, b: Any, bias: Any, version: str) -> Any:
            left, right = gemm.matrices(a), gemm.matrices(b)
            factors = (left.mT, right.mT) if turned else (left, right)
            return gemm.multiply(*factors, size, images, groups, share, bias, version)

        def expected(a: Any, b: Any, bias: Any) -> Any:
            each = (a.mT if turned else a).astype(np.float64) @ (b.mT if turned else b)
            sums = np.stack([each[i : i + share].sum(axis=0) for i in range(0, images, share)])
            return (sums if bias is None else sums + bias.reshape(groups, m, 1)).astype(a.dtype)

        slack = 10 * (k * share + 8)
        return lambda v: Case("gemm", "multiply", v, name, make, slack, expected=expected, call=call)

    shared = product("shares", (18, 35, 11), 5, 2, 2, False)
    turned = product("turned", (19, 18, 21), 3, 2, 2, True)
    large = product("large", (67, 132, 9), 1, 1, 1, False)
    largest = product("largest", (130, 132, 9), 1, 1, 1, True)
    one_step = product("one step", (130, 132, 7), 1, 1, 1, False)
    for v in gemm.VERSIONS:
        yield from (shared(v), turned(v))
    yield from (large("v4"), large("v5"), largest("v5"), one_step("v5"))
