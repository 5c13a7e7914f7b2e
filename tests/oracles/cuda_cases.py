"""Calls of every kernel version that is not a convolution's, on small odd shapes, with what they must give.

Expected values come from the NumPy reference kernels (which tests/ops holds against literal loops), or, where
there is none, from a formula here. A case is run on any namespace of device arrays. Its tolerance is
``slack`` roundings of the largest expected value; ``slack`` 0 means the same bits.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = Any
Make = Callable[["Draw"], tuple[tuple[Any, ...], dict[str, Any]]]


class Draw:
    """Random arrays of a dtype."""

    def __init__(self, dtype: Any, seed: int = 0) -> None:
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Any:
        """Normal numbers."""
        return self.rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape: int) -> Any:
        """Numbers that are not near zero."""
        return (0.5 + self.rng.random(shape)).astype(self.dtype)

    def ids(self, below: int, *shape: int) -> Any:
        """Integers 0 ... below - 1."""
        return self.rng.integers(0, below, shape)


@dataclass(frozen=True)
class Case:
    """One call of one version of one kernel."""

    operation: str
    function: str
    version: str | None
    name: str
    make: Make
    slack: float = 16
    expected: Callable[..., Any] | None = None  #: None: the reference kernel's function of the same name
    in_place: bool = False  #: the result is what the call did to its first argument
    also: dict[str, Any] = field(default_factory=dict)  #: further arguments of the device's function alone

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.operation, self.function, self.name, self.version)))

    def run(self, xp: Any, dtype: Any) -> Any:
        """The results on a device, as host arrays."""
        args, options = self.make(Draw(dtype))
        device = importlib.import_module(f"minidl.kernels.cuda.{self.operation}")
        if self.version is not None:
            options = {**options, "version": self.version}
        args = mapped(args, xp.asarray)
        result = getattr(device, self.function)(*args, **mapped(options, xp.asarray), **self.also)
        return mapped(args[0] if self.in_place else result, xp.asnumpy)

    def want(self, dtype: Any) -> Any:
        """What they must be."""
        args, options = self.make(Draw(dtype))
        expected = self.expected or getattr(
            importlib.import_module(f"minidl.kernels.reference.{self.operation}"), self.function
        )
        with np.errstate(all="ignore"):
            result = expected(*args, **options)
        return args[0] if self.in_place else result

    def check(self, xp: Any, dtype: Any) -> None:
        """Raise unless results are as they must be."""
        same(self.run(xp, dtype), self.want(dtype), self.slack, self.id)


class OnHost(tuple):
    """A tuple whose arrays stay on the host: tables that kernels' host code itself uploads."""


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples, lists and dictionaries."""
    if isinstance(value, OnHost) or value is None:
        return value
    if isinstance(value, tuple | list):
        return type(value)(mapped(v, function) for v in value)
    if isinstance(value, dict):
        return {k: mapped(v, function) for k, v in value.items()}
    return function(value) if hasattr(value, "strides") and hasattr(value, "reshape") else value


def same(got: Any, want: Any, slack: float, where: str) -> None:
    """Raise unless arrays agree: shapes, dtypes, NaN and infinities, values up to ``slack`` roundings."""
    if isinstance(want, tuple | list):
        assert len(got) == len(want), where
        for number, (a, b) in enumerate(zip(got, want, strict=True)):
            same(a, b, slack, f"{where} {number}")
        return
    if not hasattr(want, "dtype"):
        assert got == want or (got is None and want is None), where
        return
    assert got.shape == want.shape and got.dtype == want.dtype, (where, got.shape, got.dtype, want.shape)
    if want.dtype.kind != "f":
        assert (got == want).all(), where
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want), err_msg=where)
    largest = np.abs(want[finite]).max(initial=0)
    allowed = slack * np.finfo(want.dtype).eps * largest
    np.testing.assert_allclose(got[finite], want[finite], rtol=0, atol=allowed, err_msg=where)


# --- pooling and resampling ---------------------------------------------------------------------------------

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


def _max_pool() -> Iterator[Case]:
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


def _avg_pool() -> Iterator[Case]:
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


def _adaptive() -> Iterator[Case]:
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


def _interpolate() -> Iterator[Case]:
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


def _max_unpool() -> Iterator[Case]:
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


# --- classes ------------------------------------------------------------------------------------------------

#: extents, axis, versions forward and backward
LINES = {
    "pixels": ((3, 5, 7), 1, ("v1", "v2"), ("v1",)),
    "few": ((11, 3), 1, ("v1", "v2", "v3", "v4"), ("v1", "v2", "v3")),
    "long": ((3, 301), 1, ("v1", "v2", "v3", "v4"), ("v1", "v2", "v3")),
}


def _softmax() -> Iterator[Case]:
    from minidl.kernels.reference import softmax as reference

    for name, (shape, axis, forward, backward) in LINES.items():

        def logits(draw: Draw, shape: Any = shape, axis: int = axis) -> Any:
            z = draw(*shape) * 3
            z[0, 1] = -np.inf
            z[1, 0] = 1000
            return (z, axis), {}

        def cotangents(draw: Draw, of: Any, shape: Any = shape, axis: int = axis) -> Any:
            return (draw(*shape), of(draw(*shape), axis), axis), {}

        for log in ("", "log_"):
            of = reference.log_forward if log else reference.forward

            def backwards(draw: Draw, of: Any = of, cotangents: Any = cotangents) -> Any:
                return cotangents(draw, of)

            yield from (Case("softmax", f"{log}forward", v, name, logits) for v in forward)
            yield from (Case("softmax", f"{log}backward", v, name, backwards, 64) for v in backward)


def _cross_entropy() -> Iterator[Case]:
    from minidl.kernels.reference import cross_entropy as reference

    for name, shape, versions in (
        ("pixels", (2, 5, 9), ("v1", "v2")),
        ("samples", (9, 37, 1), ("v1", "v2", "v3")),
    ):
        for smoothing, ignoring, slope in ((0.0, False, True), (0.2, True, True), (0.2, True, False)):

            def forward(
                draw: Draw,
                s: Any = shape,
                smoothing: Any = smoothing,
                ignoring: Any = ignoring,
                slope: Any = slope,
            ) -> Any:
                z, labels = draw(*s) * 3, draw.ids(s[1], s[0], s[2])
                valid = draw.rng.random(labels.shape) < 0.7 if ignoring else None
                if ignoring:
                    valid[0, 0] = False
                    z[0, :, 0] = np.nan  # must not leak out of an ignored pixel
                return (z, np.where(True if valid is None else valid, labels, 0), valid), {
                    "class_weights": draw.positive(s[1]),
                    "smoothing": smoothing,
                    "slope": slope,
                }

            title = f"{name}-{smoothing}-{slope}"
            yield from (Case("cross_entropy", "forward", v, title, forward, 32) for v in versions)
            if slope:

                def backward(draw: Draw, forward: Any = forward) -> Any:
                    (z, labels, valid), options = forward(draw)
                    slopes = reference.forward(z, labels, valid, **options)[1]
                    return (draw(*labels.shape), slopes, valid), {}

                yield from (Case("cross_entropy", "backward", v, title, backward) for v in ("v1", "v2"))


# --- norms --------------------------------------------------------------------------------------------------

#: (N, C, M) and groups
NORMS = {
    "batch": ((3, 5, 71), None),
    "group": ((2, 6, 35), 3),
    "instance": ((2, 3, 67), 3),
    "layer": ((11, 37, 1), 1),
}


def _normalize() -> Iterator[Case]:
    from minidl.kernels.reference import normalize as reference

    def long(draw: Draw) -> Any:  # several pieces of each group
        return (draw(1, 2, 9001) + 3, 2), {}

    for v in ("v1", "v2", "v3"):
        yield Case("normalize", "statistics", v, "long", long, 32, expected=expected_statistics)
    for name, (shape, groups) in NORMS.items():

        def drawn(draw: Draw, shape: Any = shape) -> tuple[Any, ...]:
            return draw(*shape) + 3, draw.positive(shape[1]), draw(shape[1])

        def forward(draw: Draw, drawn: Any = drawn, groups: Any = groups) -> Any:
            return (*drawn(draw), groups, 1e-5), {}

        def statistics(draw: Draw, drawn: Any = drawn, groups: Any = groups) -> Any:
            return (drawn(draw)[0], groups), {}

        def apply(draw: Draw, drawn: Any = drawn, groups: Any = groups, weighted: bool = True) -> Any:
            x, weight, bias = drawn(draw)
            _, mean, _, inv_std = reference.forward(x, weight, bias, groups, 1e-5)
            return (x, weight if weighted else None, bias if weighted else None, mean, inv_std, groups), {}

        def backward(draw: Draw, apply: Any = apply) -> Any:
            x, weight, _, mean, inv_std, groups = apply(draw)[0]
            return (draw(*x.shape), x, weight, mean, inv_std, groups), {}

        def needed(draw: Draw, of: Any, backward: Any = backward) -> Any:
            return (*backward(draw)[0], of), {}

        def parameters(draw: Draw, backward: Any = backward) -> Any:
            g, x, _, mean, inv_std, groups = backward(draw)[0]
            return (g, x, mean, inv_std, groups, (True, True, True)), {}

        def input_(draw: Draw, backward: Any = backward, groups: Any = groups, moving: bool = True) -> Any:
            g, x, weight, mean, inv_std, _ = backward(draw)[0]
            means = group_means(g, x, weight, mean, inv_std, groups) if moving else None
            return (g, x, weight, mean, inv_std, means, groups), {}

        op = "normalize"
        for v in ("v1", "v2", "v3"):
            yield Case(op, "statistics", v, name, statistics, 32, expected=expected_statistics)
        for v in ("v1", "v2"):
            yield Case(op, "apply", v, name, apply, 32, expected=expected_apply)
            yield Case(
                op,
                "apply",
                v,
                f"{name}-plain",
                lambda d, a=apply: a(d, weighted=False),
                32,
                expected=expected_apply,
            )
            yield Case(op, "group_means", v, name, backward, 64, expected=group_means)
            yield Case(op, "towards_input", v, name, input_, 64, expected=towards_input)
            yield Case(
                op, "towards_input", v, f"{name}-given", lambda d, i=input_: i(d, moving=False), 32,
                expected=towards_input,
            )  # fmt: skip
        for v in ("v1", "v2") if shape[2] == 1 else ("v1",):
            yield Case(op, "parameters", v, name, parameters, 128, expected=expected_parameters)
        yield Case(op, "forward", None, name, forward, 64)
        for of in ((True, True, True), (True, False, False), (False, False, True), (False, True, False)):
            title = f"{name}-{''.join('ny'[w] for w in of)}"
            yield Case(op, "backward", None, title, lambda d, n=needed, of=of: n(d, of), 128)


def expected_statistics(x: Any, groups: Any) -> Any:
    from minidl.kernels.reference import normalize as reference

    return reference.forward(x, None, None, groups, 1e-5)[1:3]


def _xhat(x: Any, mean: Any, inv_std: Any, groups: Any) -> Any:
    n, c, _ = x.shape
    each = (
        (lambda s: s[None, :, None])
        if groups is None
        else (lambda s: np.repeat(s, c // groups).reshape(n, c, 1))
    )
    return (x - each(mean)) * each(inv_std), each


def expected_apply(x: Any, weight: Any, bias: Any, mean: Any, inv_std: Any, groups: Any) -> Any:
    y, _ = _xhat(x, mean, inv_std, groups)
    return y if weight is None else y * weight[:, None] + bias[:, None]


def group_means(g: Any, x: Any, weight: Any, mean: Any, inv_std: Any, groups: Any) -> Any:
    xhat, _ = _xhat(x, mean, inv_std, groups)
    h = g * weight[:, None]
    n, c, m = x.shape
    shape, axes = ((n, c, m), (0, 2)) if groups is None else ((n * groups, c // groups * m), (1,))
    wide = (v.astype(np.float64).reshape(shape).mean(axis=axes) for v in (h, h * xhat))
    return tuple(v.astype(x.dtype) for v in wide)


def towards_input(g: Any, x: Any, weight: Any, mean: Any, inv_std: Any, means: Any, groups: Any) -> Any:
    xhat, each = _xhat(x, mean, inv_std, groups)
    h = g * weight[:, None]
    if means is not None:
        h = h - each(means[0]) - xhat * each(means[1])
    return (h * each(inv_std)).astype(x.dtype)


def expected_parameters(g: Any, x: Any, mean: Any, inv_std: Any, groups: Any, needed: Any) -> Any:
    xhat, _ = _xhat(x, mean, inv_std, groups)
    wide = (v.astype(np.float64).sum(axis=(0, 2)) for v in (g * xhat, g))
    return tuple(v.astype(x.dtype) for v in wide)


# --- element by element, sums, optimizers -------------------------------------------------------------------

UNARY = ("relu", "hardswish", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh")
WITH_NUMBERS = {"leaky_relu": (0.1,), "elu": (1.3,), "softplus": (2.0, 20.0)}
#: The backwards that take the output.
FROM_OUTPUT = ("relu", "sigmoid", "tanh")


def special(draw: Draw) -> Any:
    """Numbers of all sizes, zeros, infinities, NaN; an odd count."""
    x = draw(3, 7, 5) * 3
    x.reshape(-1)[:11] = [np.nan, np.inf, -np.inf, 0, -0.0, 80, -80, 3, -3, 1e-6, -1e-6]
    return x


def _activations() -> Iterator[Case]:
    op = "activations"
    reference = importlib.import_module("minidl.kernels.reference.activations")
    for name in (*UNARY, *WITH_NUMBERS):
        numbers = WITH_NUMBERS.get(name, ())

        def backward(draw: Draw, name: str = name, numbers: Any = numbers) -> Any:
            x = special(draw)
            with np.errstate(all="ignore"):
                of = getattr(reference, name)(x) if name in FROM_OUTPUT else x
            return (draw(*x.shape), of, *numbers), {}

        for v in ("v1", "v2") if name == "relu" else (None,):
            yield Case(op, name, v, "", lambda d, n=numbers: ((special(d), *n), {}), 32)
            yield Case(op, f"{name}_backward", v, "", backward, 32)

    def bias(draw: Draw) -> Any:
        return (special(draw)[None, :, :, :4], draw(3)), {}

    for v in ("v1", "v2"):
        yield Case(op, "bias_relu", v, "", bias, 4, expected=lambda x, b: np.maximum(x + b[:, None, None], 0))


def _arithmetic() -> Iterator[Case]:
    for v in ("v1", "v2"):
        yield Case("arithmetic", "add", v, "", lambda d: ((special(d), d(3, 7, 5)), {}), 0)


def _cat() -> Iterator[Case]:
    yield Case("cat", "forward", None, "", lambda d: ((d(2, 3, 5), d(2, 1, 5), d(2, 4, 5)), {"axis": 1}), 0)
    yield Case("cat", "backward", None, "", lambda d: ((d(2, 8, 5), (3, 1, 4), 1), {}), 0)


def _dropout() -> Iterator[Case]:
    key = (0x0123456789ABCDEF, 2**63 + 5)
    for first in (0, 3, 4 * 2**64 - 9, 2**130 + 1):  # also where the counter carries, twice

        def forward(draw: Draw, first: int = first) -> Any:
            return (special(draw), (3, 7, 5), 3 << 30, 4.0, key, first), {}

        yield from (Case("dropout", "forward", v, str(first), forward, 0) for v in ("v1", "v2", "v3"))

    def planes(draw: Draw) -> Any:
        return (draw(3, 5, 2, 2), (3, 5, 1, 1), 1 << 31, 2.0, key, 6), {}

    yield from (Case("dropout", "forward", v, "planes", planes, 0) for v in ("v1", "v2"))
    yield Case("dropout", "backward", None, "", lambda d: ((d(3, 5), d(3, 5)), {}), 0)


def _reductions() -> Iterator[Case]:
    for axes in ((0,), (3,), (2, 3), (0, 2, 3), (1, 3), (0, 1, 2, 3)):
        for v in ("v1", "v2", "v3"):
            title = "".join(map(str, axes))
            yield Case("reductions", "sum", v, title, lambda d, a=axes: ((d(3, 19, 2, 37), a), {}), 256)
    for name, shape, axes in (("row", (1, 9001), (1,)), ("column", (700, 3), (0,))):
        for v in ("v1", "v2", "v3"):
            yield Case("reductions", "sum", v, name, lambda d, s=shape, a=axes: ((d(*s), a), {}), 256)


SIZES = ((3,), (4097,), (5, 7), (1,), (0,), (8192,))


def _optimizers() -> Iterator[Case]:
    for name, options in {
        "plain": {"weight_decay": 0.0, "decoupled": False},
        "decay": {"weight_decay": 0.1, "decoupled": False},
        "adamw": {"weight_decay": 0.1, "decoupled": True},
    }.items():

        def adam(draw: Draw, options: Any = options) -> Any:
            rows = [
                (draw(*s), draw(*s), draw(*s), draw.positive(*s), 1 + 3 * number)
                for number, s in enumerate(SIZES)
            ]
            return (rows,), {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, **options}

        for v in ("v1", "v2", "v3"):
            yield Case("adam", "step", v, name, adam, 16, in_place=True)
    for name, options in {
        "plain": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
        "momentum": {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01, "nesterov": False},
        "nesterov": {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": True},
    }.items():

        def sgd(draw: Draw, options: Any = options) -> Any:
            with_velocity = options["momentum"] != 0
            rows = [
                (draw(*s), draw(*s), draw(*s) if with_velocity and number != 1 else None, number == 2)
                for number, s in enumerate(SIZES)
            ]
            return (rows,), {"lr": 0.1, **options}

        for v in ("v1", "v2", "v3"):
            yield Case("sgd", "step", v, name, sgd, 16, in_place=True)


def expected_confusion(truth: Any, prediction: Any, classes: int, ignored: Any) -> Any:
    counts, outside = np.zeros((classes, classes), np.int64), np.zeros(2, np.int64)
    for i, j in zip(truth.ravel(), prediction.ravel(), strict=True):
        if i == ignored:
            continue
        outside += (not 0 <= i < classes, not 0 <= j < classes)
        if 0 <= i < classes and 0 <= j < classes:
            counts[i, j] += 1
    return counts, outside


def _confusion() -> Iterator[Case]:
    for ignored in (None, 2, 255):

        def ids(draw: Draw, ignored: Any = ignored) -> Any:
            truth, prediction = draw.ids(9, 3, 111) - 1, draw.ids(8, 3, 111) - 1
            truth[0, :7] = 255
            return (truth, prediction, 6, ignored), {}

        for v in ("v1", "v2"):
            yield Case("confusion", "matrix", v, str(ignored), ids, 0, expected=expected_confusion)


#: The cases of each .cu file (``cat`` has none).
CASES: dict[str, tuple[Case, ...]] = {
    "max_pool2d": tuple(_max_pool()),
    "avg_pool2d": tuple(_avg_pool()),
    "adaptive_avg_pool2d": tuple(_adaptive()),
    "interpolate": tuple(_interpolate()),
    "max_unpool2d": tuple(_max_unpool()),
    "softmax": tuple(_softmax()),
    "cross_entropy": tuple(_cross_entropy()),
    "normalize": tuple(_normalize()),
    "activations": tuple(_activations()),
    "arithmetic": tuple(_arithmetic()),
    "cat": tuple(_cat()),
    "dropout": tuple(_dropout()),
    "reductions": tuple(_reductions()),
    "adam": tuple(case for case in _optimizers() if case.operation == "adam"),
    "sgd": tuple(case for case in _optimizers() if case.operation == "sgd"),
    "confusion": tuple(_confusion()),
}
