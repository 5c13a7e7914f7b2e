"""Sums of two arrays of one shape: residual connections, and cotangents that meet."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def add(x: Array, y: Array) -> Array:
    """x + y."""
    return np.add(x, y)
