"""One number of threads for everything: compiled kernels, reference kernels, and BLAS.

NumPy's copies, BLAS's products and compiled kernels let go of Python's lock, so plain Python threads keep
several cores busy. Nothing else is used: no OpenMP, whose threads spin for milliseconds while they wait, and
which does not survive a fork.

* **Compiled kernels** (:func:`deal`): a kernel works on a range of independent pieces (blocks of tiles, rows,
  planes). The range is cut into a few parts for each thread, and who is done with a part takes the next:
  where other programs take a core away for a while, its share goes to the others. Which thread computes a
  piece changes nothing about its value. Handing over is compiled code, too (``kernels/cpu/team.py``).
* **Reference kernels** (:func:`for_each`): images are dealt out, and each matrix product of an image is left
  to BLAS on one thread: cutting the many small products of a convolution costs more than it brings.
* **Matrix products of whole layers** (``kernels/products.py``) are cut into as many pieces as threads were
  set, each again BLAS's on one thread (``kernels/blas.py`` says why BLAS does not cut them).

Until a number of threads was set, nothing is dealt out to Python threads, and BLAS cuts its products itself.
"""

from __future__ import annotations

import contextvars
import functools
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from minidl.kernels import blas, forks

#: Parts that the work of a compiled kernel is cut into, for each thread: enough to even out, few to start.
#: Up to MOST_PARTS, every piece is a part: ten pieces in eight parts would leave a thread with four of them
#: while the other has six.
PARTS, MOST_PARTS = 4, 16

_count: int | None = None  # None: nobody has set it
_pool: tuple[int, int, ThreadPoolExecutor] | None = None  # process, threads
_lock = forks.guarded(threading.Lock())
_is_worker: contextvars.ContextVar[bool] = contextvars.ContextVar("minidl_is_worker", default=False)


def available_cores() -> int:
    """The cores that this process may use (a container or taskset may allow fewer than there are)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def set_num_threads(count: int) -> None:
    """Use so many threads, BLAS included. Holds for the whole process.

    Raises:
        ValueError: the count is not positive.
    """
    global _count
    if count < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, got {count}")
    _count = count
    blas.set_num_threads(count)


def get_num_threads() -> int:
    """The number that was set, else the number of cores."""
    return _count or available_cores()


def number_set() -> int | None:
    """The number that was set; None: nobody has set one."""
    return _count


# --- dealing out --------------------------------------------------------------------------------------------


class _Helper:
    """A thread that waits for work. Two bare locks wake it and tell when it is done: a third of the time of a
    queue and a condition variable, and a kernel may take no longer than that."""

    def __init__(self) -> None:
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.work: Callable[[int], None] | None = None
        self.number = 0
        self.error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True, name="minidl").start()

    def start(self, work: Callable[[int], None], number: int) -> None:
        """Begin ``work(number)``, in the caller's context: NumPy keeps its error state there."""
        context = contextvars.copy_context()
        self.work = lambda number: context.run(work, number)
        self.number, self.error = number, None
        self.go.release()

    def _run(self) -> None:
        while True:
            self.go.acquire()
            try:
                assert self.work is not None
                self.work(self.number)
            except BaseException as error:  # it is raised by whoever dealt the work
                self.error = error
            self.work = None
            self.done.release()


_idle: list[_Helper] = []
_helpers = 0  # idle or not


def _take_helpers(wanted: int) -> list[_Helper]:
    """At most so many idle threads, made where there are fewer than the number that was set allows.

    Two Python threads that train at once share them: a second caller may get none and then works alone, so
    that no more threads are at work than there are cores for.
    """
    global _helpers
    with _lock:
        taken = [_idle.pop() for _ in range(min(wanted, len(_idle)))]
        while len(taken) < wanted and _helpers < get_num_threads() - 1:
            taken.append(_Helper())
            _helpers += 1
        return taken


def deal(kernel: Callable[..., Any], pieces: int, *args: Any, parts: int | None = None) -> None:
    """Call ``kernel(begin, end, worker, *args)`` on parts of range(pieces), on all threads; wait for all.

    ``worker``, below :func:`get_num_threads`, tells which of several work spaces to use. The kernel must let
    go of Python's lock, and no piece may depend on another. The first exception is raised here.
    """
    threads = min(get_num_threads(), pieces)
    if threads <= 1:
        if pieces:
            kernel(0, pieces, 0, *args)
        return
    number = min(pieces, parts or (PARTS if pieces > MOST_PARTS * threads else MOST_PARTS) * threads)
    by_numba = hasattr(kernel, "overloads")
    if by_numba and _team().deal(kernel, pieces, number, threads, args):
        return
    taken = itertools.count()  # next() on it is atomic

    def work(worker: int) -> None:
        while (part := next(taken)) < number:
            kernel(part * pieces // number, (part + 1) * pieces // number, worker, *args)

    helpers = _take_helpers(threads - 1)
    for position, helper in enumerate(helpers, 1):
        helper.start(work, position)
    try:
        work(0)  # the caller works too
    finally:
        for helper in helpers:  # whatever happens: they read and write the caller's arrays
            helper.done.acquire()
        errors = [helper.error for helper in helpers if helper.error is not None]
        with _lock:
            _idle.extend(helpers)
    if errors:
        raise errors[0]


@functools.cache
def _team() -> Any:
    """The threads of compiled kernels, which are compiled themselves."""
    with forks.loading():
        from minidl.kernels.cpu import team

        return team


def deal_rows(
    kernel: Callable[..., Any], rows: list[tuple[Any, ...]], cuts: list[tuple[int, int, int]]
) -> None:
    """Call ``kernel(begin, end, worker, *rows[row])`` for every (begin, end, row) of ``cuts``.

    One start of the threads for many arrays: what an optimizer has.
    """

    def some(first: int, last: int, worker: int) -> None:
        for begin, end, row in cuts[first:last]:
            kernel(begin, end, worker, *rows[row])

    threads = min(get_num_threads(), len(cuts))
    if threads > 1 and hasattr(kernel, "overloads") and _team().deal_rows(kernel, rows, cuts, threads):
        return
    deal(some, len(cuts), parts=len(cuts))


def for_each(work: Callable[[int], Any], count: int) -> None:
    """Call ``work(0)`` ... ``work(count - 1)``, on several threads if a number was set, and wait for all.

    The calls must not depend on each other. The first exception of one of them is raised here.
    """
    if (_count or 1) == 1 or count < 2 or is_worker():
        for index in range(count):
            work(index)
        return
    with blas.one_thread():
        # Each call gets the caller's context: NumPy keeps its error state there.
        calls = [_submit(contextvars.copy_context().run, _work_alone, work, index) for index in range(count)]
        try:
            for call in calls:
                call.result()
        finally:
            for call in calls:  # after an exception, too, none may go on working in the caller's arrays
                call.cancel()
            for call in calls:
                if not call.cancelled():
                    call.exception()


def is_worker() -> bool:
    """Whether this code is one of the calls that :func:`for_each` has dealt out to several threads."""
    return _is_worker.get()


def _work_alone(work: Callable[[int], Any], index: int) -> None:
    """One of several calls at once: none deals out anything itself."""
    _is_worker.set(True)  # in the context of this call only
    blas.limit_here()
    work(index)


def _submit(work: Callable[..., Any], *args: Any) -> Any:
    global _pool
    threads = get_num_threads()
    with _lock:
        if _pool is None or _pool[:2] != (os.getpid(), threads):  # threads do not survive a fork
            _pool = os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="minidl")
        return _pool[2].submit(work, *args)


def _after_fork() -> None:
    """Threads do not survive a fork."""
    global _helpers
    _idle.clear()
    _helpers = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
