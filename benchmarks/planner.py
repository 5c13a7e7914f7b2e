"""Does the planner pick the fastest algorithm? Measured on 60 drawn convolutions, three directions each.

    python benchmarks/planner.py           measure; results/planner/CPU.json and the tables of docs/planner.md
    python benchmarks/planner.py --fit     measure others, fit this CPU's constants in kernels/cpu/rates.json
    python benchmarks/planner.py --page    the tables alone: the choices of today on what was measured before

The shapes are drawn with a fixed seed. Those of ``--fit``, four times as many, are drawn with others, so that
the table says how the planner does on convolutions that its constants have not seen. About three minutes for
the table, fifteen for a fit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from minidl._atomic import atomic_write
from minidl.bench.convolutions import applicable, measure
from minidl.bench.machine import processor
from minidl.bench.tables import between
from minidl.kernels.cpu import plan
from minidl.kernels.cpu.rates import DEFAULT, FILE, RATES, Rates, cpu_name, rates_of
from minidl.kernels.threads import get_num_threads, set_num_threads

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "planner.md", ROOT / "benchmarks" / "results" / "planner"
BEGIN, END = "<!-- table: begin (benchmarks/planner.py) -->", "<!-- table: end -->"

SEED, FIT_SEEDS, SHAPES = 60, (61, 62), 60
#: A choice counts as right if it is at most so much slower than the fastest.
NEAR = 1.10
#: Turns of each algorithm at least.
LEAST = 5

#: Where the fit begins, so that the same measurement always gives the same constants: round numbers.
START = Rates(
    products=150e9,
    narrow=0.8,
    low=0.5,
    few=0.8,
    weights=0.8,
    winograd=0.85,
    transforms=12e9,
    back=12e9,
    columns=12e9,
    column=2e-9,
    copies=20e9,
    packing=4e9,
    depthwise=25e9,
    tile=30e-9,
    call=80e-6,
)

Ints = tuple[int, ...]
#: (name, how many of the 60, kernel sizes, strides, dilations, kind of groups)
FAMILIES: tuple[tuple[str, int, Ints, Ints, Ints, str], ...] = (
    ("3x3", 20, (3,), (1,), (1,), "one"),
    ("1x1", 9, (1,), (1,), (1,), "one"),
    ("strided", 8, (1, 3, 5, 7), (2,), (1,), "one"),
    ("large", 6, (5, 7), (1,), (1,), "one"),
    ("dilated", 4, (3,), (1,), (2, 4), "one"),
    ("grouped", 3, (1, 3), (1, 2), (1,), "some"),
    ("depthwise", 5, (3, 5, 7), (1, 2), (1,), "all"),
    ("transposed", 5, (2, 3, 4), (2,), (1,), "one"),
)
CHANNELS = (3, 8, 16, 21, 24, 32, 48, 64, 96, 128, 192, 256, 512)
SIZES = (7, 8, 14, 16, 20, 28, 32, 48, 56, 64, 100, 112, 128, 224, 256)


def draw(seed: int, count: int = SHAPES) -> list[tuple[str, plan.Problem]]:
    """(family, problem) of so many convolutions between 2 million and 2.5 thousand million operations."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[str, plan.Problem]] = []
    for name, share, kernels, strides, dilations, groups in FAMILIES:
        wanted = share * count // SHAPES
        while wanted:
            problem = _draw_one(rng, name, kernels, strides, dilations, groups)
            if 2e6 <= problem.flops <= 2.5e9 and problem.bytes <= 40e6 and min(problem.out) > 0:
                shapes.append((name, problem))
                wanted -= 1
    return shapes


def _draw_one(
    rng: np.random.Generator, name: str, kernels: Ints, strides: Ints, dilations: Ints, groups: str
) -> Any:
    kernel, stride, dilation = (int(rng.choice(row)) for row in (kernels, strides, dilations))
    c, k, h = int(rng.choice(CHANNELS)), int(rng.choice(CHANNELS)), int(rng.choice(SIZES))
    w = h if rng.random() < 0.7 else int(rng.choice(SIZES))
    number = 1
    if groups == "some":
        number = int(rng.choice((2, 4)))
        c, k = 8 * number * max(1, c // 8 // number), 8 * number * max(1, k // 8 // number)
    elif groups == "all":
        number, k = c, c
    padding = dilation * (kernel - 1) // 2
    if name == "transposed":
        h, w, padding = h // 2 * 2, w // 2 * 2, 0 if kernel == 2 else 1
    n = int(rng.choice((1, 2, 4, 8, 16)))
    kernel_, stride_, padding_, dilation_ = ((value, value) for value in (kernel, stride, padding, dilation))
    return plan.Problem("forward", n, c, h, w, k, kernel_, stride_, padding_, dilation_, number)


# --- measurement --------------------------------------------------------------------------------------------


def run(shapes: list[tuple[str, plan.Problem]], budget: float) -> list[dict[str, Any]]:
    """Every applicable algorithm in every direction: one row each with its seconds and the planner's."""
    rows = []
    for number, (family, shape) in enumerate(shapes):
        for direction in plan.DIRECTIONS:
            problem = shape._replace(direction=direction)
            seconds = measure(problem, applicable(problem), LEAST, budget / (3 * len(shapes)))
            rows.append({"shape": number, "family": family, "problem": list(problem), "seconds": seconds})
        _say(f"\r{number + 1}/{len(shapes)} shapes")
    _say("\n")
    return rows


def judged(row: dict[str, Any], rates: Rates = RATES) -> dict[str, Any]:
    """A row with the planner's choice, what it expected, and how it compares with the fastest."""
    problem = problem_of(row)
    costs = {a: plan.cost(problem, a, rates) for a in row["seconds"]}
    pick = min(costs, key=lambda a: costs[a])
    fastest = min(row["seconds"], key=lambda a: row["seconds"][a])
    ratio = row["seconds"][pick] / row["seconds"][fastest]
    return {**row, "pick": pick, "fastest": fastest, "ratio": ratio, "expected": costs}


def problem_of(row: dict[str, Any]) -> plan.Problem:
    """The problem of a row, which may come from JSON."""
    values: Any = (tuple(v) if isinstance(v, list) else v for v in row["problem"])
    return plan.Problem(*values)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


# --- fitting ------------------------------------------------------------------------------------------------


def loss(rates: Rates, rows: list[dict[str, Any]], threads: int, home: Rates, weight: float) -> float:
    """Mean squared log of expected/measured, and ``weight`` times the log of what wrong choices cost.

    What the measurement does not tell stays near ``home``: constants are held by a weak spring.
    """
    error = regret = 0.0
    count = 0
    for row in rows:
        problem, best, pick = row["parsed"], math.inf, (math.inf, 0.0)
        for name, seconds in row["seconds"].items():
            cost = plan.cost(problem, name, rates)
            error += math.log(cost / (threads * seconds)) ** 2
            best, pick = min(best, seconds), min(pick, (cost, seconds))
            count += 1
        slower = math.log(pick[1] / best)
        regret += slower + (slower > math.log(NEAR)) * 0.1
    drift = sum(math.log(a / b) ** 2 for a, b in zip(rates, home, strict=True))
    return error / count + weight * regret / len(rows) + 0.01 * drift


def descend(rows: list[dict[str, Any]], threads: int, start: Rates, weight: float) -> Rates:
    """The rates with the smallest loss that steps along one constant at a time find; no random numbers."""
    rates, step = start, 1.5
    least = loss(rates, rows, threads, start, weight)
    while step > 1.01:
        better = False
        for name in Rates._fields:
            for factor in (step, 1 / step):
                tried = rates._replace(**{name: getattr(rates, name) * factor})
                if (value := loss(tried, rows, threads, start, weight)) < least - 1e-9:
                    rates, least, better = tried, value, True
                    break
        step = step if better else math.sqrt(step)
    return rates


def fit(rows: list[dict[str, Any]], threads: int) -> Rates:
    """First to the times alone, then, from there, to the choices, too."""
    rows = [{**row, "parsed": problem_of(row)} for row in rows]
    rates = descend(rows, threads, descend(rows, threads, START, 0), 5)
    return Rates(*(float(f"{value:.3g}") for value in rates))


def write_rates(rates: Rates, name: str) -> None:
    """Put the constants of a kind of CPU into rates.json."""
    fitted = json.loads(FILE.read_text(encoding="utf-8"))
    fitted[name] = rates._asdict()
    atomic_write(FILE, json.dumps(fitted, indent=1) + "\n")


# --- the page -----------------------------------------------------------------------------------------------


def shape_text(p: plan.Problem) -> str:
    """One line for a shape.

    >>> shape_text(plan.Problem("forward", 8, 64, 56, 56, 128, (3, 3), (2, 2), (1, 1), (1, 1), 1))
    '8 x 64 x 56 x 56 → 128, 3x3, stride 2, padding 1'
    """
    text = f"{p.n} x {p.c} x {p.h} x {p.w} → {p.k}, {p.kernel[0]}x{p.kernel[1]}"
    text += f", stride {p.stride[0]}" if p.stride[0] > 1 else ""
    text += f", padding {p.padding[0]}" if p.padding[0] else ""
    text += f", dilation {p.dilation[0]}" if p.dilation[0] > 1 else ""
    return text + (f", groups {p.groups}" if p.groups > 1 else "")


def section(record: dict[str, Any]) -> str:
    """The table of a record, and what it comes to."""
    rows = record["rows"]
    near = [row for row in rows if row["ratio"] <= NEAR]
    shapes = _by_shape(rows)
    good = sum(ratio <= NEAR for ratio in shapes.values())
    lines = [
        f"### {record['machine']}",
        "",
        f"Measured with {record['threads']} threads: **{len(near)} of {len(rows)}"
        " choices are within 10 % of the fastest algorithm**; the median choice takes"
        f" {np.median([r['ratio'] for r in rows]):.2f} times as long as the fastest, the worst"
        f" {max(r['ratio'] for r in rows):.2f} times. Of the {len(shapes)} convolutions, {good} are within"
        " 10 % with their three directions added up. Choices that are not are bold, the fastest beside them.",
        "",
        "| convolution | forward | backward_data | backward_weight | choice / fastest, all three |",
        "| --- | --- | --- | --- | --- |",
    ]
    for number, ratio in shapes.items():
        three = [row for row in rows if row["shape"] == number]
        problem = problem_of(three[0])
        transposed = "transposed: " if three[0]["family"] == "transposed" else ""
        cells = " | ".join(_cell(row) for row in three)
        lines.append(f"| {transposed}{shape_text(problem)} | {cells} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    seconds = row["seconds"]
    text = f"{row['pick']} {seconds[row['pick']] * 1e3:.2f} ms"
    if row["ratio"] > NEAR:
        return f"**{text}**, {row['fastest']} {seconds[row['fastest']] * 1e3:.2f} ms"
    return text


def _by_shape(rows: list[dict[str, Any]]) -> dict[int, float]:
    sums: dict[int, list[float]] = {}
    for row in rows:
        both = sums.setdefault(row["shape"], [0.0, 0.0])
        both[0] += row["seconds"][row["pick"]]
        both[1] += row["seconds"][row["fastest"]]
    return {number: picked / best for number, (picked, best) in sums.items()}


def write_page() -> None:
    """The tables of all machines into docs/planner.md: what was measured, and what is chosen there today."""
    records = []
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [judged(row, rates_of(path.stem)) for row in record["rows"]]
        records.append({**record, "rows": rows})
    text = "\n".join(section(record) for record in records)
    atomic_write(PAGE, between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text))


def main() -> int:
    """See this file's text."""
    parser = argparse.ArgumentParser(description="measure the planner's choices, or fit its constants")
    parser.add_argument("--fit", action="store_true", help="fit the constants in kernels/cpu/rates.json")
    parser.add_argument(
        "--cpu", default=cpu_name(), help=f"under which name (default: LLVM's; {DEFAULT!r}: for all others)"
    )
    parser.add_argument(
        "--page", action="store_true", help="write the table out of the results that are there"
    )
    parser.add_argument("--seconds", type=float, default=150, help="for all measurements of the table")
    parser.add_argument("--threads", type=int, default=get_num_threads())
    parser.add_argument(
        "--rows", type=Path, help="with --fit: keep the measurement here, or use what is there"
    )
    arguments = parser.parse_args()
    set_num_threads(arguments.threads)
    began = time.monotonic()
    if arguments.page:
        write_page()
        return 0
    if arguments.fit:
        return _fit(arguments)
    rows = [judged(row) for row in run(draw(SEED), arguments.seconds)]
    record = {"machine": processor(), "threads": arguments.threads, "seed": SEED, "rows": rows}
    results = RESULTS / f"{arguments.cpu}.json"
    atomic_write(results, json.dumps(record, indent=1) + "\n")
    write_page()
    report(rows)
    print(f"{time.monotonic() - began:.0f} s; {results} and {PAGE}")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    if arguments.rows is not None and arguments.rows.is_file():
        rows = json.loads(arguments.rows.read_text(encoding="utf-8"))
    else:
        shapes = [shape for seed in FIT_SEEDS for shape in draw(seed, 2 * SHAPES)]
        rows = run(shapes, 4 * arguments.seconds)
        if arguments.rows is not None:
            atomic_write(arguments.rows, json.dumps(rows) + "\n")
    rates = fit(rows, arguments.threads)
    for name, value in rates._asdict().items():
        print(f"{name:12} {getattr(RATES, name):10.3g} -> {value:.3g}")
    report([judged(row, rates) for row in rows])
    write_rates(rates, arguments.cpu)
    return 0


def report(rows: list[dict[str, Any]]) -> None:
    """How many choices are right, and which are not."""
    shapes = _by_shape(rows)
    print(
        f"{sum(r['ratio'] <= NEAR for r in rows)} of {len(rows)} choices within {NEAR - 1:.0%} of the fastest"
    )
    print(
        f"{sum(r <= NEAR for r in shapes.values())} of {len(shapes)} convolutions, three directions together"
    )
    for row in sorted(rows, key=lambda r: -r["ratio"]):
        if row["ratio"] > NEAR:
            p = problem_of(row)
            what = f"{p.direction:15} {shape_text(p):50} {row['pick']} instead of {row['fastest']}"
            print(f"  {row['ratio']:.2f}  {what}")


if __name__ == "__main__":
    sys.exit(main())
