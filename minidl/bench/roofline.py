"""The roofline: how near to the machine's two limits each workload comes."""

from __future__ import annotations

from typing import Any

from minidl.bench.analysis import best_rates, figures
from minidl.bench.canvas import figure, plain_numbers, quiet, where
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
    _roof_labels(axes, points)
    axes.set_xlabel("FLOP (direct convolution) per byte of the least traffic")
    axes.set_ylabel("GFLOP/s")
    axes.grid(visible=True, which="major", color="0.9")
    quiet(axes)
    _roof_legend(axes)
    axes.set_title(where(record), fontsize=9, loc="left", color="0.3")
    return drawing


def _roof_labels(axes: Any, points: list[Any]) -> None:
    """Names beside the points, where there is room: to the right, to the left, above or below."""
    from math import log10

    (left, right), (low, high) = ([log10(v) for v in limits] for limits in (axes.get_xlim(), axes.get_ylim()))

    def place(x: float, y: float) -> tuple[float, float]:
        return (log10(x) - left) / (right - left), (log10(y / 1e9) - low) / (high - low)

    # (x, y, half width, half height) of everything that a name must not cover, as shares of the plot.
    taken = [(*place(x, y), 0.007, 0.012) for _, x, y, _ in points]
    taken += [(*place(x, peer), 0.007, 0.012) for _, x, _, peer in points if peer is not None]
    for measured, x, y, _ in points:
        name = measured["name"].removeprefix("conv-")
        width, height = 0.0042 * len(name) + 0.004, 0.013
        px, py = place(x, y)
        for dx, dy in ((0.01 + width, 0.0), (-0.01 - width, 0.0), (0.0, 0.035), (0.0, -0.035)):
            box = (px + dx, py + dy, width, height)
            if 0 < box[0] - width and box[0] + width < 1 and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                style = {"fontsize": 7, "color": "0.25", "ha": "center", "va": "center"}
                axes.text(box[0], box[1], name, transform=axes.transAxes, **style)
                break


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]


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
