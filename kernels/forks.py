"""A fork waits until no other thread is in the middle of something that its child could not finish.

A forked child has one thread, but all locks as they were: one that another thread of the parent held stays
closed in the child for ever, and what it protects stays half changed. So the locks that are registered here
are taken before a fork and given back on both sides of it, as Python's own ``logging`` does it. The longest
that a fork may have to wait is for another thread's compilation of a kernel: some seconds.

>>> import threading
>>> lock = guarded(threading.Lock())
"""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from typing import Any, TypeVar

AnyLock = TypeVar("AnyLock", bound=Any)

#: Seconds that a fork waits at most. Only who waits for the thread that forks could take longer.
PATIENCE = 60.0

#: Which locks are taken first: those whose holders may take others.
LOADING, COMPILING, LLVM, SHORT = range(4)

_guarded: list[tuple[int, weakref.ref[Any]]] = []
_mine = threading.local()


def guarded(lock: AnyLock, rank: int = SHORT) -> AnyLock:
    """Have forks wait for this lock (``threading.Lock`` or ``RLock``) and give it back, open, in the child.

    Args:
        lock: it is registered once, however often it is given, and as long as it lives.
        rank: its place in the order in which locks are taken: a holder may take locks of later ranks only.
    """
    _register()
    _guarded[:] = [entry for entry in _guarded if entry[1]() not in (None, lock)]
    _guarded.append((rank, weakref.ref(lock)))
    _guarded.sort(key=lambda entry: entry[0])
    return lock


_loading = threading.RLock()


def loading() -> Any:
    """The lock to hold while kernels are imported: a child could not finish the import."""
    _register()
    return _loading


def _before() -> None:
    end = time.monotonic() + PATIENCE
    taken: list[tuple[Any, bool]] = []
    # One at a time: what is being loaded while this waits may register further locks.
    while (lock := _first_but([lock for lock, _ in taken])) is not None:
        taken.append((lock, lock.acquire(timeout=max(0.0, end - time.monotonic()))))
    _mine.taken = taken


def _first_but(taken: list[Any]) -> Any:
    """The first lock in the order of ranks that is not among these."""
    locks = (reference() for _, reference in _guarded)
    return next((lock for lock in locks if lock is not None and all(lock is not t for t in taken)), None)


def _after_in_parent() -> None:
    for lock, taken in reversed(_mine.__dict__.pop("taken", [])):
        if taken:
            lock.release()


def _after_in_child() -> None:
    for lock, taken in reversed(_mine.__dict__.pop("taken", [])):
        if taken:
            lock.release()
        else:  # its holder is gone
            lock._at_fork_reinit()


@functools.cache
def _register() -> None:
    """Have forks call these functions.

    Those that are registered last come first before a fork. The import of a compiler asks for the lock of
    ``logging``: whoever holds that already and then waits for the import would wait for ever.
    """
    import concurrent.futures.thread  # noqa: F401  both register functions of their own
    import logging  # noqa: F401

    _guarded.insert(0, (LOADING, weakref.ref(_loading)))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
