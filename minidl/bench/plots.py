"""The record as pictures: ratios, roofline, time against size and batch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

from minidl._atomic import atomic_write
from minidl.bench.analysis import figures
from minidl.bench.canvas import figure, no_ticks, plain_numbers, quiet, where
from minidl.bench.contestants import CONTESTANTS, MINIDL
from minidl.bench.goals import FLOOR, GOAL, MISSED, STRETCH, Goal
from minidl.bench.roofline import roofline
from minidl.bench.workloads import find

Record = dict[str, Any]

COLOURS = {STRETCH: "#1a7f4b", GOAL: "#62b58a", FLOOR: "#e3b341", MISSED: "#c8553d"}
LINES = {
    MINIDL: ("#14365f", "o"),
    "torch-channels-last": ("#ee7733", "s"),
    "torch-compile": ("#cc3311", "D"),
    "tensorflow": ("#9467bd", "^"),
    "onnxruntime": ("#009988", "v"),
}
DPI = 110


def write_plots(record: Record, folder: Path) -> list[Path]:
    """Write every plot for which the record has figures.

    Args:
        record: what ``results.json`` holds.
        folder: gets ``ratios.png``, ``roofline.png`` and ``scaling.png``.

    Returns:
        The files that were written.
    """
    written = []
    for name, draw in (("ratios", _ratios), ("roofline", roofline), ("scaling", _scaling)):
        drawing = draw(record)
        if drawing is not None:
            buffer = io.BytesIO()
            drawing.savefig(buffer, format="png", dpi=DPI)
            path = folder / f"{name}.png"
            atomic_write(path, buffer.getvalue())
            written.append(path)
    return written


class _Bar(NamedTuple):
    """A ratio with its quartiles, verdict and goal."""

    title: str
    ratio: float
    spread: tuple[float, float]
    verdict: str
    goal: Goal


def _bars(record: Record) -> list[_Bar]:
    bars = []
    for measured in record["workloads"]:
        found, goal = figures(measured, record["quick"]), find(measured["name"], record["quick"]).goal
        if found.ratio is not None and found.spread is not None and goal is not None:
            bars.append(_Bar(measured["title"], found.ratio, found.spread, found.verdict, goal))
    return bars


def _ratios(record: Record) -> Any:
    """Horizontal bars: time of the fastest peer over minidl's, with the goal of each workload as a tick."""
    bars = _bars(record)
    if not bars:
        return None
    drawing = figure(9.5, 1.3 + 0.26 * len(bars))
    axes = drawing.subplots()
    for place, bar in enumerate(bars):
        _draw_bar(axes, place, bar)
    axes.set_yticks(range(len(bars)), [bar.title for bar in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, max(max(bar.ratio, bar.goal.goal) for bar in bars) * 1.12)
    axes.set_xlabel("time of the fastest peer / time of minidl (to the right: minidl is faster)")
    axes.xaxis.grid(visible=True, color="0.9")
    axes.axvline(1, color="0.4", linewidth=0.8)
    quiet(axes)
    _verdict_legend(drawing, {bar.verdict for bar in bars})
    axes.set_title(where(record), fontsize=9, loc="left", color="0.3")
    return drawing


def _draw_bar(axes: Any, place: int, bar: _Bar) -> None:
    low, high = bar.spread
    axes.barh(place, bar.ratio, height=0.68, color=COLOURS[bar.verdict])
    # The median of the ratios need not be the ratio of the medians: a quartile may lie on its other side.
    reach = [[max(0.0, bar.ratio - low)], [max(0.0, high - bar.ratio)]]
    axes.errorbar(bar.ratio, place, xerr=reach, color="black", linewidth=0.9, capsize=2)
    axes.vlines(bar.goal.goal, place - 0.42, place + 0.42, color="black", linewidth=2)
    axes.vlines(bar.goal.floor, place - 0.42, place + 0.42, color="black", linewidth=1, linestyle=":")
    axes.annotate(
        f"{bar.ratio:.2f}",
        (max(bar.ratio, high), place),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )


def _verdict_legend(drawing: Any, present: set[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=c, label=word) for word, c in COLOURS.items() if word in present]
    handles += [
        Line2D([], [], color="black", linewidth=2, label="goal"),
        Line2D([], [], color="black", linewidth=1, linestyle=":", label="floor"),
    ]
    drawing.legend(handles=handles, fontsize=8, loc="outside lower center", ncols=len(handles), frameon=False)


def _scaling(record: Record) -> Any:
    """Time against pixels and against the batch, on logarithmic axes, beside a line of proportional time."""
    panels = []
    for group, axis, label in (
        ("size", "size", "height and width of the picture"),
        ("batch", "batch", "pictures in the batch"),
    ):
        curves: dict[str, list[tuple[int, float]]] = {}
        for measured in record["workloads"]:
            if measured["group"] == group:
                extent = getattr(find(measured["name"]).task, axis)
                for name, seconds in figures(measured, record["quick"]).seconds.items():
                    curves.setdefault(name, []).append((extent, seconds))
        if curves:
            panels.append((group, label, curves))
    if not panels:
        return None
    drawing = figure(5.2 * len(panels), 4.4)
    for axes, (group, label, curves) in zip(
        drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        _curves(axes, curves, 2 if group == "size" else 1)
        axes.set_xlabel(label)
        axes.set_title("one prediction" if group == "size" else "one training step, 64x64", fontsize=10)
    drawing.suptitle(where(record), fontsize=9, color="0.3")
    return drawing


def _curves(axes: Any, curves: dict[str, list[tuple[int, float]]], slope: int) -> None:
    for name, points in curves.items():
        colour, marker = LINES.get(name, ("0.5", "x"))
        xs, ys = zip(*points, strict=True)
        title = CONTESTANTS[name].title
        axes.plot(xs, [y * 1e3 for y in ys], color=colour, marker=marker, markersize=5, label=title)
    ours = curves.get(MINIDL)
    if ours:
        # Through minidl's largest point: how it would be if time were proportional to the pixels.
        x1, y1 = ours[-1]
        extents = [x for x, _ in ours]
        axes.plot(
            extents,
            [y1 * 1e3 * (x / x1) ** slope for x in extents],
            color="0.6",
            linestyle=":",
            label="proportional to the pixels",
        )
    axes.set(xscale="log", yscale="log")
    axes.set_xticks([x for x, _ in next(iter(curves.values()))])
    axes.set_xticklabels([str(x) for x, _ in next(iter(curves.values()))])
    plain_numbers(axes, x=False)
    axes.xaxis.set_minor_locator(no_ticks())
    axes.set_ylabel("ms")
    axes.grid(visible=True, which="major", color="0.9")
    quiet(axes)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend
