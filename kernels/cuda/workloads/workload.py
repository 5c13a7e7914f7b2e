"""What a workload is, and the arrays that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Workload(NamedTuple):
    """A call whose launches are counted.

    Attributes:
        run: the call.
        outputs: how many numbers it computes.
        flops: for each of them, of every kernel that it launches; or by kernel, where they differ.
    """

    run: Callable[[], Any]
    outputs: int
    flops: float | dict[str, float]

    def flops_of(self, kernel: str) -> float:
        """For each output; 0 for a kernel that a dictionary does not name."""
        return self.flops.get(kernel, 0) if isinstance(self.flops, dict) else self.flops


def drawn(*shapes: tuple[int, ...]) -> list[Any]:
    """Normal numbers on a simulated device, in float32."""
    rng = np.random.default_rng(0)
    return [on_device(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def ids(below: int, *shape: int) -> Any:
    """Integers 0 ... below - 1 on a simulated device."""
    return on_device(np.random.default_rng(0).integers(0, below, shape))


def on_device(array: Any) -> Any:
    """The array on a simulated device."""
    import minidl.kernels.sim.cupy as simulated

    return simulated.asarray(array)
