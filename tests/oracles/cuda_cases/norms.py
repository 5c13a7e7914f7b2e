"""Normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.kernels.reference import normalize as reference
from oracles.cuda_cases.case import Case, Draw

#: (N, C, M) and groups
NORMS = {
    "batch": ((3, 5, 71), None),
    "group": ((2, 6, 35), 3),
    "instance": ((2, 3, 67), 3),
    "layer": ((11, 37, 1), 1),
}


@dataclass(frozen=True)
class Norm:
    """The arguments of each function for one shape."""

    shape: tuple[int, int, int]
    groups: int | None
    weighted: bool = True
    moving: bool = True
    needed: tuple[bool, bool, bool] = (True, True, True)

    def _drawn(self, draw: Draw) -> tuple[Any, ...]:
        return draw(*self.shape) + 3, draw.positive(self.shape[1]), draw(self.shape[1])

    def forward(self, draw: Draw) -> Any:
        return (*self._drawn(draw), self.groups, 1e-5), {}

    def statistics(self, draw: Draw) -> Any:
        return (self._drawn(draw)[0], self.groups), {}

    def apply(self, draw: Draw) -> Any:
        x, weight, bias = self._drawn(draw)
        _, mean, _, inv_std = reference.forward(x, weight, bias, self.groups, 1e-5)
        affine = (weight, bias) if self.weighted else (None, None)
        return (x, *affine, mean, inv_std, self.groups), {}

    def group_means(self, draw: Draw) -> Any:
        x, weight, _, mean, inv_std, groups = self.apply(draw)[0]
        return (draw(*x.shape), x, weight, mean, inv_std, groups), {}

    def backward(self, draw: Draw) -> Any:
        return (*self.group_means(draw)[0], self.needed), {}

    def parameters(self, draw: Draw) -> Any:
        g, x, _, mean, inv_std, groups = self.group_means(draw)[0]
        return (g, x, mean, inv_std, groups, (True, True, True)), {}

    def towards_input(self, draw: Draw) -> Any:
        g, x, weight, mean, inv_std, groups = self.group_means(draw)[0]
        means = group_means(g, x, weight, mean, inv_std, groups) if self.moving else None
        return (g, x, weight, mean, inv_std, means, groups), {}


def normalize() -> Iterator[Case]:
    for v in ("v1", "v2", "v3"):
        for name, make in UNUSUAL.items():
            yield Case("normalize", "statistics", v, name, make, 32, expected=expected_statistics)
    for name, (shape, groups) in NORMS.items():
        yield from _of_shape(name, Norm(shape, groups))


def _long(draw: Draw) -> Any:
    return (draw(1, 2, 9001) + 3, 2), {}


def _huge(draw: Draw) -> Any:
    """Numbers whose squares are infinite: so is the variance, not the mean."""
    scale = 4 * np.sqrt(np.finfo(draw.dtype).max)
    return (draw(3, 5, 71) * scale, None), {}


def _infinite(draw: Draw) -> Any:
    """A channel with an infinity, one with two of a sign, one with one of each sign, one with NaN."""
    x = draw(3, 5, 71)
    x[0, 0, 20] = x[1, 1, 30] = x[2, 1, 40] = x[0, 2, 3] = np.inf
    x[2, 2, 3], x[1, 3, 0] = -np.inf, np.nan
    return (x, None), {}


#: Several pieces for each group; what is too large for a square; what is not finite.
UNUSUAL = {"long": _long, "huge": _huge, "infinite": _infinite}


def _of_shape(name: str, norm: Norm) -> Iterator[Case]:
    op, plain, given = "normalize", replace(norm, weighted=False), replace(norm, moving=False)
    for v in ("v1", "v2", "v3"):
        yield Case(op, "statistics", v, name, norm.statistics, 32, expected=expected_statistics)
    for v in ("v1", "v2"):
        yield Case(op, "apply", v, name, norm.apply, 32, expected=expected_apply)
        yield Case(op, "apply", v, f"{name}-plain", plain.apply, 32, expected=expected_apply)
        yield Case(op, "group_means", v, name, norm.group_means, 64, expected=group_means)
        yield Case(op, "towards_input", v, name, norm.towards_input, 64, expected=towards_input)
        title = f"{name}-given"
        yield Case(op, "towards_input", v, title, given.towards_input, 32, expected=towards_input)
    for v in ("v1", "v2") if norm.shape[2] == 1 else ("v1",):
        yield Case(op, "parameters", v, name, norm.parameters, 128, expected=expected_parameters)
    yield Case(op, "forward", None, name, norm.forward, 64)
    for needed in ((True, True, True), (True, False, False), (False, False, True), (False, True, False)):
        title = f"{name}-{''.join('ny'[w] for w in needed)}"
        yield Case(op, "backward", None, title, replace(norm, needed=needed).backward, 128)


def expected_statistics(x: Any, groups: Any) -> Any:
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
