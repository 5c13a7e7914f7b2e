"""What all plots share."""

from __future__ import annotations

from typing import Any


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
