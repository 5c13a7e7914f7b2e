"""Anomaly mode: who made the first NaN?

A NaN spreads: by the time the loss shows it, every later number is one. Within :class:`detect_anomaly` the
output of each operation is looked at, and the first that holds a NaN raises, naming the operation, the module
it ran in, the line of the program and what its inputs held. Costs time: for debugging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidl import _origin, dispatch
from minidl._switch import Setting, Switch

if TYPE_CHECKING:
    from minidl.autograd.node import Node

_enabled = Setting("minidl_anomaly", default=False)


def is_enabled() -> bool:
    """Whether NaN are looked for in the current context."""
    return bool(_enabled.get())


class detect_anomaly(Switch):
    """Within this block the first operation, forward or backward, that makes a NaN raises a RuntimeError.

    The error names the operation, the module it belongs to (as in ``named_modules()``), the line that called
    it, and how many NaN and infinities its inputs held.

    Args:
        check_nan: False turns it off again within an outer block.

    >>> import minidl
    >>> x = minidl.tensor([1.0, -1.0])
    >>> with minidl.autograd.detect_anomaly():
    ...     try:
    ...         y = x.log() + 1
    ...     except RuntimeError as error:
    ...         print(str(error).partition(", called at ")[0])
    log: made 1 NaN of 2 values, from inputs without NaN (shapes (2,))
    """

    variable = _enabled

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(check_nan)


def check_forward(node: Node, arrays: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """Raise if an output holds a NaN; remember where the node was made."""
    node.origin = _origin.origin()
    bad = sum(_count(y, "isnan") for y in outputs)
    if not bad:
        return
    size = sum(y.size for y in outputs)
    raise RuntimeError(
        f"{node.function.operation()}: made {bad} NaN of {size} values, {_held(arrays)}{node.origin}"
    )


def check_backward(node: Node, cotangents: Sequence[Any], results: Sequence[Any]) -> None:
    """Raise if a backward gave a NaN."""
    bad = sum(_count(g, "isnan") for g in results)
    if not bad:
        return
    raise RuntimeError(
        f"{node.name()}: the backward made {bad} NaN, {_held(cotangents, 'cotangents')}{node.origin}"
    )


def _count(array: Any, what: str) -> int:
    array = getattr(array, "data", array) if not hasattr(array, "strides") else array
    if not hasattr(array, "strides") or array.dtype.kind != "f":
        return 0
    return int(getattr(dispatch.array_module(array), what)(array).sum())


def _held(arrays: Sequence[Any], what: str = "inputs") -> str:
    nan, inf = (sum(_count(a, name) for a in arrays) for name in ("isnan", "isinf"))
    shapes = ", ".join(str(tuple(a.shape)) for a in arrays if hasattr(a, "shape"))
    if nan:
        held = f"its {what} held {nan} NaN already: they came with the data or the parameters"
    else:
        held = f"from {what} without NaN" + (f" but with {inf} infinities" if inf else "")
    return f"{held} (shapes {shapes})"
