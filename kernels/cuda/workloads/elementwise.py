"""What is done to each number by itself, sums, and steps of optimizers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from minidl.kernels.cuda import activations, adam, arithmetic, dropout, reductions, sgd
from minidl.kernels.cuda.workloads.workload import Workload, drawn

SHAPE = (2, 4, 16, 16)

#: Operations of an activation, and of its backward, for each number; the numbers that it takes besides.
#: Counted are those of the formulas in activations.cu; the sigmoid takes four (exponential, sum, comparison,
#: quotient).
ACTIVATIONS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "relu": (1, 1, ()),
    "leaky_relu": (2, 2, (0.1,)),
    "hardswish": (5, 5, ()),
    "sigmoid": (4, 3, ()),
    "tanh": (1, 3, ()),
    "silu": (5, 9, ()),
    "elu": (3, 4, (1.0,)),
    "softplus": (7, 7, (1.0, 20.0)),
    "gelu": (4, 10, ()),
    "gelu_tanh": (9, 19, ()),
}


def pointwise() -> Iterator[Workload]:
    """Activations, additions, dropout (whose random numbers are integers: one product is left)."""
    x, g, bias = drawn(SHAPE, SHAPE, SHAPE[1:2])
    for name, (forward, backward, numbers) in ACTIVATIONS.items():
        for version in activations.VERSIONS if name == "relu" else (None,):
            named: dict[str, Any] = {} if version is None else {"version": version}
            yield Workload(partial(getattr(activations, name), x, *numbers, **named), x.size, forward)
            back = partial(getattr(activations, f"{name}_backward"), g, x, *numbers, **named)
            yield Workload(back, x.size, backward)
    for version in activations.VERSIONS:
        yield Workload(partial(activations.bias_relu, x, bias, version=version), x.size, 2)
        yield Workload(partial(arithmetic.add, x, g, version=version), x.size, 1)
    for version in dropout.VERSIONS:
        run = partial(dropout.forward, x, SHAPE, 1 << 31, 2.0, (1, 2), 0, version=version)
        yield Workload(run, x.size, {"dropout_forward_v3": 1})


def sums() -> Iterator[Workload]:
    """An addition for each number that goes in."""
    rows, columns = drawn((4, 2048), (2, 256, 64))
    for version in reductions.VERSIONS:
        yield Workload(partial(reductions.sum, rows, (1,), version=version), 4, 2048)
    yield Workload(partial(reductions.sum, columns, (1,), version="v2"), 2 * 64, 256)


def steps() -> Iterator[Workload]:
    """Adam with weight decay: 16 operations for each weight. SGD with momentum and weight decay: 7."""
    numbers: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.01}
    for version in adam.VERSIONS:
        rows = [(*drawn(*[(size,)] * 3), drawn((size,))[0] ** 2, 1) for size in (4096, 1024)]
        run = partial(
            adam.step, rows, betas=(0.9, 0.99), eps=1e-8, decoupled=False, **numbers, version=version
        )
        yield Workload(run, 5120, 16)
    for version in sgd.VERSIONS:
        moved = [(*drawn(*[(size,)] * 3), False) for size in (4096, 1024)]
        run = partial(
            sgd.step, moved, momentum=0.9, dampening=0.0, nesterov=False, **numbers, version=version
        )
        yield Workload(run, 5120, 7)
