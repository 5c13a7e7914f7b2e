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
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
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


class _Task:
    """One call, and a lock that opens when it is done. A bare lock takes a third of an Event's time, and a
    kernel may take no longer than that."""

    def __init__(self, work: Callable[[int], None], number: int) -> None:
        context = contextvars.copy_context()  # the caller's: NumPy keeps its error state there
        self.call: Callable[[], None] | None = lambda: context.run(work, number)
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            assert self.call is not None
            self.call()
        except BaseException as error:  # it is raised by whoever dealt the work
            self.error = error
        self.call = None  # with its arrays
        self.done.release()


class _Helper:
    """A thread that waits for tasks, and ends when the helper is dropped."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self.task: _Task | None = None  # the last one that it was given
        self.hold: weakref.ref[_Hold] | None = None  # of the caller that has it
        # The thread knows nothing of this object, or it would never be dropped.
        threading.Thread(target=_serve, args=(self.tasks,), daemon=True, name="minidl").start()

    def start(self, work: Callable[[int], None], number: int) -> None:
        """Begin ``work(number)``."""
        task = _Task(work, number)
        self.task = task
        self.tasks.put(task)

    def idle(self) -> bool:
        """Whether nobody has it and it has nothing to do."""
        held = self.hold is not None and self.hold() is not None
        return not held and (self.task is None or not self.task.done.locked())

    def __del__(self) -> None:
        self.tasks.put(None)


class _Hold:
    """What a caller has while it has helpers. It goes with its caller, however that ends: Ctrl-C may come
    between any two steps, and no helper may be lost to it."""

    __slots__ = ("__weakref__",)


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task  # its arrays are not to wait for the next one


_helpers: list[_Helper] = []


def _take_helpers(wanted: int, hold: _Hold) -> list[_Helper]:
    """At most so many idle threads, made where there are fewer than the number that was set allows.

    Two Python threads that train at once share them: a second caller may get none and then works alone, so
    that no more threads are at work than there are cores for.
    """
    with _lock:
        taken = [helper for helper in _helpers if helper.idle()][:wanted]
        while len(taken) < wanted and len(_helpers) < get_num_threads() - 1:
            helper = _Helper()
            _helpers.append(helper)
            taken.append(helper)
        for helper in taken:
            helper.hold = weakref.ref(hold)
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

    hold = _Hold()
    helpers = _take_helpers(threads - 1, hold)
    try:
        for position, helper in enumerate(helpers, 1):
            helper.start(work, position)
        work(0)  # the caller works too
    except BaseException:
        taken = itertools.count(number)  # the others begin no further part
        raise
    finally:
        tasks = [helper.task for helper in helpers if helper.task is not None]
        for task in tasks:  # whatever happens: they read and write the caller's arrays
            with task.done:
                pass
        for helper in helpers:
            helper.task = helper.hold = None
    for task in tasks:
        if task.error is not None:
            raise task.error


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
    calls: list[Any] = []
    with blas.one_thread():
        try:
            for index in range(count):
                context = contextvars.copy_context()  # NumPy keeps its error state there
                calls.append(_submit(context.run, _work_alone, work, index))  # known when Ctrl-C comes
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
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
