"""What the options of optimizers and schedules may be: a number, or something that holds exactly one.

Each reader takes the name of the option, who has it (for the message), and the value; it returns plain Python
numbers, which every backend's kernels take and a checkpoint can hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from minidl._masks import refuse_masked
from minidl._tensor import Tensor

#: Reads an option: (name, owner, value) to its plain value.
Reader = Callable[[str, str, Any], Any]

#: Kinds of dtypes that hold numbers with an order: truth values, integers, floating point.
_REAL = frozenset("biuf")


def number(name: str, owner: str, value: Any) -> float:
    """A number as a Python number: it may also come as NumPy's, or as a tensor or array of one element.

    Raises:
        TypeError: it is something else.
        ValueError: it holds several numbers or none, or is too large for a float.

    >>> import minidl
    >>> number("lr", "SGD", minidl.tensor([0.5]))
    0.5
    >>> number("lr", "SGD", "0.5")
    Traceback (most recent call last):
    TypeError: SGD: lr must be a number, got str
    """
    if type(value) is float:
        return value
    array = value.data if isinstance(value, Tensor) else value
    if getattr(getattr(array, "dtype", None), "kind", None) in _REAL:
        if math.prod(array.shape) != 1:
            raise ValueError(f"{owner}: {name} must be one number, got an array of shape {array.shape}")
        value = refuse_masked(owner, array).item()
    if not isinstance(value, Real):
        raise TypeError(f"{owner}: {name} must be a number, got {type(value).__name__}")
    try:
        plain = float(value)
    except OverflowError:
        raise ValueError(f"{owner}: {name} is too large for a float") from None
    return value if isinstance(value, int) and not isinstance(value, bool) else plain


def in_range(name: str, owner: str, value: Any, low: float = 0.0, high: float = float("inf")) -> float:
    """A number with low <= number < high, which NaN never is.

    Raises:
        TypeError, ValueError: as :func:`number`; or it is out of range.
    """
    plain = number(name, owner, value)
    if not low <= plain < high:
        raise ValueError(f"{owner}: {name} must be in [{low}, {high}), got {plain}")
    return plain


def positive(name: str, owner: str, value: Any) -> float:
    """A number above 0: how many steps something takes.

    Raises:
        TypeError, ValueError: as :func:`number`; or it is 0, negative or NaN.
    """
    plain = number(name, owner, value)
    if not plain > 0:
        raise ValueError(f"{owner}: {name} must be above 0, got {plain}")
    return plain


def whole(name: str, owner: str, value: Any) -> int:
    """A whole number: which step something is at.

    Raises:
        TypeError, ValueError: as :func:`number`; or there is something behind the point.
    """
    plain = number(name, owner, value)
    if plain % 1 != 0:  # so are NaN and infinity
        raise ValueError(f"{owner}: {name} must be a whole number, got {plain}")
    return int(plain)


def betas(name: str, owner: str, value: Any) -> tuple[float, float]:
    """Two numbers in [0, 1): how much of the running moments a step keeps.

    Raises:
        TypeError, ValueError: as :func:`number`; or they are not two, or out of range.
    """
    if type(value) is tuple and len(value) == 2:
        first, second = value
        if type(first) is type(second) is float and 0 <= first < 1 and 0 <= second < 1:
            return value  # what every step but the first finds
    if not isinstance(value, tuple | list):
        array = value.data if isinstance(value, Tensor) else value
        if not (hasattr(array, "tolist") and np.ndim(array)):
            raise TypeError(f"{owner}: {name} must be two numbers, got {type(value).__name__}")
        value = array.tolist()
    if len(value) != 2:
        raise ValueError(f"{owner}: {name} must be two numbers, got {len(value)}")
    first, second = (in_range(f"{name}[{i}]", owner, beta, high=1) for i, beta in enumerate(value))
    return first, second


def flag(name: str, owner: str, value: Any) -> bool:
    """True or False; 1 and 0 will do.

    Raises:
        TypeError, ValueError: as :func:`number`; or it is another number.
    """
    if type(value) is bool:
        return value
    plain = number(name, owner, value)
    if plain not in (0, 1):
        raise ValueError(f"{owner}: {name} must be True or False, got {plain}")
    return bool(plain)
