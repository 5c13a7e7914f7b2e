"""The table of operations with their proof counts: docs/proof/ops.json and docs/proof/ops.md.

    python -m oracles.proof_table COUNTS...            write both from the files that MINIDL_PROOF named
    python -m oracles.proof_table --check COUNTS...    write nothing; fail if an operation is not proven

`make proof` runs the tests and then this. What makes an operation proven: see `missing`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from minidl import ops
from oracles import proof
from oracles.proof import WITHOUT_GRADIENT

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "proof"
Table = dict[str, dict[str, dict[str, Any]]]

#: Why an operation has no line beside torch's.
WITHOUT_TORCH = {
    "cast": "Tensor.astype, NumPy's name: its parts are held to NumPy in tests/test_tensor.py",
    "convolve2d": "torch has no true convolution; it is held to the loops of E1, and to conv2d flipped",
    "dropout": "torch draws other random numbers; given its mask it is a product, which is checked",
    "dropout2d": "torch draws other random numbers; given its mask it is a product, which is checked",
}

#: An operation that is tested together with the one that makes its input: the row of both counts for it.
TOGETHER = {"max_unpool2d": "max_pool2d + max_unpool2d"}

#: Column of the table -> the kind of check, as `oracles.proof` records it.
COLUMNS = {
    "loops": "forward",
    "slopes of the loops": "oracle's slopes",
    "gradcheck": "gradcheck",
    "memory orders": "memory orders",
    "float32": "float32",
    "second order": "second order",
    "adjoint": "adjoint",
    "zero-size": "zero-size",
    "one pixel": "one pixel",
    "torch float64": "torch float64",
    "torch float32": "torch float32",
    "both refuse": "torch refuses too",
}
#: Deviations by rounding alone. A central difference has an error of its own, so slopes do not belong here.
ROUNDED = ("forward", "memory orders", "float32", "second order", "torch float64", "torch float32")


def merged(files: list[Path]) -> Table:
    """The counts of several runs; none counts the same thing as another."""
    table: Table = {}
    for file in files:
        for op, row in json.loads(file.read_text(encoding="utf-8")).items():
            table.setdefault(op, {}).update(row)
    return table


def missing(table: Table) -> dict[str, str]:
    """Operations that nothing proves: not beside loops, not by gradcheck, or not beside torch."""
    found = {}
    for name in sorted(ops.__all__):
        wanted = [] if name in WITHOUT_GRADIENT else ["forward", "gradcheck", "memory orders", "float32"]
        wanted += [] if name in WITHOUT_TORCH or name in WITHOUT_GRADIENT else ["torch float64"]
        row = table.get(TOGETHER.get(name, ""), {}) | table.get(proof.first_name(name), {})
        absent = [kind for kind in wanted if kind not in row]
        if absent:
            found[name] = ", ".join(absent)
    return found


def page(table: Table, made_with: str) -> str:
    """docs/proof/ops.md."""
    names = [n for n in sorted(ops.__all__) if n not in WITHOUT_GRADIENT and proof.first_name(n) == n]
    lines = [
        "# Every operation, and what it was held to",
        "",
        "Written by `make proof`; what the columns mean: [proof.md](../proof.md). A number is that of the",
        "configurations (shapes, strides, paddings, seeds ...) at which the check was made. The last three",
        "columns are the worst deviations: from the loops and from torch in float64, in eps of the largest",
        "value (at least 1), and the largest share of what is allowed, central differences apart.",
        "",
        f"Made with {made_with}.",
        "",
        "| operation | " + " | ".join(COLUMNS) + " | worst: loops | worst: torch | of allowed |",
        "| --- |" + " ---: |" * (len(COLUMNS) + 3),
    ]
    for name in names:
        row = table.get(TOGETHER.get(name, ""), {}) | table.get(name, {})
        counts = [_count(name, kind, row) for kind in COLUMNS.values()]
        worst = [_worst(row, ("forward",), "eps"), _worst(row, ("torch float64",), "eps")]
        share = _worst(row, ROUNDED, "share")
        cells = [*counts, *(_short(w) for w in worst), "-" if share is None else f"{100 * share:.2g} %"]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    total = sum(row.get("forward", {}).get("configurations", 0) for row in table.values())
    beside = sum(row.get("torch float64", {}).get("configurations", 0) for row in table.values())
    lines += [
        "",
        f"{total} configurations beside the loops, {beside} beside torch, combinations included.",
        "",
    ]
    lines += ["Beside torch there is nothing to compare for:", ""]
    lines += [f"- `{name}`: {reason}." for name, reason in sorted(WITHOUT_TORCH.items()) if name in names]
    without = ", ".join(f"`{name}`" for name in sorted(WITHOUT_GRADIENT & set(ops.__all__)))
    others = [name for name in sorted(ops.__all__) if proof.first_name(name) != name]
    lines += ["", *(f"`{name}` is another name of `{proof.first_name(name)}`." for name in others)]
    lines += ["", f"Whole numbers or truth values, no gradient, compared exactly: {without}.", ""]
    return "\n".join(lines)


def _count(name: str, kind: str, row: dict[str, dict[str, Any]]) -> str:
    if kind.startswith("torch") and name in WITHOUT_TORCH and kind not in row:
        return "none"
    return str(row[kind]["configurations"]) if kind in row else ""


def _worst(row: dict[str, dict[str, Any]], kinds: tuple[str, ...], measure: str) -> float | None:
    return max((row[kind][measure] for kind in kinds if measure in row.get(kind, {})), default=None)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def main(arguments: list[str]) -> int:
    only_check = arguments[:1] == ["--check"]
    table = merged([Path(a) for a in arguments[only_check:]])
    if not only_check:
        made_with = f"NumPy {np.__version__}, profile {os.environ.get('MINIDL_HYPOTHESIS', 'quick')}"
        lines = ",\n".join(f"{json.dumps(op)}: {json.dumps(row)}" for op, row in sorted(table.items()))
        (FOLDER / "ops.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
        (FOLDER / "ops.md").write_text(page(table, made_with), encoding="utf-8")
    absent = missing(table)
    for name, kinds in absent.items():
        print(f"proof: {name}: no {kinds}", file=sys.stderr)
    print(f"proof: {len(ops.__all__)} operations, {len(absent)} not proven")
    return bool(absent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
