"""Who is told while kernels are compiled: half a minute of a first run, in which nothing else happens.

Compilers say :func:`under_way` around their work (Numba in ``cpu/``, g++ in ``sim/``, NVIDIA's in ``cuda/``);
a command line that waits for them is told by :func:`watching`. Code that is found on disk is not compiled.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

Watcher = Callable[[bool], None]

_watchers: list[Watcher] = []
_lock = threading.Lock()
_depth = 0  # a kernel's compilation compiles the functions that it calls: told is the outermost one


@contextlib.contextmanager
def watching(told: Watcher) -> Iterator[None]:
    """Call ``told(True)`` whenever a compilation begins and ``told(False)`` when it has ended.

    It is called in the thread that compiles, and must not raise.

    >>> with watching(print), under_way():
    ...     print("compiling")
    True
    compiling
    False
    """
    _watchers.append(told)
    try:
        yield
    finally:
        _watchers.remove(told)


@contextlib.contextmanager
def under_way() -> Iterator[None]:
    """Something is being compiled within this block."""
    begin()
    try:
        yield
    finally:
        end()


def begin() -> None:
    """A compilation begins; :func:`end` must follow."""
    _count(1)


def end() -> None:
    """A compilation has ended, well or not."""
    _count(-1)


def _count(change: int) -> None:
    global _depth
    with _lock:
        before, _depth = _depth, _depth + change
    if 0 in (before, before + change):
        for told in tuple(_watchers):
            told(change > 0)


def watch_numba() -> None:
    """Tell of what Numba compiles from here on; called once, when the first kernel is asked for."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            begin()

        def on_end(self, event: Any) -> None:
            end()

    event.register("numba:compile", Listener())
