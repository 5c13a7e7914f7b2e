"""How exact is each convolution algorithm in float32? Measured against the reference kernels in float64.

    python benchmarks/accuracy.py           measure; results/accuracy.json and the tables of docs/planner.md
    python benchmarks/accuracy.py --page    the tables alone, out of results/accuracy.json

Inputs, weights and cotangents are normally distributed with mean 0, as activations before a ReLU are, and, in
the second table, uniform between 0 and 1, where nothing cancels. Errors are multiples of eps = 2⁻²³:

* rms: the root of the mean squared error, over the rms of the result;
* max: the largest error, over the rms of the result;
* bound: the largest |error| / Σ|products| of one output; n products added one by one stay below n/2.

A second part compares points for Winograd's F(4 x 4, 3 x 3) in NumPy, all of its steps in float32.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from minidl._atomic import atomic_write
from minidl.bench.convolutions import arrays, call
from minidl.bench.tables import between
from minidl.kernels.cpu import plan
from minidl.kernels.cpu.cook_toom import derive
from minidl.kernels.reference import conv2d as reference

Array = np.ndarray[Any, Any]

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "planner.md", ROOT / "benchmarks" / "results" / "accuracy.json"
BEGIN, END = "<!-- accuracy: begin (benchmarks/accuracy.py) -->", "<!-- accuracy: end -->"
EPS = float(np.finfo(np.float32).eps)

CHANNELS = (16, 64, 256)
ALGORITHMS = ("winograd4", "winograd2", "direct", "im2col")
#: Finite points of F(4, 3) that are compared; the first are those of cook_toom.POINTS.
POINTS = {
    "0, ±5/8, ±3/2": (0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2)),
    "0, ±1, ±2": (0, 1, -1, 2, -2),
    "0, ±1, ±1/2": (0, 1, -1, Fraction(1, 2), Fraction(-1, 2)),
    "0, ±1/2, ±2": (0, Fraction(1, 2), Fraction(-1, 2), 2, -2),
    "0, ±3/4, ±3/2": (0, Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
    "0, ±1, 1/2, -2": (0, 1, -1, Fraction(1, 2), -2),
    "0, ±1, 2, -1/2": (0, 1, -1, 2, Fraction(-1, 2)),
}


def exact(problem: plan.Problem, given: dict[str, Array], absolute: bool = False) -> Array:
    """The reference's result in float64; of absolute values: the sum of absolute products."""
    x, weight, g = (a.astype(np.float64) for a in (given["x"], given["weight"], given["g"]))
    if absolute:
        x, weight, g = np.abs(x), np.abs(weight), np.abs(g)
    geometry = (problem.stride, problem.padding, problem.dilation, problem.groups)
    if problem.direction == "forward":
        return reference.forward(x, weight, None, problem.out, *geometry)
    if problem.direction == "backward_data":
        return reference.backward_data(g, weight, x.shape, *geometry)
    return reference.backward_weight(g, x, weight.shape, *geometry)


def errors(actual: Array, expected: Array, sums: Array) -> dict[str, float]:
    """See this file's text."""
    error, size = np.abs(actual - expected), np.sqrt(np.mean(expected**2))
    return {
        "rms": float(np.sqrt(np.mean(error**2)) / size / EPS),
        "max": float(error.max() / size / EPS),
        "bound": float((error / np.maximum(sums, np.finfo(np.float64).tiny)).max() / EPS),
    }


def drawn(problem: plan.Problem, uniform: bool) -> dict[str, Array]:
    """x, weight and g of a problem."""
    given = arrays(problem)
    if not uniform:
        return given
    rng = np.random.default_rng(1)
    for array in given.values():
        array[...] = rng.random(array.shape, np.float32)
    return given


def measured() -> list[dict[str, Any]]:
    """One row for each direction, number of channels, distribution and algorithm."""
    rows = []
    for uniform in (False, True):
        for channels in CHANNELS:
            for direction in plan.DIRECTIONS:
                size = 64 if channels < 256 else 32
                shape = (2, channels, size, size, channels)
                same = ((3, 3), (1, 1), (1, 1), (1, 1))
                cases = [(name, plan.Problem(direction, *shape, *same, 1)) for name in ALGORITHMS]
                cases.append(("depthwise", plan.Problem(direction, *shape, *same, channels)))
                for name, problem in cases:
                    given = drawn(problem, uniform)
                    actual = call(problem, name, given)()
                    assert actual is not None
                    found = errors(actual, exact(problem, given), exact(problem, given, absolute=True))
                    what = {"direction": direction, "channels": channels, "uniform": uniform}
                    rows.append({**what, "algorithm": name, **found})
    return rows


# --- the points ---------------------------------------------------------------------------------------------


def filtered(x: Array, weight: Array, points: Sequence[Any], m: int = 4) -> Array:
    """F(m x m, 3 x 3) in NumPy, in the dtype of x (N, C, H, W); H - 2 and W - 2: multiples of m."""
    f = derive(m, 3, [Fraction(p) for p in points])
    AT, G, BT = (np.array(matrix, np.float64).astype(x.dtype) for matrix in (f.AT, f.G, f.BT))
    tiles = np.lib.stride_tricks.sliding_window_view(x, (m + 2, m + 2), (2, 3))[:, :, ::m, ::m]
    n, c, high, wide = tiles.shape[:4]
    V = BT @ tiles @ BT.T
    U = G @ weight @ G.T
    V = V.transpose(4, 5, 0, 2, 3, 1).reshape((m + 2) ** 2, n * high * wide, c)
    M = V @ U.transpose(2, 3, 1, 0).reshape((m + 2) ** 2, c, -1)
    M = M.reshape(m + 2, m + 2, n, high, wide, -1).transpose(2, 5, 3, 4, 0, 1)
    Y = AT @ M @ AT.T
    return Y.transpose(0, 1, 2, 4, 3, 5).reshape(n, weight.shape[0], high * m, wide * m)


def points_compared() -> list[dict[str, Any]]:
    """rms and max of every choice of points, over some channel counts."""
    rows = []
    for name, points in POINTS.items():
        row: dict[str, Any] = {"points": name}
        for channels in CHANNELS:
            problem = plan.Problem(
                "forward", 1, channels, 34, 34, channels, (3, 3), (1, 1), (0, 0), (1, 1), 1
            )
            given = arrays(problem, seed=2)
            expected, sums = exact(problem, given), exact(problem, given, absolute=True)
            actual = filtered(np.ascontiguousarray(given["x"]), given["weight"], points)
            row[str(channels)] = errors(actual, expected, sums)
        rows.append(row)
    return rows


# --- the page -----------------------------------------------------------------------------------------------


def section(record: dict[str, Any]) -> str:
    """The tables of a record."""
    lines = []
    for uniform, title in ((False, "Normally distributed, mean 0"), (True, "Uniform between 0 and 1")):
        rows = [row for row in record["rows"] if row["uniform"] == uniform]
        lines += [f"{title}; rms / max / bound in eps, for 16, 64 and 256 channels:", ""]
        lines += ["| algorithm | direction | " + " | ".join(map(str, CHANNELS)) + " |"]
        lines += ["| --- | --- |" + " --- |" * len(CHANNELS)]
        for name in (*ALGORITHMS, "depthwise"):
            for direction in plan.DIRECTIONS:
                cells = [
                    _cell(row) for row in rows if (row["algorithm"], row["direction"]) == (name, direction)
                ]
                lines.append(f"| {name} | {direction} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        "Points of F(4 x 4, 3 x 3), emulated in NumPy, normally distributed; rms / max / bound in eps:",
        "",
    ]
    lines += ["| points (and infinity) | " + " | ".join(map(str, CHANNELS)) + " |"]
    lines += ["| --- |" + " --- |" * len(CHANNELS)]
    for row in record["points"]:
        lines.append(f"| {row['points']} | " + " | ".join(_cell(row[str(c)]) for c in CHANNELS) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, float]) -> str:
    return f"{found['rms']:.2f} / {found['max']:.1f} / {found['bound']:.2f}"


def main() -> int:
    """See this file's text."""
    parser = argparse.ArgumentParser(description="float32 errors of the convolution algorithms")
    parser.add_argument(
        "--page", action="store_true", help="write the tables out of the results that are there"
    )
    if not parser.parse_args().page:
        record = {"rows": measured(), "points": points_compared()}
        atomic_write(RESULTS, json.dumps(record, indent=1) + "\n")
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    atomic_write(PAGE, between(PAGE.read_text(encoding="utf-8"), BEGIN, END, section(record)))
    print(section(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
