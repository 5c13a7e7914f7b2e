"""What a workload is: an operation, a network, an optimizer's step, and their small forms for ``--quick``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from minidl.bench.goals import Goal

#: What ``--quick`` makes of batches and extents: seconds instead of minutes, and figures that mean nothing.
QUICK_BATCH, QUICK_SHRINK, QUICK_LEAST, QUICK_ROUNDS = 2, 8, 8, 3
#: Sweeps stop early with ``--quick``.
QUICK_SWEEP = {"size": 128, "batch": 2}


@dataclass(frozen=True)
class Array:
    """An input of an operation.

    Attributes:
        shape: its shape.
        role: "image" (N, C, H, W, in the memory order that each library's convolution gives), "rows" (N, C),
            "weight", "vector", "variance" (positive) or "labels" (class ids).
        grad: whether its gradient is asked for.
    """

    shape: tuple[int, ...]
    role: str = "image"
    grad: bool = True

    def small(self) -> Array:
        """The same with few and small pictures."""
        if self.role == "image":
            n, c, *extents = self.shape
            return replace(self, shape=(min(n, QUICK_BATCH), c, *map(_shrunk, extents)))
        if self.role == "labels":
            n, *extents = self.shape
            return replace(self, shape=(min(n, QUICK_BATCH), *map(_shrunk, extents)))
        if self.role == "rows":
            return replace(self, shape=(self.shape[0] // QUICK_SHRINK, *self.shape[1:]))
        return self


def _shrunk(extent: int) -> int:
    return min(extent, max(QUICK_LEAST, extent // QUICK_SHRINK))


@dataclass(frozen=True)
class Op:
    """An operation, forward and backward.

    Attributes:
        function: its name, in minidl and in torch.
        inputs: arrays that are passed by position.
        named: arrays that are passed by name.
        options: everything else, by name.
        listed: the inputs are passed as one list.
        rereads: how many of the inputs the backward has to read again (for the least traffic).
        random: the result differs from library to library, so it cannot be compared.
    """

    function: str
    inputs: tuple[Array, ...]
    named: dict[str, Array] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    listed: bool = False
    rereads: int = 1
    random: bool = False

    def arrays(self) -> list[Array]:
        """All inputs."""
        return [*self.inputs, *self.named.values()]

    def small(self) -> Op:
        """The same on small arrays."""
        return replace(self, inputs=tuple(a.small() for a in self.inputs))


@dataclass(frozen=True)
class Network:
    """A training step (forward, cross-entropy, backward, Adam) or a prediction of a U-Net.

    Attributes:
        model: "documents" or "paper".
        batch: pictures at a time.
        size: height and width.
        train: a training step; else a forward without a tape.
    """

    model: str
    batch: int
    size: int
    train: bool

    def small(self) -> Network:
        """The same on small pictures."""
        return replace(self, batch=min(self.batch, QUICK_BATCH), size=max(32, self.size // QUICK_SHRINK))


@dataclass(frozen=True)
class Update:
    """A step of an optimizer over the parameters of the documents' U-Net (3.7 million numbers, 34 arrays)."""

    optimizer: str
    options: dict[str, Any] = field(default_factory=dict)

    def small(self) -> Update:
        """The same: it takes milliseconds."""
        return self


@dataclass(frozen=True)
class Workload:
    """One line of the tables.

    Attributes:
        name: for ``--only`` and the results.
        group: "training", "prediction", "operations", "size" or "batch"; ``--only`` takes it, too.
        title: for the tables.
        task: what is done.
        peers: names of the contestants beside minidl.
        rounds: how often each contestant's turn comes.
        goal: what the ratio should be; None for the sweeps.
    """

    name: str
    group: str
    title: str
    task: Op | Network | Update
    peers: tuple[str, ...]
    rounds: int
    goal: Goal | None = None

    def small(self) -> Workload:
        """What ``--quick`` measures."""
        task = self.task if self.group in QUICK_SWEEP else self.task.small()
        return replace(self, task=task, rounds=min(self.rounds, QUICK_ROUNDS))
