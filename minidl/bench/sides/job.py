"""What a library makes of a workload: something that can be run once, timed, and compared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.bench.tasks import Array, Network, Op
from minidl.bench.workloads import CLASSES

#: Seconds of the parts of one run: {"step": ...} or {"forward": ..., "backward": ...}.
Parts = dict[str, float]
#: What was computed, as a few numbers for each array: see :func:`sketch`.
Digest = list[list[float]]

#: Small, so that a few steps from random weights stay tame and can be compared.
LEARNING_RATE = 1e-4


@dataclass
class Job:
    """A workload, ready to run.

    Attributes:
        run: runs once; gives the seconds of its parts.
        digest: what the runs so far computed.
    """

    run: Callable[[], Parts]
    digest: Callable[[], Digest]


def sketch(array: Any) -> list[float]:
    """Norm of an array and its product with a fixed random vector: two numbers that tell arrays apart.

    >>> a = np.arange(6.0).reshape(2, 3)
    >>> same([sketch(a)], [sketch(a * (1 + 1e-6))]), same([sketch(a)], [sketch(a[:, ::-1])])
    (True, False)
    """
    flat = np.ascontiguousarray(array, dtype=np.float32).reshape(-1)
    fixed = np.random.default_rng(0).standard_normal(flat.size, dtype=np.float32)
    return [float(np.linalg.norm(flat)), float(np.dot(flat.astype(np.float64), fixed))]


def same(ours: Digest, theirs: Digest, tolerance: float = 1e-3) -> bool:
    """Whether two digests are of equal work, up to the rounding of single precision.

    Args:
        ours: of one contestant.
        theirs: of another.
        tolerance: largest difference, relative to the larger number of each array's digest: an error in the
            scale of an array, as a less accurate variance makes it, changes both in proportion to themselves.
    """
    if len(ours) != len(theirs):
        return False
    return all(
        math.isclose(a, b, rel_tol=0, abs_tol=tolerance * max(*map(abs, row), 1e-6))
        for row, other in zip(ours, theirs, strict=True)
        for a, b in zip(row, other, strict=True)
    )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it gives."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def step_job(step: Callable[[], float]) -> Job:
    """A training step that gives its loss; the digest is the losses so far."""
    losses: list[float] = []

    def run() -> Parts:
        seconds, loss = timed(step)
        losses.append(loss)
        return {"step": seconds}

    return Job(run, lambda: [[loss] for loss in losses])


def predict_job(predict: Callable[[], Any]) -> Job:
    """A prediction that gives a NumPy array (or what can become one)."""
    latest: list[Any] = [None]

    def run() -> Parts:
        latest[0] = None  # as in a program that works through many pictures, the old result is gone
        seconds, latest[0] = timed(predict)
        return {"forward": seconds}

    return Job(run, lambda: [sketch(latest[0])])


def op_job(
    op: Op,
    forward: Callable[[], Any],
    leaves: list[Any],
    cotangent: Any,
    to_numpy: Callable[[Any], Any],
) -> Job:
    """An operation; the digest is of the output and of every gradient.

    The backward is ``output.backward(cotangent)``: then every leaf has a gradient in memory of its own.

    Args:
        op: the operation.
        forward: gives the output.
        leaves: the tensors whose gradients are wanted.
        cotangent: of the output.
        to_numpy: from the library's arrays.
    """
    latest: list[Any] = []

    def run() -> Parts:
        latest.clear()
        for leaf in leaves:
            leaf.grad = None
        there, output = timed(forward)
        back, _ = timed(lambda: output.backward(cotangent))
        latest.extend([output, *(leaf.grad for leaf in leaves)])
        return {"forward": there, "backward": back}

    return Job(run, lambda: [] if op.random else [sketch(to_numpy(a)) for a in latest])


def network_inputs(network: Network, channels: int) -> tuple[Any, Any]:
    """Pictures (N, C, H, W) in [0, 1) and labels (N, H, W), the same in every process."""
    rng = np.random.default_rng(1)
    shape = (network.batch, channels, network.size, network.size)
    images = rng.random(shape, dtype=np.float32)
    return images, rng.integers(0, CLASSES, (network.batch, network.size, network.size))


def op_input(array: Array, seed: int) -> Any:
    """The numbers of an operation's input, the same in every process."""
    rng = np.random.default_rng(seed)
    if array.role == "labels":
        return rng.integers(0, CLASSES, array.shape)
    if array.role == "variance":
        return rng.uniform(0.5, 2, array.shape).astype(np.float32)
    values = rng.standard_normal(array.shape, dtype=np.float32)
    if array.role == "weight":
        values *= np.float32(1 / math.sqrt(math.prod(array.shape[1:])))
    return values


def op_inputs(op: Op) -> tuple[list[Any], dict[str, Any]]:
    """All inputs, by position and by name."""
    values = [op_input(array, seed) for seed, array in enumerate(op.arrays())]
    count = len(op.inputs)
    return values[:count], dict(zip(op.named, values[count:], strict=True))


def cotangent(shape: tuple[int, ...]) -> Any:
    """What the backward of an operation starts from."""
    return np.random.default_rng(99).standard_normal(shape, dtype=np.float32)
