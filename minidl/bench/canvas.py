"""What all plots share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: x, y, half width, half height, as shares of a plot.
Box = tuple[float, float, float, float]


def figure(width: float, height: float) -> Any:
    """An empty one, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def quiet(axes: Any) -> None:
    """No frame where it says nothing."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)


def where(record: dict[str, Any]) -> str:
    """Machine, threads and date, for the head of a plot."""
    machine = record["machine"]
    quick = "  QUICK RUN: these figures mean nothing" if record["quick"] else ""
    return f"{machine['cpu']}, {machine['threads']} threads, {record['date'][:10]}{quick}"


def no_ticks() -> Any:
    """For an axis whose ticks are given one by one."""
    from matplotlib.ticker import NullLocator

    return NullLocator()


def plain_numbers(axes: Any, x: bool = True) -> None:
    """1, 10, 100 along logarithmic axes instead of powers; more where there is little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    def show(value: float, _: int) -> str:
        return f"{value:g}"

    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis is axes.xaxis and not x:
            continue
        subs = (1.0,) if limits[1] / limits[0] > 30 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(show))
        axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def label_points(
    axes: Any, named: Sequence[tuple[str, float, float]], others: Sequence[tuple[float, float]] = ()
) -> None:
    """Names beside points, where there is room: to the right, to the left, above or below.

    Args:
        axes: logarithmic ones, whose limits are set.
        named: name, x and y of each point.
        others: x and y of points without a name, which no name may cover either.
    """
    from math import log10

    (left, right), (low, high) = ([log10(v) for v in limits] for limits in (axes.get_xlim(), axes.get_ylim()))

    def place(x: float, y: float) -> tuple[float, float]:
        return (log10(x) - left) / (right - left), (log10(y) - low) / (high - low)

    # Everything that a name must not cover.
    taken: list[Box] = [(*place(x, y), 0.007, 0.012) for x, y in [*((x, y) for _, x, y in named), *others]]
    for name, x, y in named:
        width, height = 0.0042 * len(name) + 0.004, 0.013
        px, py = place(x, y)
        for dx, dy in ((0.01 + width, 0.0), (-0.01 - width, 0.0), (0.0, 0.035), (0.0, -0.035)):
            box = (px + dx, py + dy, width, height)
            if 0 < box[0] - width and box[0] + width < 1 and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                style = {"fontsize": 7, "color": "0.25", "ha": "center", "va": "center"}
                axes.text(box[0], box[1], name, transform=axes.transAxes, **style)
                break


def _overlap(one: Box, other: Box) -> bool:
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]
