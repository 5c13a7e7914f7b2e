"""Windows and pixels: pooling, resampling, unpooling, columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.bench.kernels.case import REFERENCE, Call, Case, Draw, OnHost, only, versions
from minidl.bench.kernels.cases.pointwise import WIDE

Pair = tuple[int, int]


def _reference(operation: str) -> Any:
    return importlib.import_module(f"{REFERENCE}.{operation}")


def _halved(draw: Draw) -> Pair:
    """Pixels behind 2x2 pooling."""
    return (draw.side(WIDE[1]) // 2,) * 2


TWO: dict[str, Pair] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
PLAIN = {**TWO, "dilation": (1, 1)}
#: So large that taps do not fit into a byte.
LARGE: dict[str, Pair] = {"kernel": (17, 17), "stride": (8, 8), "padding": (8, 8), "dilation": (1, 1)}


def _max_pools(window: dict[str, Pair], out: Callable[[Draw], Pair]) -> tuple[Any, Any]:
    def forward(draw: Draw) -> Call:
        return Call((draw.image(*WIDE),), {"out": out(draw), **window})

    def backward(draw: Draw) -> Call:
        x = draw.image(*WIDE)
        _, tap = _reference("max_pool2d").forward(x, out=out(draw), **window)
        return Call((draw.normal(*tap.shape), tap, x.shape), dict(window))

    return forward, backward


def max_pool() -> Iterator[Case]:
    """2x2, as every U-Net has it, and a window of 17x17."""
    op = "max_pool2d"
    forward, backward = _max_pools(PLAIN, _halved)
    for function, make in (("forward", forward), ("backward", backward)):
        three = versions(f"max_pool2d_{function}", "v1", "v2", "v3")
        yield Case(op, function, make, three, title=f"2x2 max pooling, {function}")
    forward, backward = _max_pools(LARGE, lambda draw: (draw.side(WIDE[1]) // 8,) * 2)
    for function, make in (("forward", forward), ("backward", backward)):
        wide = versions(f"max_pool2d_{function}", "v2_wide")
        yield Case(op, function, make, wide, "wide", f"17x17 max pooling, stride 8, {function}")


def avg_pool() -> Iterator[Case]:
    """2x2, and 3x3 with stride 1, where windows overlap."""

    def pooled(window: dict[str, Pair], divisor: int, out: Callable[[Draw], Pair]) -> tuple[Any, Any]:
        def forward(draw: Draw) -> Call:
            return Call((draw.image(*WIDE),), {"out": out(draw), "divisor": divisor, **window})

        def backward(draw: Draw) -> Call:
            x_shape = (draw.batch(), WIDE[0], draw.side(WIDE[1]), draw.side(WIDE[1]))
            return Call((draw.normal(*x_shape[:2], *out(draw)), x_shape), {"divisor": divisor, **window})

        return forward, backward

    three = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    for variant, title, made in (
        ("", "2x2 average pooling", pooled(TWO, 4, _halved)),
        (
            "overlapping",
            "3x3 average pooling, stride 1",
            pooled(three, 9, lambda d: (d.side(WIDE[1]),) * 2),
        ),
    ):
        for function, make, names in zip(
            ("forward", "backward"), made, (("v1", "v2", "v3"), ("v1", "v2")), strict=True
        ):
            several = versions(f"avg_pool2d_{function}", *names)
            yield Case("avg_pool2d", function, make, several, variant, f"{title}, {function}")


def adaptive() -> Iterator[Case]:
    """To half the size, and to one number for each plane."""

    def windows(size: int, parts: int) -> OnHost:
        each = size // parts
        return OnHost((i * each, (i + 1) * each) for i in range(parts))

    def made(parts: Callable[[int], int]) -> tuple[Any, Any]:
        def forward(draw: Draw) -> Call:
            size = draw.side(128)
            ends = windows(size, parts(size))
            return Call((draw.image(32, 128), ends, ends))

        def backward(draw: Draw) -> Call:
            size = draw.side(128)
            ends, shape = windows(size, parts(size)), (draw.batch(), 32, size, size)
            return Call((draw.normal(*shape[:2], len(ends), len(ends)), shape, ends, ends))

        return forward, backward

    for variant, title, makes in (
        ("", "adaptive average pooling to half the size", made(lambda size: size // 2)),
        ("global", "global average pooling", made(lambda size: 1)),
    ):
        for function, make, names in zip(
            ("forward", "backward"), makes, (("v1", "v2", "v3"), ("v1", "v2")), strict=True
        ):
            several = versions(f"adaptive_avg_pool2d_{function}", *names)
            yield Case("adaptive_avg_pool2d", function, make, several, variant, f"{title}, {function}")


def _nearest(size: int) -> OnHost:
    return OnHost(((np.arange(2 * size) // 2, None),))


def _bilinear(size: int) -> OnHost:
    position = np.maximum((np.arange(2 * size) + 0.5) / 2 - 0.5, 0)
    index = np.floor(position).astype(np.int64)
    part = position - index
    return OnHost(((index, 1 - part), (np.minimum(index + 1, size - 1), part)))


def interpolate() -> Iterator[Case]:
    """Twice the size."""

    def made(taps: Callable[[int], OnHost]) -> tuple[Any, Any]:
        def forward(draw: Draw) -> Call:
            size = draw.side(64)
            return Call((draw.image(64, 64), taps(size), taps(size)))

        def backward(draw: Draw) -> Call:
            size = draw.side(64)
            shape = (draw.batch(), 64, size, size)
            return Call((draw.normal(*shape[:2], 2 * size, 2 * size), shape, taps(size), taps(size)))

        return forward, backward

    for mode, taps, names in (
        ("nearest", _nearest, ("v1", "v2", "v3")),
        ("bilinear", _bilinear, ("v1", "v2")),
    ):
        forward, backward = made(taps)
        title = f"{mode} upsampling, twice the size"
        there = versions("interpolate_forward", *names)
        back = versions("interpolate_backward", "v1", "v2")
        yield Case("interpolate", "forward", forward, there, mode, f"{title}, forward")
        yield Case("interpolate", "backward", backward, back, mode, f"{title}, backward")


def _places(draw: Draw) -> tuple[Any, Pair]:
    """One pixel of each 2x2 window, and the size of the plane."""
    size = draw.side(WIDE[1])
    n, c, h = draw.batch(), WIDE[0], size // 2
    row, column = (draw.ids(2, n, c, h, h) for _ in range(2))
    return (2 * np.arange(h)[:, None] + row) * size + 2 * np.arange(h) + column, (size, size)


def unpool() -> Iterator[Case]:
    """Max unpooling of 2x2 windows, and what its derivatives are made of."""
    op = "max_unpool2d"

    def put(draw: Draw) -> Call:
        index, size = _places(draw)
        return Call((draw.normal(*index.shape), index, size))

    def stayed(draw: Draw) -> Call:
        return Call(_places(draw))

    def gather(draw: Draw) -> Call:
        index, size = _places(draw)
        return Call((draw.normal(*index.shape[:2], *size), index))

    both = (
        *versions("max_unpool2d_put", "v1"),
        *versions("max_unpool2d_put", "v2", also=("max_unpool2d_last",)),
    )
    yield Case(op, "put", put, both, title="2x2 max unpooling", terms=0)
    of_last = only("max_unpool2d_last", "max_unpool2d_stayed")
    yield Case(op, "stayed", stayed, of_last, title="2x2 max unpooling, what stayed", terms=0)
    yield Case(op, "gather", gather, only("max_unpool2d_gather"), title="reading at pixels", terms=0)
    scatter = only("max_unpool2d_scatter")
    yield Case(op, "scatter_add", put, scatter, title="adding at pixels", terms=4)


def unfold() -> Iterator[Case]:
    """3x3 windows of a picture as columns, and back."""

    def window(draw: Draw) -> dict[str, Pair]:
        size = draw.side(64)
        one = (1, 1)
        return {"kernel": (3, 3), "out": (size, size), "stride": one, "padding": one, "dilation": one}

    def forward(draw: Draw) -> Call:
        return Call((draw.image(32, 64),), window(draw))

    def backward(draw: Draw) -> Call:
        size, n = draw.side(64), draw.batch()
        return Call((draw.normal(n, 32 * 9, size * size), (n, 32, size, size)), window(draw))

    title = "3x3 windows as columns"
    yield Case("unfold", "forward", forward, versions("im2col", "v1", "v2"), title=title)
    yield Case("unfold", "backward", backward, versions("col2im", "v1", "v2"), title=f"{title}, backward")
