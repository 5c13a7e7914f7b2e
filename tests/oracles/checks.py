"""The factory of op tests: `check_op(fn, oracle, *arrays)` proves one operation at one point.

The checks themselves are the library's own, `minidl.testing`, so that a user's operation gets the same ones.
Here they are only counted for the table of docs/proof.md (`oracles/proof.py`), if that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl import testing
from minidl.testing import (
    Report,
    central_difference,
    check_directions,
    check_float32,
    check_memory_orders,
    cotangent_for,
    leaf,
    size_of,
    tolerance,
    values,
)
from oracles import placed, proof

__all__ = [
    "central_difference",
    "check_adjoint",
    "check_directions",
    "check_float32",
    "check_memory_orders",
    "check_op",
    "cotangent_for",
    "leaf",
    "run",
    "size_of",
    "tolerance",
    "values",
]

Array = NDArray[np.float64]
TensorFunction = Callable[..., Any]
ArrayFunction = Callable[..., Any]


def run(
    fn: TensorFunction, arrays: tuple[Array, ...], g: Array | None
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """`minidl.testing.run`: forward and backward, (y, gradients); counted where an extent is zero or one."""
    watched, called = proof.watch(fn)
    result = testing.run(watched, arrays, g)
    proof.record(called, Report(), arrays)
    return result


def check_op(fn: TensorFunction, oracle: ArrayFunction, *arrays: Array, **options: Any) -> Report:
    """`minidl.testing.check_op`, counted. `terms`: the length of the longest sum; `seed`: of cotangents;
    `orders=False`, `gradcheck=False` and the like leave a check out.

    Extremes are left out unless asked for: the tests draw empty and one-pixel inputs themselves, and their
    oracles may know the drawn shape. Second derivatives are checked at four elements of each input, others in
    each example: all of them would take most of the tests' time.
    """
    # On a device there is one backend only.
    options = {"extremes": False, "max_elements": 4, "backends": placed.nowhere()} | options
    watched, called = proof.watch(fn)
    report = testing.check_op(watched, oracle, *arrays, **options)
    proof.record(called, report, arrays)
    return report


def check_adjoint(fn: TensorFunction, x: Array, *, terms: int, seed: int = 0) -> Report:
    """`minidl.testing.check_adjoint`, counted: for linear `fn`, <A x, g> = <x, A^T g> and linearity."""
    watched, called = proof.watch(fn)
    report = testing.check_adjoint(watched, x, terms=terms, seed=seed)
    proof.record(called, report, (x,))
    return report
