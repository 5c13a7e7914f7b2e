"""Joining arrays along one axis on a device: nothing but copies, left to CuPy's own kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.arrays import on_device
from minidl.kernels.cuda.device import namespace


@on_device
def forward(*arrays: Any, axis: int) -> Any:
    """[x_1, ..., x_m] of arrays of one dtype that agree in every extent but that of the axis."""
    return namespace(arrays[0]).concatenate(arrays, axis=axis)


def backward(g: Any, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    """The pieces of g where the arrays lie, as views."""
    before, ends = (slice(None),) * axis, np.cumsum(sizes).tolist()
    return tuple(g[(*before, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True))
