"""``make gpu``: every test marked ``gpu`` on this machine's GPU, and what came of it as docs/gpu-results.md.

    PYTHONPATH=tests python -m oracles.gpu_report [--out FILE]

Exit status: pytest's; 2 if there is no GPU, and then nothing is written.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "docs/gpu-results.md"


def main(arguments: list[str] | None = None) -> int:
    """Run, and write the page."""
    import minidl

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tests", nargs="*", default=["tests"])
    options = parser.parse_args(arguments)
    if not minidl.cuda.is_available():
        print(f"minidl: error: {minidl.cuda.why_unavailable()}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", f"--junitxml={report}", *options.tests]
        status = subprocess.run(command, cwd=ROOT).returncode
        if not report.exists():
            print("minidl: error: pytest wrote no report; see above", file=sys.stderr)
            return status or 1
        cases = outcomes(report)
    options.out.write_text(page(machine(), cases), encoding="utf-8")
    print(f"written: {options.out}")
    print("how fast the kernels are on this GPU: minidl bench kernels --out kernels")
    return status


def outcomes(report: Path) -> list[tuple[str, str, str]]:
    """(file, test, "passed", "failed" or "skipped: why") of every case of a JUnit report."""
    rows = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        outcome = "passed"
        for kind in ("failure", "error", "skipped"):
            found = case.find(kind)
            if found is not None:
                why = " ".join((found.get("message") or "").split())
                outcome = f"skipped: {why}" if kind == "skipped" else f"failed: {why[:200]}"
        rows.append((case.get("classname", "").replace(".", "/") + ".py", case.get("name", ""), outcome))
    return rows


def machine() -> dict[str, Any]:
    """What the numbers were made on and with."""
    import minidl

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        **minidl.cuda.describe("cuda"),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "numpy": np.__version__,
        "minidl": f"{minidl.__version__} ({commit.stdout.strip() or 'no commit'})",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def page(about: dict[str, Any], cases: list[tuple[str, str, str]]) -> str:
    """The whole of docs/gpu-results.md.

    >>> cases = [("tests/a.py", "one", "passed"), ("tests/a.py", "two", "failed: 1 | 2")]
    >>> text = page({"name": "a GPU"}, cases)
    >>> print(text[text.index("| tests"):])
    | tests/a.py | 1 | 1 | 0 |
    <BLANKLINE>
    ## What failed
    <BLANKLINE>
    * `tests/a.py::two`: 1 \\| 2
    <BLANKLINE>
    """
    lines = [
        "# Results on a GPU",
        "",
        "Made by `make gpu`; do not edit. How fast the kernels are: `minidl bench kernels`",
    ]
    lines[-1] += " ([how it measures](kernel-benchmarks.md))."
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in about.items()]
    lines += ["", "| Tests | passed | failed | skipped |", "|---|---|---|---|"]
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for file, _, outcome in cases:
        counts[file][outcome.partition(":")[0]] += 1
    for file, count in sorted(counts.items()):
        lines.append(f"| {file} | {count['passed']} | {count['failed']} | {count['skipped']} |")
    for kind, title in (("failed", "What failed"), ("skipped", "What was skipped")):
        rows = [(f, n, o.partition(": ")[2]) for f, n, o in cases if o.startswith(kind)]
        if rows:
            lines += ["", f"## {title}", ""]
            escaped = [(file, name, why.replace("|", "\\|")) for file, name, why in rows]
            lines += [f"* `{file}::{name}`: {why}" for file, name, why in escaped]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
