"""Joining arrays along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def forward(*arrays: Array, axis: int) -> Array:
    """[x_1, ..., x_m] of arrays of one dtype that agree in every extent but that of the axis."""
    return np.concatenate(arrays, axis=axis)


def backward(g: Array, sizes: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    """The pieces of g where the arrays lie, as views."""
    return tuple(np.split(g, np.cumsum(sizes)[:-1], axis=axis))
