"""Put the tables of full runs into docs/benchmarks.md and docs/kernel-benchmarks.md, between marks.

    python benchmarks/page.py [--results benchmarks/results/speed/results.json]
                              [--kernels benchmarks/results/kernels/results.json]

A quick or an incomplete run is refused: its figures mean nothing. `tests/docs/test_benchmarks_page.py` holds
the pages to the files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write
from minidl.bench.kernels import tables as kernel_tables
from minidl.bench.tables import render

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "results" / "speed" / "results.json"
BEGIN, END = "<!-- results: begin (benchmarks/page.py) -->", "<!-- results: end -->"
PROFILE = ROOT / "benchmarks" / "results" / "profile" / "profile.md"
PROFILE_BEGIN, PROFILE_END = "<!-- profile: begin (benchmarks/page.py) -->", "<!-- profile: end -->"
KERNELS_PAGE = ROOT / "docs" / "kernel-benchmarks.md"
KERNELS = ROOT / "benchmarks" / "results" / "kernels" / "results.json"
KERNELS_BEGIN, KERNELS_END = "<!-- kernels: begin (benchmarks/page.py) -->", "<!-- kernels: end -->"
NOTHING_YET = "No full run has been committed yet: `make bench` makes one.\n"
PLOTS = (
    ("ratios", "Ratio of the fastest peer's time to minidl's, for every workload"),
    ("roofline", "Arithmetic rate against arithmetic per byte, under the machine's limits"),
    ("scaling", "Time against the size of the picture and against the batch"),
)
KERNEL_PLOTS = (
    ("shares", "For each case the share of the roofline"),
    ("roofline", "Arithmetic rate against arithmetic per byte, under the limits"),
)


def section(results: Path) -> str:
    """What belongs between the marks.

    Args:
        results: ``results.json`` of a full run; it may be missing.
    """
    if not results.is_file():
        return NOTHING_YET
    record: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return render(record) + _pictures(results.parent, PLOTS)


def _pictures(folder: Path, plots: tuple[tuple[str, str], ...]) -> str:
    """Those that are there, as Markdown."""
    where = folder.relative_to(ROOT).as_posix()
    there = [(name, text) for name, text in plots if (folder / f"{name}.png").is_file()]
    return "".join(f"\n![{text}](../{where}/{name}.png)\n" for name, text in there)


def kernels_section(results: Path) -> str:
    """What belongs between the marks of the kernels' page: machine, summary, pictures.

    Args:
        results: ``results.json`` of a full run of ``minidl bench kernels``.
    """
    record: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    plots = tuple(
        (f"{name}-{place}", f"{text}, on the {place.upper()}")
        for place in ("cpu", "gpu")
        for name, text in KERNEL_PLOTS
    )
    tables = f"{kernel_tables.head(record)}\n\n{kernel_tables.summary(record)}\n"
    return tables + _pictures(results.parent, plots)


def profile_section(profile: Path) -> str:
    """What ``minidl bench --profile`` wrote, without its title; nothing if it never ran.

    Args:
        profile: ``profile.md``; it may be missing.
    """
    if not profile.is_file():
        return ""
    text = profile.read_text(encoding="utf-8").partition("\n\n")[2]
    return re.sub("^## ", "### ", text, flags=re.MULTILINE)


def filled(page: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with new text between two marks.

    Args:
        page: with both marks.
        text: what goes between them.
        begin, end: the marks.
    """
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def main() -> int:
    """See this file's text."""
    parser = argparse.ArgumentParser(description="put the runs' tables into the pages of docs/")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--kernels", type=Path, default=KERNELS)
    given = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    if _full(given.results, PAGE):
        text = filled(text, section(given.results.resolve()))
        atomic_write(PAGE, filled(text, profile_section(PROFILE), PROFILE_BEGIN, PROFILE_END))
    if _full(given.kernels, KERNELS_PAGE):
        page, tables = KERNELS_PAGE.read_text(encoding="utf-8"), kernels_section(given.kernels.resolve())
        atomic_write(KERNELS_PAGE, filled(page, tables, KERNELS_BEGIN, KERNELS_END))
    return 0


def _full(results: Path, page: Path) -> bool:
    """Whether a run's figures mean something; says what becomes of the page."""
    record = json.loads(results.read_text(encoding="utf-8"))
    if record["quick"] or not record["complete"]:
        print(f"{results}: a quick or incomplete run; {page.name} stays as it is", file=sys.stderr)
        return False
    print(f"{page} has the tables of {record['date']}")
    return True


if __name__ == "__main__":
    sys.exit(main())
