"""Element by element, sums, optimizers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from oracles.cuda_cases.case import Case, Draw

UNARY = ("relu", "hardswish", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh")
WITH_NUMBERS = {"leaky_relu": (0.1,), "elu": (1.3,), "softplus": (2.0, 20.0)}
#: The backwards that take the output.
FROM_OUTPUT = ("relu", "sigmoid", "tanh")


def special(draw: Draw) -> Any:
    """Numbers of all sizes, zeros, infinities, NaN; an odd count."""
    x = draw(3, 7, 5) * 3
    x.reshape(-1)[:11] = [np.nan, np.inf, -np.inf, 0, -0.0, 80, -80, 3, -3, 1e-6, -1e-6]
    x.reshape(-1)[11] = 10  # where softplus, with the numbers above, is exactly at its threshold
    return x


def activations() -> Iterator[Case]:
    op = "activations"
    reference = importlib.import_module("minidl.kernels.reference.activations")
    for name in (*UNARY, *WITH_NUMBERS):
        numbers = WITH_NUMBERS.get(name, ())

        def backward(draw: Draw, name: str = name, numbers: Any = numbers) -> Any:
            x = special(draw)
            with np.errstate(all="ignore"):
                of = getattr(reference, name)(x) if name in FROM_OUTPUT else x
            return (draw(*x.shape), of, *numbers), {}

        for v in ("v1", "v2") if name == "relu" else (None,):
            yield Case(op, name, v, "", lambda d, n=numbers: ((special(d), *n), {}), 32)
            yield Case(op, f"{name}_backward", v, "", backward, 32)

    def bias(draw: Draw) -> Any:
        return (special(draw)[None, :, :, :4], draw(3)), {}

    for v in ("v1", "v2"):
        yield Case(op, "bias_relu", v, "", bias, 4, expected=lambda x, b: np.maximum(x + b[:, None, None], 0))


def arithmetic() -> Iterator[Case]:
    for v in ("v1", "v2"):
        yield Case("arithmetic", "add", v, "", lambda d: ((special(d), d(3, 7, 5)), {}), 0)


def cat() -> Iterator[Case]:
    yield Case("cat", "forward", None, "", lambda d: ((d(2, 3, 5), d(2, 1, 5), d(2, 4, 5)), {"axis": 1}), 0)
    yield Case("cat", "backward", None, "", lambda d: ((d(2, 8, 5), (3, 1, 4), 1), {}), 0)


def dropout() -> Iterator[Case]:
    from minidl.kernels.reference import dropout as reference

    key = (0x0123456789ABCDEF, 2**63 + 5)
    #: Also where the counter carries, once, twice and three times, and where it begins with a zero word.
    carries = (4 * 2**64 - 9, 4 * 2**128 - 9, 4 * 2**192 - 9, 4 * (2**64 - 1))
    for first in (0, 3, *carries, 2**130 + 1):

        def forward(draw: Draw, first: int = first) -> Any:
            return (special(draw), (3, 7, 5), 3 << 30, 4.0, key, first), {}

        yield from (Case("dropout", "forward", v, str(first), forward, 0) for v in ("v1", "v2", "v3"))

    def met(draw: Draw) -> Any:  # the threshold is one of the numbers: what is equal to it is kept
        return (special(draw), (3, 7, 5), int(reference.numbers(key, 3, 60)[-1]), 4.0, key, 3), {}

    yield from (Case("dropout", "forward", v, "met", met, 0) for v in ("v1", "v2", "v3"))

    def planes(draw: Draw) -> Any:
        return (draw(3, 5, 2, 2), (3, 5, 1, 1), 1 << 31, 2.0, key, 6), {}

    yield from (Case("dropout", "forward", v, "planes", planes, 0) for v in ("v1", "v2"))
    yield Case("dropout", "backward", None, "", lambda d: ((d(3, 5), d(3, 5)), {}), 0)


def reductions() -> Iterator[Case]:
    for axes in ((0,), (3,), (2, 3), (0, 2, 3), (1, 3), (0, 1, 2, 3)):
        for v in ("v1", "v2", "v3"):
            title = "".join(map(str, axes))
            yield Case("reductions", "sum", v, title, lambda d, a=axes: ((d(3, 19, 2, 37), a), {}), 256)
    for name, shape, axes in (
        ("row", (1, 9001), (1,)),
        ("column", (700, 3), (0,)),
        ("row of one", (7, 1), (1,)),
        ("column of one", (5, 1, 3), (1,)),
    ):
        for v in ("v1", "v2", "v3"):
            yield Case("reductions", "sum", v, name, lambda d, s=shape, a=axes: ((d(*s), a), {}), 256)


SIZES = ((3,), (4097,), (5, 7), (1,), (0,), (8192,))


def optimizers() -> Iterator[Case]:
    for name, options in {
        "plain": {"weight_decay": 0.0, "decoupled": False},
        "decay": {"weight_decay": 0.1, "decoupled": False},
        "adamw": {"weight_decay": 0.1, "decoupled": True},
    }.items():

        def adam(draw: Draw, options: Any = options) -> Any:
            rows = [
                (draw(*s), draw(*s), draw(*s), draw.positive(*s), 1 + 3 * number)
                for number, s in enumerate(SIZES)
            ]
            return (rows,), {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, **options}

        for v in ("v1", "v2", "v3"):
            yield Case("adam", "step", v, name, adam, 16, in_place=True)
    for name, options in {
        "plain": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
        "momentum": {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01, "nesterov": False},
        "nesterov": {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": True},
    }.items():

        def sgd(draw: Draw, options: Any = options) -> Any:
            with_velocity = options["momentum"] != 0
            rows = [
                (draw(*s), draw(*s), draw(*s) if with_velocity and number != 1 else None, number == 2)
                for number, s in enumerate(SIZES)
            ]
            return (rows,), {"lr": 0.1, **options}

        for v in ("v1", "v2", "v3"):
            yield Case("sgd", "step", v, name, sgd, 16, in_place=True)
