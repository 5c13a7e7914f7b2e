"""Put the tables of a full run, and the profile of a step, into docs/benchmarks.md, between marks.

    python benchmarks/page.py [--results benchmarks/results/speed/results.json]

A quick or an incomplete run is refused: its figures mean nothing. `tests/docs/test_benchmarks_page.py` holds
the page to the file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write
from minidl.bench.tables import render

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "results" / "speed" / "results.json"
BEGIN, END = "<!-- results: begin (benchmarks/page.py) -->", "<!-- results: end -->"
PROFILE = ROOT / "benchmarks" / "results" / "profile" / "profile.md"
PROFILE_BEGIN, PROFILE_END = "<!-- profile: begin (benchmarks/page.py) -->", "<!-- profile: end -->"
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
    parser = argparse.ArgumentParser(description="put a run's tables into docs/benchmarks.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results.resolve()
    record = json.loads(results.read_text(encoding="utf-8"))
    if record["quick"] or not record["complete"]:
        print(f"{results}: a quick or incomplete run; {PAGE.name} stays as it is", file=sys.stderr)
        return 0
    text = filled(PAGE.read_text(encoding="utf-8"), section(results))
    atomic_write(PAGE, filled(text, profile_section(PROFILE), PROFILE_BEGIN, PROFILE_END))
    print(f"{PAGE} has the tables of {record['date']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
