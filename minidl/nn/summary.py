"""What a network is made of: output shape, parameters and FLOPs of every layer, for one input shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.autograd import no_grad, watch
from minidl.nn.module import Module


@dataclass
class LayerSummary:
    """One row: a layer that did something in the forward.

    Attributes:
        name: dotted name, empty for the network itself.
        kind: class of the layer.
        output_shape: of its (last) call.
        parameters: learned numbers that belong to this layer alone.
        flops: of its inner products, two for each term; element-wise work is not counted.
        calls: how often it ran.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    flops: int
    calls: int


@dataclass
class Summary:
    """Rows in the order of first call, and totals."""

    rows: list[LayerSummary]
    parameters: int
    flops: int

    def __str__(self) -> str:
        head = ("layer", "kind", "output shape", "parameters", "MFLOPs")
        body = [
            (
                r.name,
                r.kind,
                " x ".join(map(str, r.output_shape)),
                f"{r.parameters:,}",
                f"{r.flops / 1e6:,.2f}",
            )
            for r in self.rows
        ]
        total = ("total", "", "", f"{self.parameters:,}", f"{self.flops / 1e6:,.2f}")
        widths = [max(len(row[i]) for row in (head, *body, total)) for i in range(5)]
        align = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
        lines = [
            "  ".join(put(cell, width) for put, cell, width in zip(align, row, widths, strict=True))
            for row in (head, *body, total)
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def summary(model: Module, input_shape: Sequence[int]) -> Summary:
    """Run ``model`` once on zeros, in evaluation mode, and note what each layer does.

    Args:
        model: any module; its training mode is put back afterwards.
        input_shape: with the batch, (N, C, H, W).

    >>> from minidl import nn
    >>> print(summary(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (1, 3, 10, 10)))
    layer  kind    output shape   parameters  MFLOPs
    ------------------------------------------------
    0      Conv2d  1 x 8 x 8 x 8         224    0.03
    1      ReLU    1 x 8 x 8 x 8           0    0.00
    ------------------------------------------------
    total                                224    0.03
    """
    rows: dict[int, LayerSummary] = {}
    running: list[LayerSummary] = []
    names = {id(m): name for name, m in model.named_modules()}
    total = 0

    def enter(module: Module, inputs: Any) -> None:
        own = sum(p.numel() for p in module._parameters.values() if p is not None)
        row = rows.setdefault(
            id(module), LayerSummary(names[id(module)], type(module).__name__, (), own, 0, 0)
        )
        running.append(row)

    def leave(module: Module, inputs: Any, output: Any) -> None:
        row = running.pop()
        row.calls += 1
        if isinstance(output, Tensor):
            row.output_shape = output.shape

    def count(function: Any, arrays: Any, output: Any, options: Any) -> None:
        nonlocal total
        flops = function.flops(arrays, output, **options)
        total += flops
        if running:
            running[-1].flops += flops

    modules = list(model.modules())
    modes = [m.training for m in modules]
    removers = [m.register_forward_pre_hook(enter) for m in modules] + [
        m.register_forward_hook(leave) for m in modules
    ]
    parameters = list(model.parameters())
    dtype = parameters[0].dtype if parameters else DEFAULT_DTYPE
    try:
        with no_grad(), watch(count):
            model.eval()(Tensor(np.zeros(tuple(input_shape), dtype)))
    finally:
        for remove in removers:
            remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
    # Containers that only pass things on are left out.
    shown = [r for r in rows.values() if r.parameters or r.flops or not _has_children(model, r.name)]
    return Summary(shown, sum(p.numel() for p in parameters), total)


def _has_children(model: Module, name: str) -> bool:
    return any(True for _ in dict(model.named_modules())[name].children())
