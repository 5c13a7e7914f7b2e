"""Number by number: activations, sums of two arrays, dropout, and concatenation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.bench.kernels.case import REFERENCE, Call, Case, Draw, Version, only, versions

#: Channels and extent of what the first block of the documents' U-Net gives, its largest array.
WIDE = (32, 128)
#: No formula here rounds more often on its way to a number.
ROUNDINGS = 16

#: Numbers that a function takes behind its arrays.
NUMBERS: dict[str, tuple[float, ...]] = {"leaky_relu": (0.01,), "elu": (1.0,), "softplus": (1.0, 20.0)}
ACTIVATIONS = (
    "relu",
    "leaky_relu",
    "hardswish",
    "sigmoid",
    "tanh",
    "silu",
    "elu",
    "softplus",
    "gelu",
    "gelu_tanh",
)
#: The backwards that take the forward's result.
FROM_OUTPUT = ("relu", "sigmoid", "tanh")

Make = Callable[[Draw], Call]


def _forward(name: str) -> Make:
    return lambda draw: Call((draw.image(*WIDE), *NUMBERS.get(name, ())))


def _backward(name: str) -> Make:
    def make(draw: Draw) -> Call:
        x = draw.image(*WIDE)
        if name in FROM_OUTPUT:
            x = getattr(importlib.import_module(f"{REFERENCE}.activations"), name)(x)
        return Call((draw.image(*WIDE), x, *NUMBERS.get(name, ())))

    return make


def _raw_mask(g: Any, y: Any) -> Any:
    from minidl.kernels.cuda.relu_mask import relu_mask

    return relu_mask(g, y)


def activations() -> Iterator[Case]:
    """All of them, forward and backward."""
    op = "activations"
    for name in ACTIVATIONS:
        stem = f"activations_{name}"
        there, back = only(f"{stem}_v1"), only(f"{stem}_backward_v1")
        if name == "relu":
            there = versions(stem, "v1", "v2")
            raw = Version("raw", (), _raw_mask, {})  # launched without the checked launcher
            back = (*versions(f"{stem}_backward", "v1", "v2"), raw)
        yield Case(op, name, _forward(name), there, terms=ROUNDINGS)
        yield Case(op, f"{name}_backward", _backward(name), back, terms=ROUNDINGS)

    def bias(draw: Draw) -> Call:
        return Call((draw.image(*WIDE), draw.normal(WIDE[0])))

    def sum_and_relu(x: Any, bias: Any) -> Any:
        return np.maximum(x + bias[:, None, None], 0)

    fused = versions("activations_bias_relu", "v1", "v2")
    own, title = {"numpy": sum_and_relu}, "bias and ReLU in one pass"
    yield Case(op, "bias_relu", bias, fused, title=title, expected=sum_and_relu, host=own, terms=ROUNDINGS)


def arithmetic() -> Iterator[Case]:
    """Sums of two arrays of one shape, and of rows and a bias."""

    def pair(draw: Draw) -> Call:
        return Call((draw.image(*WIDE), draw.image(*WIDE)))

    def rows(draw: Draw) -> Call:
        return Call((draw.normal(draw.rows(4096), 256), draw.normal(256)))

    two = versions("arithmetic_add", "v1", "v2")
    yield Case("arithmetic", "add", pair, two, title="sum of two arrays", terms=1)
    title = "bias of a linear layer, 4096 rows of 256"
    yield Case("arithmetic", "add_to_rows", rows, only(), title=title, in_place=True, terms=1)


def dropout() -> Iterator[Case]:
    """With a mask of the input's shape."""

    def forward(draw: Draw) -> Call:
        x = draw.image(*WIDE)
        return Call((x, x.shape, 1 << 31, 2.0, (0x0123456789ABCDEF, 42), 0))

    def backward(draw: Draw) -> Call:
        g = draw.image(*WIDE)
        return Call((g, 2 * draw.ids(2, *g.shape).astype(np.float32)))

    masks = (*versions("dropout_mask", "v1", "v2"), *versions("dropout_forward", "v3"))
    yield Case("dropout", "forward", forward, masks, title="dropout, mask included", terms=1)
    yield Case("dropout", "backward", backward, only(), title="dropout, backward", terms=1)


def cat() -> Iterator[Case]:
    """Of the skip connection's channels and those from below."""

    def forward(draw: Draw) -> Call:
        return Call((draw.image(32, 128), draw.image(64, 128)), {"axis": 1})

    def backward(draw: Draw) -> Call:
        return Call((draw.image(96, 128), (32, 64), 1))

    yield Case("cat", "forward", forward, only(), title="concatenation, 32 and 64 channels", terms=0)
    yield Case("cat", "backward", backward, only(), title="concatenation, backward", terms=0)
