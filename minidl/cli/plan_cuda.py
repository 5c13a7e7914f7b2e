"""``minidl plan --device cuda``: which CUDA kernels each convolution of a network launches, without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from minidl.kernels.cpu.plan import Problem
    from minidl.kernels.cuda.conv2d_plan import Plan
    from minidl.models import UNet


class Row(NamedTuple):
    """One convolution in one direction."""

    layer: str
    problem: Problem
    plan: Plan


def planned(network: UNet, shape: tuple[int, ...]) -> list[Row]:
    """All convolutions of a network in all directions.

    Args:
        shape: (N, C, H, W) of its input.
    """
    from minidl.bench.convolutions import layers
    from minidl.kernels.cuda.conv2d_geometry import Geometry
    from minidl.kernels.cuda.conv2d_plan import plan

    rows = []
    for name, problems in layers(network, shape):
        for p in problems:
            weight = (p.k, p.c // p.groups, *p.kernel)
            geometry = Geometry(
                (p.n, p.c, p.h, p.w), weight, p.out, p.stride, p.padding, p.dilation, p.groups
            )
            rows.append(Row(name, p, plan(p.direction, geometry, itemsize=p.itemsize)))
    return rows


def cells(rows: list[Row], convolution: Any) -> tuple[list[list[str]], list[str]]:
    """The columns of the table, and its last one, which may be of any width.

    Args:
        convolution: says in words what a problem is.
    """
    lines, kernels, shown = [["layer", "convolution", "direction", "algorithm", "GFLOP"]], ["kernels"], None
    for row in rows:
        first = [row.layer, convolution(row.problem)] if row.layer != shown else ["", ""]
        shown = row.layer
        direction, flops = row.problem.direction.replace("_", "-"), f"{row.problem.flops / 1e9:.2f}"
        lines.append([*first, direction, row.plan.algorithm, flops])
        kernels.append(", ".join(row.plan.kernels))
    lines.append(["all", "", "", "", f"{sum(row.problem.flops for row in rows) / 1e9:.2f}"])
    return lines, [*kernels, ""]


def to_dict(row: Row) -> dict[str, Any]:
    """For ``--json``."""
    return {"layer": row.layer, "problem": row.problem._asdict(), "plan": row.plan._asdict()}
