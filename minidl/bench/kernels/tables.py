"""The record as Markdown, and as lines for the terminal."""

from __future__ import annotations

from typing import Any

from minidl.bench.kernels.cards import LABEL, SHEET, Card
from minidl.bench.kernels.figures import Figure, Limits, best, figures, limits, reference
from minidl.bench.kernels.known import Known, from_record
from minidl.bench.kernels.run import MEASURED, VIEWS, faults
from minidl.bench.tables import NONE, QUICK, milliseconds, table

Record = dict[str, Any]

#: The card and the architecture of which the terminal shows a prediction: one must do there.
SHOWN, SHOWN_ARCHITECTURE = "A100 SXM 80GB", 80
TITLES = {"cpu": "On the CPU", "gpu": "On the GPU"}


def render(record: Record) -> str:
    """All tables of a record.

    Args:
        record: what ``results.json`` holds.
    """
    sections = [head(record)]
    if found := faults(record):
        sections.append("### Wrong\n\n" + "\n".join(f"- {line}" for line in found))
    if any(side.get("samples") for m in record["cases"] for side in m["contestants"].values()):
        sections.append("### Summary\n\n" + summary(record))
    for place, title in TITLES.items():
        if rows := _times(record, place):
            sections.append(f"### {title}: everyone\n\n{rows}")
    sections.append(_statuses(record))
    if record["gpu"] is None:
        sections += [
            "### The CUDA kernels without a GPU\n\n" + _kernels(record),
            f"### Bounds on GPUs: {LABEL}\n\n" + predictions(record),
        ]
    return "\n\n".join(filter(None, sections)) + "\n"


def head(record: Record) -> str:
    """Machine, versions, limits, and why there is no GPU, if there is none.

    Args:
        record: all of it.
    """
    about, allowed = record["machine"], limits(record)
    lines = [QUICK] if record["quick"] else []
    if not record["complete"]:
        lines.append("**The run was stopped before its end.**")
    commit = f", commit {record['commit']}" if record["commit"] else ""
    threads = f"{about['threads']} thread{'s' * (about['threads'] > 1)}"
    lines.append(
        f"{record['date']}{commit}. {about['cpu']}, {about['cores']} cores, {threads}; "
        f"{about['system']}, Python {about['python']}."
    )
    cpu = allowed["cpu"]
    if cpu.flops and cpu.bandwidth:
        lines.append(
            f"The CPU's limits, measured in the same run: SGEMM {cpu.flops / 1e9:,.0f} GFLOP/s, "
            f"copying {cpu.bandwidth / 1e9:.1f} GB/s (read and written)."
        )
    lines.append(gpu_line(record))
    lines.append("Versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()) + ".")
    return "\n\n".join(lines)


def gpu_line(record: Record) -> str:
    """One line: which GPU, or why there is none, and what is shown instead.

    Args:
        record: all of it.
    """
    gpu = record["gpu"]
    if gpu is None:
        why = record["absent"].get("cuda", "not asked for").partition(";")[0]
        return f"No GPU was measured ({why}). What is said of GPUs is a {LABEL}."
    sheet = gpu["data_sheet"]
    peak = (
        f"{sheet['flops'] / 1e12:.3g} TFLOP/s in float32 ({sheet.get('source', SHEET)})"
        if sheet
        else "its highest rate is not known: shares only where there are no FLOPs"
    )
    return f"GPU: {gpu['about']['name']}; copying {gpu['copy'] / 1e9:,.0f} GB/s (measured), {peak}."


def summary(record: Record) -> str:
    """A row for each case: the reference, the fastest of minidl's and of the others, on each side of the bus.

    Args:
        record: all of it.
    """
    allowed = limits(record)
    places = [place for place in TITLES if place in allowed]
    columns = ["numpy ms", *(c for p in places for c in _columns(p))]
    rows = []
    for measured in record["cases"]:
        found = figures(measured, allowed)
        if not found:
            continue
        first = reference(found)
        cells = [milliseconds(first.seconds if first else None)]
        for place in places:
            cells += _fastest(found, place)
        rows.append([measured["title"], *cells])
    return table(["", *columns], rows)


def _columns(place: str) -> list[str]:
    mine, other = {"cpu": ("compiled", "PyTorch"), "gpu": ("CUDA", "PyTorch/cuDNN")}[place]
    return [f"{mine} ms", "by", "of the roofline", f"{other} ms", "ratio"]


def _fastest(found: list[Figure], place: str) -> list[str]:
    mine, other = best(found, place, True), best(found, place, False)
    ratio = f"{other.seconds / mine.seconds:.2f}" if mine and other else NONE
    return [
        milliseconds(mine.seconds if mine else None),
        _how(mine) if mine else NONE,
        _share(mine),
        milliseconds(other.seconds if other else None),
        ratio,
    ]


def _how(mine: Figure) -> str:
    """Which algorithm or version it was."""
    chosen = mine.note.removeprefix("chosen: ") if mine.note.startswith("chosen: ") else ""
    return mine.name.partition(" ")[2] or chosen or mine.note or "–"


def _share(figure: Figure | None) -> str:
    return NONE if figure is None or figure.share is None else f"{figure.share:.0%}"


def _times(record: Record, place: str) -> str:
    """A row for each contestant on one side of the bus."""
    allowed, rows = limits(record), []
    for measured in record["cases"]:
        found = [f for f in figures(measured, allowed) if f.place == place]
        for number, f in enumerate(found):
            low, high = f.quartiles
            rows.append(
                [
                    "" if number else f"**{measured['title']}**",
                    f"{f.name} ({f.note})" if f.note else f.name,
                    milliseconds(f.seconds),
                    f"{milliseconds(low)} to {milliseconds(high)}",
                    _rate(f.flops),
                    _rate(f.bandwidth),
                    _share(f),
                ]
            )
    if not rows:
        return ""
    return table(["", "who", "ms", "quartiles", "GFLOP/s", "GB/s", "of the roofline"], rows)


def _rate(value: float) -> str:
    if not value:
        return NONE
    return f"{value / 1e9:,.3g}" if value < 1e12 else f"{value / 1e9:,.0f}"


def _statuses(record: Record) -> str:
    """Who was not timed, and why."""
    lines = []
    for measured in record["cases"]:
        for name, side in measured["contestants"].items():
            if side["status"] not in (MEASURED, VIEWS):
                lines.append(f"- {measured['name']}, {name}: {side['status']}")
            elif side["status"] == VIEWS:
                lines.append(f"- {measured['name']}, {name}: {VIEWS}")
    for name, why in record["absent"].items():
        lines.append(f"- {name}: {why}")
    return "### Not timed\n\n" + "\n".join(lines) if lines else ""


def _kernels(record: Record) -> str:
    """Registers, shared memory, occupancy and counts of every CUDA kernel of the cases."""
    used = [k for m in record["cases"] for v in m["versions"].values() for k in v["kernels"]]
    known = {name: from_record(record, name) for name in dict.fromkeys(used)}
    if not known:
        return "None of these cases has a CUDA kernel of its own."
    architectures = list(next(iter(known.values())).registers)
    head_ = ["kernel", "registers", "shared bytes", *(f"sm_{a}" for a in architectures), "bytes", "FLOPs"]
    rows = []
    for name, one in known.items():
        registers = f"{min(one.registers.values())} to {max(one.registers.values())}"
        counts = [f"{one.counts[key]:.4g}" if key in one.counts else "" for key in ("bytes", "flops")]
        shares = [f"{one.occupancy[a]:.0%}" for a in architectures]
        rows.append([f"`{name}`", registers, str(max(one.shared.values())), *shares, *counts])
    text = (
        "In float32 with 32-bit indices. Registers (over all architectures) and shared memory are what "
        "NVIDIA's compiler says, the columns of architectures are theoretical occupancy. Bytes and FLOPs are "
        "for each output of the workload of `kernels/cuda/workloads/`, counted by the simulator before any "
        "cache, where they were counted."
    )
    return f"{text}\n\n{table(head_, rows)}"


def predictions(record: Record) -> str:
    """The least times on each card of the table, by case, and where an algorithm needs fewer products.

    Args:
        record: all of it.
    """
    cards = [Card(**card) for card in record["cards"]]
    rows = []
    for measured in record["cases"]:
        lines: dict[tuple[float, ...], str] = {}
        for name, version in measured["versions"].items():
            lines.setdefault(tuple(version["prediction"][card.name] for card in cards), name)
        for number, (seconds, name) in enumerate(lines.items()):
            title = f"{measured['title']} ({name})" if number else measured["title"]
            rows.append([title, *(milliseconds(s) for s in seconds)])
    sheets = table(
        ["data sheet", "architecture", "float32 TFLOP/s", "GB/s", "source"],
        [
            [c.name, f"sm_{c.architecture}", f"{c.flops / 1e12:g}", f"{c.bandwidth / 1e9:,.0f}", c.source]
            for c in cards
        ],
    )
    text = (
        f"**{LABEL.capitalize()}**, in ms: what a case takes at least on these cards, the larger of its "
        "FLOPs at the highest rate in float32 without tensor cores and its least bytes at the memory's "
        "bandwidth, both from NVIDIA's data sheets. No kernel has been run on any of them for this table."
    )
    bounds = table([f"ms at least ({LABEL})", *(c.name for c in cards)], rows)
    return f"{text}\n\n{bounds}\n\n{sheets}"


def lines(measured: Record, record: Record) -> str:
    """What the person who waits is told of one case.

    Args:
        measured: the case.
        record: all of it, so far.
    """
    so_far: Record = record if measured in record["cases"] else {**record, "cases": [measured]}
    allowed: dict[str, Limits] = limits(so_far)
    size = f"{measured['flops'] / 1e9:.3g} GFLOP, {measured['bytes'] / 1e6:.3g} MB"
    said = [f"{measured['name']}: {measured['title']}  ({size})"]
    for f in figures(measured, allowed):
        name = f"{f.name} ({f.note})" if f.note else f.name
        rates = f"{_rate(f.flops):>7} GFLOP/s  {_rate(f.bandwidth):>6} GB/s  {_share(f):>5} of the roofline"
        said.append(f"  {name:30} {milliseconds(f.seconds):>8} ms  {rates}")
    for name, side in measured["contestants"].items():
        if side["status"] != MEASURED:
            said.append(f"  {name:30} {side['status']}")
    if record["gpu"] is None:
        for name, version in measured["versions"].items():
            known = [from_record(record, kernel) for kernel in version["kernels"]]
            said.append(_prediction(name, version["prediction"][SHOWN], known))
    return "\n".join(said)


def _prediction(name: str, seconds: float, known: list[Known]) -> str:
    """A CUDA version without a GPU: its bound, and what is known of its kernels."""
    said = f"  {'cuda ' + name:30} {LABEL}: at least {milliseconds(seconds)} ms on an {SHOWN}"
    if not known:
        return said
    registers = max(one.registers[SHOWN_ARCHITECTURE] for one in known)
    occupancy = min(one.occupancy[SHOWN_ARCHITECTURE] for one in known)
    counted = [one.counts for one in known if "flops" in one.counts]
    moved = f", {counted[0]['bytes']:.4g} bytes an output counted" if counted else ""
    return f"{said}; {registers} registers, occupancy {occupancy:.0%}{moved}"
