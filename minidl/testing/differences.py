"""Gradients against central differences of the oracle: code in which the library has no part.

``minidl.gradcheck`` compares a backward with the *library's own* forward. An operation whose forward and
backward are wrong alike passes that; here the slopes come from the user's literal loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl.testing.arrays import Array
from minidl.testing.report import Report, require

ArrayFunction = Callable[..., Any]


def check_directions(
    oracle: ArrayFunction,
    arrays: tuple[Array, ...],
    g: Array,
    gradients: list[NDArray[Any]],
    seed: int,
    report: Report | None = None,
) -> None:
    """<gradient, v> against the central difference of <oracle, g> along v: two random v, and three single
    elements.

    A random direction sees every element of the gradient; the single ones make a failure readable.
    """
    report = Report() if report is None else report
    rng = np.random.default_rng(seed + 1)
    for position, (a, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        if a.size == 0:
            continue
        for name, v in _directions(rng, a):
            slope, error = central_difference(oracle, arrays, position, g, v)
            actual = float(np.vdot(gradient, v))
            off = abs(actual - slope)
            require(
                off <= error,
                f"{report.name}: gradient {position} along {name}: {actual}, but the loops' slope is "
                f"{slope} ± {error:.1e}",
            )
            eps = float(np.finfo(np.float64).eps)
            report.count("oracle's slopes", off / (eps * max(abs(slope), 1.0)), off / error)


def _directions(rng: np.random.Generator, a: Array) -> list[tuple[str, Array]]:
    directions: list[tuple[str, Array]] = [
        ("a random direction", np.asarray(rng.normal(size=a.shape))) for _ in range(2)
    ]
    for flat in rng.choice(a.size, size=min(3, a.size), replace=False):
        unit = np.zeros(a.shape)
        unit.flat[flat] = 1.0
        index = tuple(int(i) for i in np.unravel_index(flat, a.shape))
        directions.append((f"element {index}", unit))
    return directions


def central_difference(
    oracle: ArrayFunction, arrays: tuple[Array, ...], position: int, g: Array, v: Array
) -> tuple[float, float]:
    """The slope of <oracle, g> along v at input `position`, and a bound for its error.

    With steps h and 2h the errors h^2 f'''/6 of the two differences cancel (Richardson); what is left is of
    order h^4, estimated generously by their distance, and the rounding of the values divided by h.
    """
    h = 1e-3 / max(1.0, float(np.abs(v).max()))

    def contracted(step: float) -> float:
        moved = tuple(a + step * v if i == position else a for i, a in enumerate(arrays))
        return float(np.vdot(np.asarray(oracle(*moved)), g))

    near, near_minus, far, far_minus = (contracted(s) for s in (h, -h, 2 * h, -2 * h))
    first, second = (near - near_minus) / (2 * h), (far - far_minus) / (4 * h)
    slope = (4 * first - second) / 3
    rounding = 1e3 * float(np.finfo(np.float64).eps) * max(1.0, abs(near), float(np.abs(g).sum())) / h
    return slope, rounding + 0.1 * abs(second - first)
