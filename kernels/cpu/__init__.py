"""Kernels compiled by Numba, fast on CPUs (backend ``"numba"``).

A file here has the functions of the file of the same name in ``reference/``, with the same arguments and
the same results; its text says what it does differently and why that is faster. Operations without a file
here run on the reference kernels.

What every file keeps to:

* All compiled code of an operation is in its one file, and calls none from another: Numba's cache on disk
  notices a changed file, but not a changed helper that was imported from elsewhere.
* Functions that run in parallel are called through :func:`launch`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_launching = threading.Lock()


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``numba.njit(**options)`` with a cache on disk, beside the file or in the user's own cache folder.

    Where neither can be written to, the function is compiled anew in each process instead of being refused.
    """
    import numba  # half a second: only when the first compiled kernel is asked for

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            return numba.njit(**options)(function)

    return decorate


def launch(function: Callable[..., Any], *args: Any) -> Any:
    """Call a compiled function that runs in parallel, one at a time.

    Each such call uses all cores by itself, and Numba's threading layer ``workqueue`` (the one that is always
    there) aborts the process when two Python threads enter it at once.
    """
    with _launching:
        return function(*args)
