"""Pooling and resampling."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from oracles.cuda_cases.case import Case, Draw, OnHost

#: name, image, and window as the kernels take it
POOLS = {
    "odd": (
        (2, 3, 9, 11),
        {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1), "dilation": (2, 3)},
        (4, 10),
    ),
    "pairs": (
        (1, 3, 8, 12),
        {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)},
        (4, 6),
    ),
    "rest": (
        (2, 1, 9, 7),
        {"kernel": (3, 2), "stride": (3, 2), "padding": (1, 1), "dilation": (1, 1)},
        (3, 4),
    ),
    "over": (
        (1, 2, 6, 5),
        {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)},
        (3, 2),
    ),
    "wide": (
        (1, 2, 18, 83),
        {"kernel": (17, 17), "stride": (1, 2), "padding": (2, 0), "dilation": (1, 1)},
        (6, 34),
    ),
    "large": (  # more than one block in each direction
        (1, 2, 18, 136),
        {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)},
        (9, 68),
    ),
}
_POOL_VERSIONS = {
    "odd": (("v1", "v2"), ("v1", "v2")),
    "pairs": (("v1", "v2", "v3"), ("v1", "v2", "v3")),
    "large": (("v1", "v2", "v3"), ("v1", "v2", "v3")),
    "rest": (("v1", "v2"), ("v1", "v2", "v3")),
    "over": (("v1", "v2"), ("v1", "v2")),
    "wide": (("v2_wide",), ("v2_wide",)),
}


def pool_image(draw: Draw, shape: tuple[int, ...]) -> Any:
    """Few different values, so that ties occur; NaN, and a window's worth of -infinity."""
    x = np.round(draw(*shape) * 2).astype(draw.dtype)
    x[0, 0, 3:5, 4] = np.nan
    x[-1, -1, -4:, -4:] = -np.inf
    return x


def max_pool() -> Iterator[Case]:
    from minidl.kernels.reference import max_pool2d as reference

    for name, (shape, window, out) in POOLS.items():

        def forward(draw: Draw, shape: Any = shape, window: Any = window, out: Any = out) -> Any:
            return (pool_image(draw, shape),), {"out": out, **window}

        def backward(draw: Draw, shape: Any = shape, window: Any = window, out: Any = out) -> Any:
            _, tap = reference.forward(pool_image(draw, shape), out=out, **window)
            return (draw(*tap.shape), tap, shape), window

        versions = _POOL_VERSIONS[name]
        yield from (Case("max_pool2d", "forward", v, name, forward, 0) for v in versions[0])
        yield from (Case("max_pool2d", "backward", v, name, backward, 16) for v in versions[1])


def avg_pool() -> Iterator[Case]:
    for name in ("odd", "pairs", "over", "large"):
        shape, window, out = POOLS[name]
        window = {k: v for k, v in window.items() if k != "dilation"}
        if name == "odd":
            window, out = {**window, "stride": (2, 1)}, (5, 12)
        for kind in ("one", "each"):

            def divisor(kind: str = kind, out: Any = out) -> Any:
                return 7 if kind == "one" else 1 + np.arange(out[0] * out[1]).reshape(out)

            def forward(draw: Draw, s: Any = shape, w: Any = window, o: Any = out, d: Any = divisor) -> Any:
                return (draw(*s),), {"out": o, "divisor": d(), **w}

            def backward(draw: Draw, s: Any = shape, w: Any = window, o: Any = out, d: Any = divisor) -> Any:
                return (draw(*s[:2], *o), s), {"divisor": d(), **w}

            yield from (
                Case("avg_pool2d", "forward", v, f"{name}-{kind}", forward) for v in ("v1", "v2", "v3")
            )
            yield from (Case("avg_pool2d", "backward", v, f"{name}-{kind}", backward) for v in ("v1", "v2"))


def adaptive() -> Iterator[Case]:
    for name, windows in {
        "overlap": (((0, 4), (3, 7), (6, 9)), ((0, 6), (5, 11))),
        "global": (((0, 9),), ((0, 11),)),
        "larger": (((0, 1), (0, 2), (1, 2)), ((0, 1), (1, 3))),
    }.items():
        h, w = windows[0][-1][1], windows[1][-1][1]
        y = (2, 3, len(windows[0]), len(windows[1]))

        def forward(draw: Draw, x: Any = (2, 3, h, w), windows: Any = windows) -> Any:
            return (draw(*x), *windows), {}

        def backward(draw: Draw, x: Any = (2, 3, h, w), y: Any = y, windows: Any = windows) -> Any:
            return (draw(*y), x, *windows), {}

        op = "adaptive_avg_pool2d"
        yield from (Case(op, "forward", v, name, forward) for v in ("v1", "v2", "v3"))
        yield from (Case(op, "backward", v, name, backward) for v in ("v1", "v2"))


def interpolate() -> Iterator[Case]:
    from minidl.ops import interpolate as op

    taps_of = importlib.import_module(op.__module__)
    for name, make, versions in (
        ("nearest", lambda n, o: taps_of._nearest(n, o, None), ("v1", "v2", "v3")),
        ("bilinear", lambda n, o: taps_of._linear(n, o, None, False), ("v1", "v2")),
        ("bicubic", lambda n, o: taps_of._cubic(n, o, None, True), ("v1", "v2")),
    ):
        for size, out in (((5, 7), (9, 14)), ((9, 4), (4, 3)), ((6, 20), (12, 40))):
            taps = (OnHost(make(size[0], out[0])), OnHost(make(size[1], out[1])))

            def forward(draw: Draw, taps: Any = taps, size: Any = size) -> Any:
                return (draw(2, 3, *size), *taps), {}

            def backward(draw: Draw, taps: Any = taps, size: Any = size, out: Any = out) -> Any:
                return (draw(2, 3, *out), (2, 3, *size), *taps), {}

            title = f"{name}-{out[1]}"
            yield from (Case("interpolate", "forward", v, title, forward) for v in versions)
            yield from (Case("interpolate", "backward", v, title, backward, 32) for v in ("v1", "v2"))


def max_unpool() -> Iterator[Case]:
    from minidl.kernels.reference import max_unpool2d as reference

    def named_once(draw: Draw) -> Any:
        index = np.stack([draw.rng.permutation(40)[:12] for _ in range(6)]).reshape(2, 3, 3, 4)
        return (draw(*index.shape), index, (5, 8)), {}

    def named_twice(draw: Draw) -> Any:
        return (draw(2, 3, 3, 4), draw.ids(15, 2, 3, 3, 4), (5, 8)), {}

    op = "max_unpool2d"
    yield Case(op, "put", "v1", "once", named_once, 0)
    yield Case(op, "put", "v2", "once", named_once, 0)
    yield Case(op, "put", "v2", "twice", named_twice, 0)
    yield Case(op, "scatter_add", None, "twice", named_twice, 16)
    yield Case(
        op, "stayed", None, "twice", lambda d: (named_twice(d)[0][1:], {}), 0, expected=reference.stayed
    )
    yield Case(op, "gather", None, "twice", lambda d: ((d(2, 3, 5, 8), d.ids(40, 2, 3, 3, 4)), {}), 0)
