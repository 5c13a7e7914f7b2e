"""Put the tables of a full run into docs/benchmarks.md, between its two marks.

    python benchmarks/page.py [--results benchmarks/results/speed/results.json]

A quick or an incomplete run is refused: its figures mean nothing. `tests/docs/test_benchmarks_page.py` holds
the page to the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write
from minidl.bench.tables import render

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "results" / "speed" / "results.json"
BEGIN, END = "<!-- results: begin (benchmarks/page.py) -->", "<!-- results: end -->"
NOTHING_YET = "No full run has been committed yet: `make bench` makes one.\n"
PLOTS = (
    ("ratios", "Ratio of the fastest peer's time to minidl's, for every workload"),
    ("roofline", "Arithmetic rate against arithmetic per byte, under the machine's limits"),
    ("scaling", "Time against the size of the picture and against the batch"),
)


def section(results: Path) -> str:
    """What belongs between the marks.

    Args:
        results: ``results.json`` of a full run; it may be missing.
    """
    if not results.is_file():
        return NOTHING_YET
    record: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    where = results.parent.relative_to(ROOT).as_posix()
    pictures = [
        f"![{text}](../{where}/{name}.png)"
        for name, text in PLOTS
        if (results.parent / f"{name}.png").is_file()
    ]
    return render(record) + "".join(f"\n{picture}\n" for picture in pictures)


def filled(page: str, text: str) -> str:
    """The page with new text between the marks.

    Args:
        page: with both marks.
        text: what goes between them.
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def main() -> int:
    """See this file's text."""
    parser = argparse.ArgumentParser(description="put a run's tables into docs/benchmarks.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results.resolve()
    record = json.loads(results.read_text(encoding="utf-8"))
    if record["quick"] or not record["complete"]:
        print(f"{results}: a quick or incomplete run; {PAGE.name} stays as it is", file=sys.stderr)
        return 0
    atomic_write(PAGE, filled(PAGE.read_text(encoding="utf-8"), section(results)))
    print(f"{PAGE} has the tables of {record['date']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
