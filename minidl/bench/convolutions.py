"""Convolutions one by one: which of them a network has, and how long each algorithm takes for one.

What ``minidl plan`` shows, and what ``benchmarks/planner.py`` and ``benchmarks/accuracy.py`` measure. The
algorithms are those of ``kernels/cpu/conv2d.py``; which of them runs is decided by ``kernels/cpu/plan.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor, tensor
from minidl.kernels.cpu import conv2d, plan
from minidl.kernels.layout import to_channels_last
from minidl.kernels.threads import get_num_threads
from minidl.nn.module import Module

Array = np.ndarray[Any, Any]

#: Seconds between the turns of two algorithms.
PAUSE = 0.001
#: Seconds that a turn takes at least: quick calls are repeated until then.
TURN = 0.002
#: Algorithms that take so many times the shortest time are out after the first turns.
FAR = 2.5


def layers(model: Module, shape: tuple[int, ...]) -> list[tuple[str, list[plan.Problem]]]:
    """The convolutions of a network, in the order in which they run, each with its three problems.

    Args:
        model: any module that takes one picture.
        shape: (N, C, H, W) of its input. Arrays are made for one image only, the batch is put in afterwards.

    Returns:
        (name, problems) of each; the name is that of its weight without ``.weight``. The first layer has no
        problem "backward_data": nothing asks for the gradient of the pictures. An up-convolution is the
        convolution whose backward it is: its own forward is that one's "backward_data".

    >>> from minidl.models import UNet
    >>> found = layers(UNet(1, 2, base=4, depth=1), (8, 1, 16, 16))
    >>> found[0][0], [p.direction for p in found[0][1]], len(found)
    ('down.0.conv1', ['forward', 'backward_weight'], 7)
    """
    from minidl.autograd import no_grad
    from minidl.autograd.function import watch

    names = {name.removesuffix(".weight"): p.shape for name, p in model.named_parameters() if p.ndim == 4}
    found: list[tuple[str, list[plan.Problem]]] = []

    def note(function: Any, arrays: tuple[Any, ...], output: Any, options: dict[str, Any]) -> None:
        operation = function.operation()
        if operation not in ("conv2d", "fused_conv2d", "conv_transpose2d"):
            return
        weight = arrays[2 if operation == "fused_conv2d" else 1]
        # A normalisation may be folded into the weight, so that it is no parameter; but their order stays.
        name = next((name for name, own in names.items() if own == weight.shape), f"{operation} {len(found)}")
        names.pop(name, None)
        transposed = operation == "conv_transpose2d"
        size = (output if transposed else arrays[0]).shape[2:]
        geometry = [options[key] for key in ("stride", "padding", "dilation", "groups")]
        # Nothing asks for the gradient of the pictures.
        unasked = None if found else "forward" if transposed else "backward_data"
        filters, channels = weight.shape[0], weight.shape[1] * options["groups"]
        kernel, itemsize = tuple(weight.shape[2:]), weight.itemsize
        common: Any = (shape[0], channels, *size, filters, kernel, *geometry, itemsize)
        found.append((name, [plan.Problem(d, *common) for d in plan.DIRECTIONS if d != unasked]))

    picture: Tensor = tensor(np.zeros((1, *shape[1:]), np.float32))
    training = model.training
    model.eval()
    try:
        with no_grad(), watch(note):
            model(picture)
    finally:
        model.train(training)
    return found


def arrays(problem: plan.Problem, seed: int = 0) -> dict[str, Array]:
    """Random x and g (channels-last) and weight for a problem, normally distributed.

    >>> problem = plan.Problem("forward", 1, 2, 5, 5, 3, (3, 3), (1, 1), (1, 1), (1, 1), 1)
    >>> {name: array.shape for name, array in arrays(problem).items()}
    {'x': (1, 2, 5, 5), 'weight': (3, 2, 3, 3), 'g': (1, 3, 5, 5)}
    """
    rng, dtype = np.random.default_rng(seed), np.dtype(f"f{problem.itemsize}")
    p = problem
    shapes = {
        "x": (p.n, p.c, p.h, p.w),
        "weight": (p.k, p.c // p.groups, *p.kernel),
        "g": (p.n, p.k, *p.out),
    }
    made = {name: rng.standard_normal(shape, np.float32).astype(dtype) for name, shape in shapes.items()}
    return {name: a if name == "weight" else to_channels_last(a) for name, a in made.items()}


def call(problem: plan.Problem, algorithm: str, given: dict[str, Array]) -> Callable[[], Array | None]:
    """The algorithm's function for this problem, to be called without arguments.

    Args:
        problem: what to compute.
        algorithm: one that can do it.
        given: as :func:`arrays` makes them.
    """
    function = getattr(conv2d.ALGORITHMS[algorithm], problem.direction)
    x, weight, g = given["x"], given["weight"], given["g"]
    args: dict[str, tuple[Any, ...]] = {
        "forward": (x, weight, None, problem.out),
        "backward_data": (g, weight, x.shape),
        "backward_weight": (g, x, weight.shape),
    }
    geometry = {
        "stride": problem.stride,
        "padding": problem.padding,
        "dilation": problem.dilation,
        "groups": problem.groups,
    }
    return lambda: function(*args[problem.direction], **geometry)


def applicable(problem: plan.Problem) -> list[str]:
    """The algorithms that can do this."""
    return [a for a in plan.ALGORITHMS if plan.refusal(problem, a) is None]


def measure(
    problem: plan.Problem, algorithms: Sequence[str], least: int = 5, budget: float = 0.0
) -> dict[str, float]:
    """Seconds of a call of each algorithm, the shortest of several.

    They take turns (A B C A B C ...), a pause before each, and the first call of a turn does not count: it
    brings memory and caches into the state of one that is called again and again. The shortest time is what
    the work takes when no other program is in its way.

    Args:
        problem: what to compute.
        algorithms: those that can do it.
        least: turns of each.
        budget: seconds in which further turns are taken. Those that have never come close get none of them.
    """
    given = arrays(problem)
    calls = {a: call(problem, a, given) for a in algorithms}
    for function in calls.values():
        function()  # compiled or loaded here
    best, turns, began = dict.fromkeys(algorithms, math.inf), 0, time.monotonic()
    while turns < least or time.monotonic() - began < budget:
        for name, function in calls.items():
            if turns >= least and best[name] > FAR * min(best.values()):
                continue
            time.sleep(PAUSE)
            function()
            best[name] = min(best[name], min(_timed(function)))
        turns += 1
    return best


def _timed(function: Callable[[], Any]) -> Iterator[float]:
    """Seconds of one call after the other, until the turn is over."""
    began = time.perf_counter()
    now = began
    while True:
        before = now
        result = function()
        now = time.perf_counter()
        yield now - before
        del result  # its buffer goes back to the pool, as in a network
        if now - began >= TURN:
            return


def expected(plan_seconds: float, threads: int | None = None) -> float:
    """Seconds by the clock for so many seconds of one core, evenly dealt out."""
    return plan_seconds / (threads or get_num_threads())
