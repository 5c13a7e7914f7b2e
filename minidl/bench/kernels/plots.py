"""The record as pictures, CPU and GPU apart: shares of the roofline, and the roofline itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from minidl._atomic import atomic_write
from minidl.bench.canvas import figure, label_points, plain_numbers, quiet, where
from minidl.bench.kernels.cards import SHEET
from minidl.bench.kernels.figures import Figure, best, figures, limits, reference
from minidl.bench.plots import DPI

Record = dict[str, Any]

OWN_COLOUR, PEER_COLOUR, REFERENCE_COLOUR = "#14365f", "#ee7733", "0.55"
NAMES = {"cpu": ("minidl, compiled kernels", "PyTorch"), "gpu": ("minidl, CUDA kernels", "PyTorch, cuDNN")}


def write_plots(record: Record, folder: Path) -> list[Path]:
    """Write every plot for which the record has figures.

    Args:
        record: what ``results.json`` holds.
        folder: gets ``shares-cpu.png`` and ``roofline-cpu.png``, and the same for ``gpu``.

    Returns:
        The files that were written.
    """
    written = []
    for place in limits(record):
        for name, draw in (("shares", _shares), ("roofline", _roofline)):
            drawing = draw(record, place)
            if drawing is not None:
                buffer = io.BytesIO()
                drawing.savefig(buffer, format="png", dpi=DPI)
                path = folder / f"{name}-{place}.png"
                atomic_write(path, buffer.getvalue())
                written.append(path)
    return written


def _head(record: Record, place: str) -> str:
    """Where it was measured."""
    if place == "cpu":
        return where(record)
    quick = "  QUICK RUN: these figures mean nothing" if record["quick"] else ""
    return f"{record['gpu']['about']['name']}, {record['date'][:10]}{quick}"


def _limits_from(record: Record, place: str) -> str:
    """Where the two limits come from."""
    if place == "cpu":
        return "SGEMM and copy rate, measured"
    return f"peak: {record['gpu']['data_sheet'].get('source', SHEET)}; copy rate: measured"


def _found(record: Record, place: str) -> list[tuple[Record, list[Figure]]]:
    """The cases with something on that side of the bus."""
    allowed = limits(record)
    pairs = [(m, [f for f in figures(m, allowed) if f.place == place]) for m in record["cases"]]
    return [(measured, found) for measured, found in pairs if found]


def _shares(record: Record, place: str) -> Any:
    """A bar for each case, the share of the roofline of minidl's fastest; points for the others."""
    from matplotlib.ticker import PercentFormatter

    cases = [(m, found) for m, found in _found(record, place) if any(f.share is not None for f in found)]
    if not cases:
        return None
    drawing = figure(9.5, 1.6 + 0.19 * len(cases))
    axes = drawing.subplots()
    for row, (_, found) in enumerate(cases):
        mine, other, first = best(found, place, True), best(found, place, False), reference(found)
        if mine and mine.share:
            axes.barh(row, mine.share, height=0.62, color=OWN_COLOUR)
        for one, colour, marker in ((other, PEER_COLOUR, "o"), (first, REFERENCE_COLOUR, "|")):
            if one and one.share:
                axes.scatter(one.share, row, color=colour, marker=marker, s=26, zorder=3)
    axes.set_yticks(range(len(cases)), [m["title"] for m, _ in cases], fontsize=7)
    high = max(f.share for _, found in cases for f in found if f.share)
    axes.set(ylim=(len(cases) - 0.4, -0.6), xlim=(0, max(1.05, high * 1.05)))
    axes.axvline(1, color="0.4", linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of the roofline: the least time that the limits allow / the time taken")
    axes.xaxis.grid(visible=True, color="0.9")
    quiet(axes)
    _legend(drawing, place, bars=True)
    axes.set_title(_head(record, place), fontsize=9, loc="left", color="0.3")
    return drawing


def _roofline(record: Record, place: str) -> Any:
    """FLOP/s against FLOPs per byte of the least traffic, under the two limits of the place."""
    allowed = limits(record)[place]
    cases = [
        (m, mine, best(found, place, False))
        for m, found in _found(record, place)
        if m["flops"] and (mine := best(found, place, True))
    ]
    if not cases or not allowed.flops or not allowed.bandwidth:
        return None
    drawing = figure(9, 6)
    axes = drawing.subplots()
    knee, intensity = allowed.flops / allowed.bandwidth, [m["flops"] / m["bytes"] for m, *_ in cases]
    left, right = min(*intensity, knee) / 2, max(*intensity, knee) * 2
    axes.plot(
        [left, knee, right],
        [left * allowed.bandwidth / 1e9, allowed.flops / 1e9, allowed.flops / 1e9],
        color="0.35",
        label=_limits_from(record, place),
    )
    for x, (_, mine, other) in zip(intensity, cases, strict=True):
        if other is not None:
            axes.plot([x, x], [other.flops / 1e9, mine.flops / 1e9], color="0.8", linewidth=0.8, zorder=1)
            axes.scatter(x, other.flops / 1e9, s=22, facecolors="white", edgecolors=PEER_COLOUR, zorder=2)
        axes.scatter(x, mine.flops / 1e9, s=22, color=OWN_COLOUR, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    plain_numbers(axes)
    named = [
        (m["name"].removeprefix("activations-"), x, mine.flops / 1e9)
        for x, (m, mine, _) in zip(intensity, cases, strict=True)
    ]
    peers = [
        (x, other.flops / 1e9) for x, (_, _, other) in zip(intensity, cases, strict=True) if other is not None
    ]
    label_points(axes, named, peers)
    axes.set_xlabel("FLOP (of the definition) per byte of the least traffic")
    axes.set_ylabel("GFLOP/s")
    axes.grid(visible=True, which="major", color="0.9")
    quiet(axes)
    _legend(axes, place, bars=False)
    axes.set_title(_head(record, place), fontsize=9, loc="left", color="0.3")
    return drawing


def _legend(target: Any, place: str, bars: bool) -> None:
    """What bars and points mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mine, other = NAMES[place]
    point: dict[str, Any] = {"linestyle": "", "marker": "o"}
    if bars:
        handles: list[Any] = [
            Patch(color=OWN_COLOUR, label=f"{mine} (the fastest)"),
            Line2D([], [], color=PEER_COLOUR, label=other, **point),
        ]
        if place == "cpu":
            handles.append(
                Line2D([], [], linestyle="", marker="|", color=REFERENCE_COLOUR, label="NumPy reference")
            )
        target.legend(handles=handles, fontsize=8, loc="outside lower center", ncols=3, frameon=False)
        return
    handles = target.get_legend_handles_labels()[0] + [
        Line2D([], [], color=OWN_COLOUR, label=f"{mine} (the fastest)", **point),
        Line2D([], [], markerfacecolor="white", markeredgecolor=PEER_COLOUR, label=other, **point),
    ]
    target.legend(handles=handles, fontsize=8, loc="lower right", frameon=False)
