"""Python numbers beside tensors: which of them the elements of a dtype hold.

A number that is *written* into memory (``full``, ``x[0] = 256``, a bound of ``clamp``) must be one that the
dtype holds, as in torch. A number that is *computed* with becomes one of the tensor's dtype first: a float
that is too large for it is infinite, as in torch; an integer that is out of range raises, where torch would
wrap it around.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from minidl._masks import refuse_masked


def number(operation: str, name: str, value: Any) -> Any:
    """A bool, int or float: itself, or what NumPy's scalar or a tensor or array without dimensions holds.

    Raises:
        TypeError: anything else.

    >>> number("full", "fill_value", np.float32(0.5))
    0.5
    """
    if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = refuse_masked(operation, value).item()
        if isinstance(value, np.longdouble):  # Python has none of its precision
            return float(value)
        if isinstance(value, bool | int | float):
            return value
    raise TypeError(f"{operation}: {name} must be a number, got {type(value).__name__}")


def written(operation: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """``value`` as elements of ``dtype`` hold it; integers and bools lose what is behind the point.

    Raises:
        OverflowError: they do not hold it. (Into bools everything goes: True unless 0.)

    >>> written("full", 1.7, np.dtype("uint8"))
    1
    >>> written("full", -1, np.dtype("uint8"))
    Traceback (most recent call last):
    OverflowError: full: -1 does not fit into uint8 (0 to 255); use a dtype that holds it, such as int64
    """
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "f":
        given = _as_float(operation, value, dtype)
        if math.isfinite(given) and abs(given) > _limits(dtype)[1]:
            raise _too_large(operation, value, dtype)
        return given
    if isinstance(value, float) and (not math.isfinite(value) or value > _limits(dtype)[1]):
        raise _too_large(operation, value, dtype)
    return computed(operation, int(value), dtype)


def computed(operation: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """``value`` beside a tensor of ``dtype``, whose kind (bool, integer, float) is the same or a later one.

    Raises:
        OverflowError: an integer that integers of this dtype do not hold, or that no float holds.

    >>> computed("mul", 256, np.dtype("int64")), computed("mul", 1e40, np.dtype("float32"))
    (256, inf)
    >>> computed("mul", 256, np.dtype("uint8"))
    Traceback (most recent call last):
    OverflowError: mul: 256 does not fit into uint8 (0 to 255); use a dtype that holds it, such as int64
    """
    if dtype.kind == "f":
        return value if -_SMALL < value < _SMALL else _rounded(operation, value, dtype)
    if isinstance(value, int) and dtype.kind != "b":
        low, high = _limits(dtype)
        if not low <= value <= high:
            raise _too_large(operation, value, dtype)
    return value


#: Numbers between minus this and this fit into every floating-point dtype.
_SMALL = 60_000


def _rounded(operation: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """A number beside floats; one too large for them becomes infinite, or the largest, without a warning."""
    given = _as_float(operation, value, dtype)
    if not abs(given) > _limits(dtype)[1]:
        return value
    with np.errstate(all="ignore"):
        return float(dtype.type(given))


def side(value: Any, dtype: np.dtype[Any]) -> int:
    """On which side of everything that integers of ``dtype`` hold a number lies: -1, 1, or 0 for neither.

    >>> side(300, np.dtype("uint8")), side(-1, np.dtype("uint8")), side(255, np.dtype("uint8"))
    (1, -1, 0)
    """
    if dtype.kind not in "iu":
        return 0
    low, high = _limits(dtype)
    return -1 if value < low else int(value > high)


@cache
def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The lowest and the highest finite number of a dtype."""
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return float(limits.min), float(limits.max)
    bounds = np.iinfo(dtype)
    return int(bounds.min), int(bounds.max)


def _as_float(operation: str, value: Any, dtype: np.dtype[Any]) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _too_large(operation, value, dtype) from None


def _too_large(operation: str, value: Any, dtype: np.dtype[Any]) -> OverflowError:
    long = isinstance(value, int) and value.bit_length() > 128
    shown = f"an integer of {value.bit_length()} bits" if long else repr(value)
    low, high = _limits(dtype)
    text = f"{operation}: {shown} does not fit into {dtype} ({low} to {high})"
    wider = _wider(value)
    return OverflowError(f"{text}; use a dtype that holds it, such as {wider}" if wider else text)


def _wider(value: Any) -> str | None:
    """A dtype that holds the number; None where there is none."""
    if isinstance(value, int) and not side(value, np.dtype(np.int64)):
        return "int64"
    if isinstance(value, float) and not math.isfinite(value):
        return "float32"
    return next((t for t in ("float32", "float64") if abs(value) <= _limits(np.dtype(t))[1]), None)
