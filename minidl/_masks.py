"""NumPy's masked arrays: what is masked has no number, and is not to be taken for one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def host(operation: str, data: Any) -> np.ndarray[Any, Any]:
    """``np.asarray(data)``, which forgets masks without a word, so masked numbers are refused first.

    Raises:
        TypeError: a masked array some of whose elements are masked, also within lists.

    >>> host("add", np.ma.masked_array([1.0, 2.0], [False, True]))
    Traceback (most recent call last):
    TypeError: add: a masked array has no numbers where it is masked; say which with .filled(number)
    """
    return np.asarray(refuse_masked(operation, data))


def refuse_masked(operation: str, data: Any) -> Any:
    """The data as they are; a TypeError if there are masked numbers among them: see :func:`host`."""
    if type(data) is not np.ndarray and _is_masked(data):
        raise TypeError(
            f"{operation}: a masked array has no numbers where it is masked; say which with .filled(number)"
        )
    return data


def _is_masked(data: Any) -> bool:
    """Of an array, or of one in lists."""
    if isinstance(data, list | tuple):
        return any(_is_masked(v) for v in data if isinstance(v, list | tuple | np.ndarray))
    # Who has not imported numpy.ma has no masked array.
    masked = sys.modules.get("numpy.ma") if isinstance(data, np.ndarray) else None
    return masked is not None and isinstance(data, masked.MaskedArray) and bool(masked.is_masked(data))
