"""The proof of trajectories: twenty steps of the documents' U-Net in float64, and what is kept of them.

One recipe, which `tests/models/test_trajectory.py` runs beside a stored record that torch made, and
`tests/parity/test_torch_trajectory.py` beside torch itself. All numbers of the recipe come from the raw bits
of a counter-based generator, whose values NumPy guarantees for good, so the record stays valid whatever
becomes of minidl's initialisation or NumPy's distributions.

Kept of every gradient g and weight, at every step: its norm and two projections s·g on random signs s. For a
deviation d of any kind the mean square of s·d over the signs is ‖d‖², so that a projection tells what a norm
cannot (a transposed kernel has the same norm), and tells it in the unit in which the norm is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import minidl

Array = np.ndarray[Any, Any]

STEPS = 20
IGNORE = 255
#: Relative deviation in norm that is allowed. Rounding alone gives 1e-15 to 1e-13 (docs/proof/trajectory.json
#: has the figures); a wrong term anywhere is many orders above.
TOLERANCE = 1e-12
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "trajectory.npz"

#: Rates at which each loss falls below half of the first within 20 steps.
OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda optim, parameters: optim.SGD(parameters, lr=0.02, momentum=0.9),
    "adam": lambda optim, parameters: optim.Adam(parameters, lr=2e-4),
}


@dataclass
class Step:
    """One step: the loss, then gradients and the weights that they led to, in the order of parameters().

    The arrays are the network's own: they hold until the next step.
    """

    loss: float
    gradients: list[Array]
    weights: list[Array]


def uniform(stream: int, shape: tuple[int, ...]) -> Array:
    """Numbers evenly from [0, 1): the upper 53 of 64 random bits each."""
    bits = np.random.Philox(key=stream).random_raw(math.prod(shape))
    return ((bits >> np.uint64(11)) * 2.0**-53).reshape(shape)


def pictures() -> tuple[Array, Array]:
    """Two pictures (2, 3, 32, 16) of a bright disc in noise and their masks, four rows without a label."""
    rows, columns = np.mgrid[:32, :16]
    inside = [(rows - y) ** 2 + (columns - x) ** 2 < 25 for y, x in ((9, 6), (22, 10))]
    target = np.stack(inside).astype(np.int64)
    x = 0.5 * uniform(1, (2, 3, 32, 16)) + 0.5 * target[:, None]
    target[0, :4] = IGNORE
    return x, target


def initial_weights(shapes: list[tuple[int, ...]]) -> list[Array]:
    """He's rule for weights (Var w = 2 / fan_in); biases small, but not 0, which would hide one left out."""
    result = []
    for number, shape in enumerate(shapes):
        bound = math.sqrt(6 / math.prod(shape[1:])) if len(shape) > 1 else 0.05
        result.append(bound * (2 * uniform(100 + number, shape) - 1))
    return result


def minidl_steps(kind: str) -> Iterator[Step]:
    """minidl's trajectory."""
    model = minidl.models.unet_documents(2).double()
    parameters = list(model.parameters())
    for parameter, start in zip(parameters, initial_weights([p.shape for p in parameters]), strict=True):
        parameter.data[...] = start
    optimizer = OPTIMIZERS[kind](minidl.optim, parameters)
    x, target = pictures()
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(minidl.tensor(x))
        loss = minidl.ops.cross_entropy(logits, minidl.tensor(target), ignore_index=IGNORE)
        loss.backward()
        optimizer.step()
        gradients = [p.grad.data for p in parameters if p.grad is not None]
        yield Step(loss.item(), gradients, [p.data for p in parameters])


@cache
def _signs(stream: int, size: int) -> Array:
    raw = np.random.Philox(key=stream).random_raw(-(-size // 64)).astype("<u8").view(np.uint8)
    return np.unpackbits(raw, count=size).astype(bool)


def measures(array: Array, number: int) -> tuple[float, float, float]:
    """Norm and the two projections of the ``number``-th parameter's gradient or weight."""
    flat = np.asarray(array, order="C").reshape(-1)
    first, second = (
        float(np.where(_signs(1000 + 2 * number + i, flat.size), flat, -flat).sum()) for i in (0, 1)
    )
    return float(np.sqrt(np.square(flat).sum())), first, second


def record(steps: Iterator[Step]) -> dict[str, Array]:
    """What is kept: ``losses`` (STEPS,), ``gradients`` and ``weights`` (STEPS, parameters, 3)."""
    losses, gradients, weights = [], [], []
    for step in steps:
        losses.append(step.loss)
        gradients.append([measures(g, i) for i, g in enumerate(step.gradients)])
        weights.append([measures(w, i) for i, w in enumerate(step.weights)])
    return {"losses": np.array(losses), "gradients": np.array(gradients), "weights": np.array(weights)}


def deviations(actual: dict[str, Array], expected: dict[str, Array]) -> dict[str, float]:
    """The greatest relative deviations: of a loss, and of a norm or projection in units of the norm."""
    worst = {"losses": float(np.max(np.abs(actual["losses"] / expected["losses"] - 1)))}
    for name in ("gradients", "weights"):
        a, b = actual[name], expected[name]
        assert a.shape == b.shape, (name, a.shape, b.shape)
        worst[name] = float(np.max(np.abs(a - b) / b[..., :1]))
    return worst
