"""Working on several images at once, with threads.

NumPy's copies and BLAS's products let go of Python's lock, so plain threads keep several cores busy. BLAS has
threads of its own; they cut a single product into pieces, which for the many small products of a convolution
costs more than it brings, and far more where other programs want the cores too. So there are two settings,
never both at once:

* one worker (the default): images one after the other, BLAS uses its threads as it likes;
* n workers: images are dealt to n threads, and BLAS is held to one thread each.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_workers = 1
_pool: tuple[int, ThreadPoolExecutor] | None = None
_blas_limit: Any = None


def set_num_threads(count: int) -> None:
    """Work on ``count`` images at a time; 1 leaves the threads to BLAS. Holds for the whole process.

    Raises:
        ValueError: the count is not positive.
    """
    global _workers, _pool, _blas_limit
    if count < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, got {count}")
    _workers, _pool = count, None
    if _blas_limit is not None:
        _blas_limit.restore_original_limits()
        _blas_limit = None
    if count > 1:
        import threadpoolctl

        _blas_limit = threadpoolctl.threadpool_limits(1, user_api="blas")


def get_num_threads() -> int:
    """How many images are worked on at a time."""
    return _workers


def for_each(work: Callable[[int], None], count: int) -> None:
    """Call ``work(0)`` ... ``work(count - 1)``, on several threads if there are workers, and wait for all.

    The calls must not depend on each other. The first exception of one of them is raised here.
    """
    if _workers == 1 or count < 2:
        for index in range(count):
            work(index)
        return
    # Each call gets the caller's context: NumPy keeps its error state there.
    calls = [_executor().submit(contextvars.copy_context().run, work, index) for index in range(count)]
    for call in calls:
        call.result()


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None or _pool[0] != os.getpid():  # threads do not survive a fork
        _pool = os.getpid(), ThreadPoolExecutor(_workers, thread_name_prefix="minidl")
    return _pool[1]
