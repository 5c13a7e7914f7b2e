"""Where the time of one training step goes: every operation, forward and backward, beside its own bound.

Two seams are timed: :meth:`minidl.autograd.Function.apply`, through which every forward goes, and
:meth:`minidl.autograd.node.Node.run_backward`, through which every backward goes. What one operation calls is
its own time; an operation inside another one (recomputation) is subtracted there. What is left of the step is
the tape, the optimizer, and Python between the operations.

The bound of an operation is the larger of two times: its multiplications at the machine's SGEMM rate, and its
arrays at the copy rate. A 3x3 convolution with stride 1 is counted with the multiplications of Winograd's
F(4x4, 3x3), a quarter of the direct ones.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

WORKLOAD = "train-documents"
#: Steps that are timed; the medians count.
STEPS = 3
#: Products of F(4x4, 3x3) for each product of the direct convolution: 36 for 16 outputs, instead of 144.
WINOGRAD = 36 / 144


@dataclass
class Part:
    """All calls of one operation in one direction, in one step.

    Attributes:
        name: of the operation.
        direction: "forward", "backward", or "" for the optimizer and the rest.
        calls: how often it ran.
        seconds: in all, without what other operations took inside.
        flops: by direct convolution.
        products: what its fastest algorithm has to do: the same, or a quarter (Winograd).
        bytes: of its inputs, outputs and gradients, each once.
    """

    name: str
    direction: str
    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    products: float = 0.0
    bytes: float = 0.0

    def add(self, flops: float, products: float, size: float) -> None:
        """What one more call had to do."""
        self.flops += flops
        self.products += products
        self.bytes += size

    def bound(self, rates: dict[str, float]) -> float:
        """Seconds that it cannot be faster than, at these rates ("sgemm" in FLOP/s, "copy" in bytes/s)."""
        return max(self.products / rates["sgemm"], self.bytes / rates["copy"])


@dataclass
class Profile:
    """The parts of one step.

    Attributes:
        title: of the workload.
        seconds: of the whole step.
        rates: the machine's.
        parts: by time, the longest first.
    """

    title: str
    seconds: float
    rates: dict[str, float]
    parts: list[Part] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """A Markdown table."""
        from minidl.bench.tables import NONE, milliseconds, table

        rows = []
        for part in self.parts:
            bound = part.bound(self.rates)
            row = [f"{part.name} {part.direction}".strip(), f"{part.seconds / self.seconds:.1%}"]
            row += [
                str(part.calls),
                milliseconds(part.seconds),
                f"{part.flops / 1e9:.1f}",
                f"{part.bytes / 1e6:,.0f}",
            ]
            row += [milliseconds(bound), f"{part.seconds / bound:.1f}"] if bound else [NONE, NONE]
            rows.append(row)
        least = sum(part.bound(self.rates) for part in self.parts)
        rows.append(
            [
                "all",
                "100%",
                "",
                milliseconds(self.seconds),
                "",
                "",
                milliseconds(least),
                f"{self.seconds / least:.1f}",
            ]
        )
        head = ["", "share", "calls", "ms", "GFLOP", "MB", "bound, ms", "times its bound"]
        rates = f"SGEMM {self.rates['sgemm'] / 1e9:.0f} GFLOP/s, copying {self.rates['copy'] / 1e9:.1f} GB/s"
        return f"## {self.title}\n\nBounds at this machine's rates: {rates}.\n\n{table(head, rows)}\n"


class Stopwatch:
    """Times nested calls: each keeps what was spent in it and in no other."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], Part] = {}
        self._inside: list[float] = []

    def part(self, name: str, direction: str) -> Part:
        """The row of an operation."""
        return self.parts.setdefault((name, direction), Part(name, direction))

    def call(self, name: str, direction: str, work: Callable[[], Any]) -> tuple[Any, Part]:
        """Run ``work`` as a call of an operation."""
        self._inside.append(0.0)
        began = time.perf_counter()
        try:
            result = work()
        finally:
            spent = time.perf_counter() - began
            inner = self._inside.pop()
            if self._inside:
                self._inside[-1] += spent
        part = self.part(name, direction)
        part.calls += 1
        part.seconds += spent - inner
        return result, part


def _arrays(values: Any) -> list[Any]:
    """The arrays among inputs or outputs, tensors as their arrays."""
    values = values if isinstance(values, tuple | list) else (values,)
    data = [getattr(v, "data", v) if not isinstance(v, np.ndarray) else v for v in values]
    return [v for v in data if isinstance(v, np.ndarray) and v.ndim]


def _bytes(values: Any) -> int:
    return sum(array.nbytes for array in _arrays(values))


def label(operation: str, arrays: list[Any]) -> str:
    """The name of a row: convolutions are told apart by their channels and the size of their picture.

    Args:
        operation: its name.
        arrays: its inputs; the filter is the last one with four axes.

    >>> label("conv2d", [np.zeros((1, 8, 9, 9)), np.zeros((4, 8, 3, 3)), np.zeros(4)]), label("relu", [])
    ('conv2d 8 → 4 at 9x9', 'relu')
    """
    pictures = [a for a in arrays if a.ndim == 4]
    if "conv" not in operation or len(pictures) < 2:
        return operation
    ends, (height, width) = pictures[-1].shape[:2], pictures[0].shape[2:]
    into, out = ends if "transpose" in operation else ends[::-1]
    return f"{operation} {into} → {out} at {height}x{width}"


def winograd_fits(operation: str, arrays: list[Any], options: dict[str, Any]) -> bool:
    """Whether an operation is a 3x3 convolution that Winograd's F(4x4, 3x3) can compute.

    Args:
        operation: its name.
        arrays: its inputs.
        options: stride, dilation, groups.

    >>> winograd_fits("conv2d", [np.zeros((1, 8, 9, 9)), np.zeros((4, 8, 3, 3))], {"stride": (1, 1)})
    True
    """
    plain = all(np.all(np.array(options.get(name, 1)) == 1) for name in ("stride", "dilation", "groups"))
    return operation.endswith("conv2d") and plain and any(a.shape[2:] == (3, 3) for a in arrays)


@contextlib.contextmanager
def watching(watch: Stopwatch) -> Iterator[None]:
    """Time every operation in this block.

    Args:
        watch: collects.
    """
    from minidl.autograd.function import Function
    from minidl.autograd.node import Node

    plain_apply, plain_backward = Function.__dict__["apply"], Node.run_backward
    costs: dict[int, tuple[str, float, float, int]] = {}

    def apply(cls: type[Function], *inputs: Any, **options: Any) -> Any:
        name = label(cls.operation(), _arrays(inputs))
        forward: Any = plain_apply.__func__
        result, part = watch.call(name, "forward", lambda: forward(cls, *inputs, **options))
        outputs = result if isinstance(result, tuple) else (result,)
        flops, products, size = _forward_cost(cls, inputs, outputs, options)
        part.add(flops, products, size)
        node = outputs[0]._node
        if node is not None:
            costs[id(node)] = (name, flops, products, size)
        return result

    def run_backward(node: Node, cotangents: list[Any], create_graph: bool) -> tuple[Any, ...]:
        nothing = (node.function.operation(), 0.0, 0.0, 0)
        name, flops, products, size = costs.pop(id(node), nothing)
        result, part = watch.call(name, "backward", lambda: plain_backward(node, cotangents, create_graph))
        # Of the two products of the forward's size, the first layer needs one.
        wanted = 1 + bool(node.needs_input_grad[0])
        moved = _bytes(cotangents) + _bytes(result)
        moved += size - _bytes(cotangents) if flops else 0  # the inputs again
        part.add(wanted * flops, wanted * products, moved)
        return result

    Function.apply = classmethod(apply)  # type: ignore[method-assign,assignment]
    Node.run_backward = run_backward  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Function.apply = plain_apply  # type: ignore[method-assign]
        Node.run_backward = plain_backward  # type: ignore[method-assign]


def _forward_cost(cls: Any, inputs: Any, outputs: Any, options: dict[str, Any]) -> tuple[float, float, int]:
    arrays, first = _arrays(inputs), outputs[0].data
    raw = tuple(getattr(x, "data", x) for x in inputs)
    flops = cls.flops(raw, first, **options)
    products = flops * (WINOGRAD if winograd_fits(cls.operation(), arrays, options) else 1)
    view = cls.is_view and np.may_share_memory(first, arrays[0])
    return flops, products, 0 if view else _bytes(arrays) + _bytes(list(outputs))


def profile(name: str = WORKLOAD, threads: int = 1, quick: bool = False) -> Profile:
    """Time one training step of minidl, part by part, in this process.

    Args:
        name: a workload of the group "training".
        threads: for ``minidl.set_num_threads``.
        quick: its small form.
    """
    from minidl.bench.sides.gauge import Side as Gauge
    from minidl.bench.sides.minidl_side import Side
    from minidl.bench.workloads import find

    workload = find(name, quick)
    gauge = Gauge("", threads).prepare(workload)
    gauge.run()
    ready = Side("fused", threads).prepare(workload)
    for _ in range(2):
        ready.run()
    steps, measured = [], []
    for _ in range(STEPS):  # in turns: the machine's rates are those of the same minute
        measured.append(gauge.run())
        steps.append(_one_step(ready))
    rates = {rate: max(row[rate] for row in measured) for rate in measured[0]}
    parts = []
    for key, first in steps[0][1].items():
        rows = [step[1][key] for step in steps if key in step[1]]
        first.seconds = statistics.median(row.seconds for row in rows)
        parts.append(first)
    seconds = statistics.median(step[0] for step in steps)
    rest = max(0.0, seconds - sum(part.seconds for part in parts))
    parts.append(Part("tape, and Python between", "", 1, rest))
    parts.sort(key=lambda part: -part.seconds)
    return Profile(workload.title, seconds, rates, parts)


def _one_step(ready: Any) -> tuple[float, dict[tuple[str, str], Part]]:
    """Seconds of a step, and its parts."""
    from minidl.optim.optimizer import Optimizer

    watch, plain = Stopwatch(), Optimizer.step

    def step(optimizer: Any) -> None:
        _, part = watch.call(f"{type(optimizer).__name__} step", "", lambda: plain(optimizer))
        for group in optimizer.param_groups:
            part.bytes += 7 * sum(p.data.nbytes for p in group["params"])

    Optimizer.step = step  # type: ignore[method-assign,assignment]
    try:
        with watching(watch):
            (seconds,) = ready.run().values()
    finally:
        Optimizer.step = plain  # type: ignore[method-assign]
    return seconds, watch.parts
