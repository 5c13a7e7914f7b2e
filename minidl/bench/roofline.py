"""The roofline: how near to the machine's two limits each workload comes."""

from __future__ import annotations

from typing import Any

from minidl.bench.analysis import best_rates, figures
from minidl.bench.canvas import figure, label_points, plain_numbers, quiet, where
from minidl.bench.contestants import MINIDL
from minidl.bench.costs import cost
from minidl.bench.tasks import Network
from minidl.bench.workloads import find

Record = dict[str, Any]


def roofline(record: Record) -> Any:
    """FLOP/s against FLOPs per byte of the least traffic, under the machine's own two limits."""
    rates, points = best_rates(record), []
    for measured in record["workloads"]:
        least, seconds = cost(find(measured["name"], record["quick"])), None
        found = figures(measured, record["quick"])
        seconds = found.seconds.get(MINIDL)
        if least.flops and seconds and measured["group"] in ("training", "prediction", "operations"):
            peer = least.flops / found.seconds[found.best] if found.best else None
            points.append((measured, least.flops / least.bytes, least.flops / seconds, peer))
    if not points or not rates.get("sgemm"):
        return None
    drawing = figure(9, 5.4)
    axes = drawing.subplots()
    left = min(min(x for _, x, *_ in points) / 2, rates["sgemm"] / rates["copy"] / 2)
    right = max(x for _, x, *_ in points) * 2
    knee = rates["sgemm"] / rates["copy"]
    axes.plot(
        [left, knee, right],
        [left * rates["copy"] / 1e9, rates["sgemm"] / 1e9, rates["sgemm"] / 1e9],
        color="0.35",
        label="limit of direct convolution: SGEMM and copy rate",
    )
    for measured, x, y, peer in points:
        network = isinstance(find(measured["name"]).task, Network)
        marker, size = ("*", 130) if network else ("o", 30)
        if peer is not None:
            axes.plot([x, x], [peer / 1e9, y / 1e9], color="0.75", linewidth=1, zorder=1)
            axes.scatter(x, peer / 1e9, marker=marker, s=size, facecolors="white", edgecolors="#ee7733")
        axes.scatter(x, y / 1e9, marker=marker, s=size, color="#14365f", zorder=3)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    plain_numbers(axes)
    named = [(measured["name"].removeprefix("conv-"), x, y / 1e9) for measured, x, y, _ in points]
    label_points(axes, named, [(x, peer / 1e9) for _, x, _, peer in points if peer is not None])
    axes.set_xlabel("FLOP (direct convolution) per byte of the least traffic")
    axes.set_ylabel("GFLOP/s")
    axes.grid(visible=True, which="major", color="0.9")
    quiet(axes)
    _roof_legend(axes)
    axes.set_title(where(record), fontsize=9, loc="left", color="0.3")
    return drawing


def _roof_legend(axes: Any) -> None:
    from matplotlib.lines import Line2D

    def mark(marker: str, label: str, **colours: Any) -> Any:
        return Line2D([], [], linestyle="", marker=marker, label=label, **colours)

    handles = axes.get_legend_handles_labels()[0] + [
        mark("o", "minidl, an operation (forward and backward)", color="#14365f"),
        mark("*", "minidl, a network", color="#14365f"),
        mark("o", "the fastest peer", markerfacecolor="white", markeredgecolor="#ee7733"),
    ]
    axes.legend(handles=handles, fontsize=8, loc="lower right", frameon=False)
