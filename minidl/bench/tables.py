"""The record as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from minidl.bench.analysis import Figures, Mark, best_rates, figures, memory_mark, start_marks
from minidl.bench.contestants import CONTESTANTS, MINIDL, OWN
from minidl.bench.goals import VERDICTS
from minidl.bench.workloads import GROUPS, find

Record = dict[str, Any]
NONE = "–"
QUICK = "**A quick run: small shapes, few rounds. It shows that everything works; its figures mean nothing.**"


def render(record: Record) -> str:
    """All tables of a record.

    Args:
        record: what ``results.json`` holds.
    """
    sections = [_head(record), _summary(record)]
    for group, heading in GROUPS.items():
        found = [(m, figures(m, record["quick"])) for m in record["workloads"] if m["group"] == group]
        if found:
            sections.append(f"### {heading}\n\n" + _times(found, record["quick"], group))
    if any(m["group"] in ("training", "prediction") for m in record["workloads"]):
        sections.append("### Every contestant\n\n" + _contestants(record))
    if record["memory"]:
        sections.append("### Peak memory of a training step\n\n" + _memory(record))
    if record["startup"]:
        sections.append("### The first step\n\n" + _startup(record["startup"]))
    notes = [
        f"- {m['name']}: {note}" for m in record["workloads"] for note in figures(m, record["quick"]).notes
    ]
    if notes:
        sections.append("### Notes\n\n" + "\n".join(notes))
    return "\n\n".join(sections) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are right-aligned.

    >>> print(table(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | ---: |
    | x | 1 |
    """
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows))


def milliseconds(seconds: float | None) -> str:
    """Three digits, or more where there are more before the point.

    >>> milliseconds(0.0012345), milliseconds(2.7185), milliseconds(None)
    ('1.23', '2,718', '–')
    """
    if seconds is None:
        return NONE
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mebibytes(size: float) -> str:
    """Bytes as MiB.

    >>> mebibytes(3 * 2**20)
    '3'
    """
    return f"{size / 2**20:,.0f}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _head(record: Record) -> str:
    machine, rates = record["machine"], best_rates(record)
    lines = [QUICK] if record["quick"] else []
    if not record["complete"]:
        lines.append("**The run was stopped before its end.**")
    commit = f", commit {record['commit']}" if record["commit"] else ""
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    lines.append(
        f"{record['date']}{commit}. {machine['cpu']}, {machine['cores']} cores, {threads} for every "
        f"contestant, {machine['memory'] / 2**30:.0f} GiB free; "
        f"{machine['system']}, Python {machine['python']}."
    )
    if rates:
        lines.append(
            f"This machine's own rates in the same run: SGEMM {rates['sgemm'] / 1e9:,.0f} GFLOP/s "
            f"(NumPy's BLAS), copying {rates['copy'] / 1e9:.1f} GB/s (read and written)."
        )
    lines.append("Versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()) + ".")
    absent = [one["title"] for one in record["contestants"].values() if one["version"] == "not installed"]
    if absent:
        lines.append(f"Not installed: {', '.join(absent)}.")
    if all(one["version"] == "not installed" for one in record["contestants"].values()):
        lines.append("No peer is installed: minidl was measured alone, and there are no ratios.")
    return "\n\n".join(lines)


def marks(record: Record) -> list[Mark]:
    """The figures with goals that are not ratios of times.

    Args:
        record: all of it.
    """
    found = [memory_mark(m) for m in record["memory"]]
    if record["startup"] and "status" not in record["startup"]:
        found.extend(start_marks(record["startup"]))
    return found


def _summary(record: Record) -> str:
    """How many reach what, and everything that misses its floor."""
    verdicts = [
        (m["title"], f.ratio, f.verdict)
        for m in record["workloads"]
        if (f := figures(m, record["quick"])).verdict
    ]
    verdicts += [(mark.title, mark.value, mark.verdict) for mark in marks(record) if mark.verdict]
    if not verdicts:
        return "### Summary\n\nNothing to compare: no figure that has a goal was measured beside a peer."
    counts = [(word, sum(v == word for _, _, v in verdicts)) for word in VERDICTS]
    text = ", ".join(f"{count} {word}" for word, count in counts if count)
    missed = [f"- {title}: {value:.2f}" for title, value, verdict in verdicts if verdict == VERDICTS[-1]]
    below = "\n\nBelow their floors:\n\n" + "\n".join(missed) if missed else ""
    return f"### Summary\n\nOf {len(verdicts)} figures with a goal: {text}.{below}"


def _times(found: list[tuple[dict[str, Any], Figures]], quick: bool, group: str) -> str:
    if group in ("size", "batch"):
        return _sweep(found)
    head = ["", "minidl ms", "fastest peer", "its ms", "ratio", "quartiles"]
    if group == "operations":
        head += ["forward", "backward"]
    head += ["goal / floor / stretch", "verdict", "of SGEMM", "of copying"]
    rows = []
    for measured, f in found:
        goal = find(measured["name"], quick).goal
        row = [measured["title"], milliseconds(f.seconds.get(MINIDL)), _title(f.best)]
        row += [milliseconds(f.seconds[f.best]) if f.best else NONE, _number(f.ratio), _spread(f)]
        if group == "operations":
            row += [_number(f.parts.get("forward")), _number(f.parts.get("backward"))]
        row += [str(goal), f.verdict or NONE, _percent(f.sgemm), _percent(f.copy)]
        rows.append(row)
    return table(head, rows)


def _title(name: str | None) -> str:
    return NONE if name is None else CONTESTANTS[name].title


def _spread(f: Figures) -> str:
    return NONE if f.spread is None else f"{f.spread[0]:.2f} to {f.spread[1]:.2f}"


def _sweep(found: list[tuple[dict[str, Any], Figures]]) -> str:
    names = [name for name in CONTESTANTS if any(name in f.seconds for _, f in found)]
    head = ["ms", *(CONTESTANTS[name].title for name in names), "ratio"]
    rows = []
    for measured, f in found:
        times = [milliseconds(f.seconds.get(name)) for name in names]
        rows.append([measured["title"], *times, _number(f.ratio)])
    return table(head, rows)


def _contestants(record: Record) -> str:
    """Medians of all, with what the first run took beyond a later one: compiling, mostly."""
    rows = []
    for measured in record["workloads"]:
        if measured["group"] not in ("training", "prediction"):
            continue
        seconds = figures(measured, record["quick"]).seconds
        for name, side in measured["contestants"].items():
            title = f"**{measured['title']}**" if name == MINIDL else ""
            if name in seconds:
                first = max(0.0, side["warm_up"][0] - seconds[name])
                cells = [milliseconds(seconds[name]), f"{first:.1f}", f"{side['idle_share']:.0%}"]
            else:
                cells = [side["status"], NONE, NONE]
            rows.append([title, CONTESTANTS[name].title, *cells])
    head = ["", "contestant", "ms", "first run beyond a later one, s", "idle"]
    return table(head, rows)


def _memory(record: Record) -> str:
    rows = []
    for measured in record["memory"]:
        for name, row in measured["contestants"].items():
            title = f"**{measured['title']}**" if name == MINIDL else ""
            if "peak" in row:
                sizes = [row["imported"], row["built"], row["peak"], row["peak"] - row["built"]]
                rows.append([title, CONTESTANTS[name].title, *map(mebibytes, sizes)])
            else:
                rows.append([title, CONTESTANTS[name].title, row["status"], NONE, NONE, NONE])
    head = ["MiB, resident", "contestant", "library", "with the network", "peak", "the steps alone"]
    return table(head, rows) + "\n\n" + _marks([memory_mark(m) for m in record["memory"]])


def _startup(measured: dict[str, Any]) -> str:
    if "status" in measured:
        return f"minidl {measured['status']}"
    rows = []
    for state, title in (("empty", "compile cache empty"), ("warm", "compile cache warm")):
        one = measured[state]
        cells = (one["import"], one["build"], one["warm_up"][0], statistics.median(one["later"]))
        rows.append([title, *(f"{seconds:.2f}" for seconds in cells)])
    head = ["seconds", "import", "making the network", "first step", "a later step"]
    return table(head, rows) + "\n\n" + _marks(start_marks(measured))


def _marks(found: Sequence[Mark]) -> str:
    rows = [
        [
            m.title,
            NONE if m.value is None else f"{m.value:.2f} {m.unit}".strip(),
            str(m.goal),
            m.verdict or NONE,
        ]
        for m in found
    ]
    return table(["lower is better", "figure", "goal / floor / stretch", "verdict"], rows)


def peers_of(record: Record) -> list[str]:
    """Peers that were measured anywhere in the record, in their order.

    Args:
        record: all of it.
    """
    return [
        name
        for name in CONTESTANTS
        if name not in OWN
        and any(m["contestants"].get(name, {}).get("status") == "measured" for m in record["workloads"])
    ]


def between(page: str, begin: str, end: str, text: str) -> str:
    """A page with new text between two marks.

    Args:
        page: with both marks.
        begin: the first.
        end: the second.
        text: what goes between them.

    >>> between("a <b> old <e> c", "<b>", "<e>", "new")
    'a <b>\\n\\nnew\\n<e> c'
    """
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n{end}{after}"
