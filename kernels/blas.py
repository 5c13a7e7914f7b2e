"""How many threads BLAS uses: one, wherever minidl was told a number, since minidl cuts the products itself.

BLAS may cut a product among threads, and for some processors the kernels at the edges of the parts add in
another order than those within: the bits of a result then depend on the number of threads. That number is one
for the whole process (in builds with OpenMP one for each thread that asks). If some products of minidl's had
it at one and others at two, then what one Python thread is doing would change the bits of another's results.

So from :func:`set_num_threads` on there is no product of minidl's for which BLAS has more than one thread:
each runs in a region of :func:`one_thread`, and however many regions are open at once, all of them want the
same. What a region found is restored when the last one closes, so that other users of BLAS have the threads
that were set. How a product is cut (``kernels/products.py``) depends on shapes and on the number set alone.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

from minidl.kernels import forks


class Library:
    """A BLAS library of this process, and how many threads it has.

    Those of OpenBLAS's that all threads of the process share are asked and told directly: threadpoolctl takes
    ten times as long, and from 3.7 on it obeys only the first thread that sets the number; calls of others do
    nothing, without a word. Here the regions see to it that threads agree.
    """

    def __init__(self, controller: Any) -> None:
        self.get_num_threads: Callable[[], int] = controller.get_num_threads
        self.set_num_threads: Callable[[int], Any] = controller.set_num_threads
        if controller.internal_api != "openblas" or getattr(controller, "threading_layer", "") == "openmp":
            return
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            get, give = (
                getattr(controller.dynlib, f"{prefix}openblas_{what}_num_threads{suffix}", None)
                for what in ("get", "set")
            )
            if get is not None and give is not None:
                self.get_num_threads, self.set_num_threads = get, give


_libraries: list[Library] = []
_before: list[int] = []  # how many threads each of them had when the first of the open regions began
_open = 0  # regions
_lock = forks.guarded(threading.Lock())


def set_num_threads(count: int) -> None:
    """Give BLAS so many threads; a library loaded later (SciPy has its own) is found at the next call."""
    global _libraries, _before
    import threadpoolctl

    controllers = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    with _lock:
        _libraries = [Library(controller) for controller in controllers]
        _before = [count] * len(_libraries)
        _give([1] * len(_libraries) if _open else _before)


def _give(counts: list[int]) -> None:
    for library, count in zip(_libraries, counts, strict=True):
        library.set_num_threads(count)


class one_thread:
    """Hold BLAS to one thread; several Python threads may be in such a region at once, one in several."""

    def __enter__(self) -> None:
        global _open, _before
        with _lock:
            if not _open:
                _before = [library.get_num_threads() for library in _libraries]
                _give([1] * len(_libraries))
            _open += 1

    def __exit__(self, *exc: object) -> None:
        global _open
        with _lock:
            _open -= 1
            if not _open:
                _give(_before)


def limit_here() -> None:
    """Within a region: see that the limit holds for the thread that asks, too, and set it if it does not.

    Builds with OpenMP keep a number for each thread; and another library may have set that of the process.
    """
    for library in _libraries:
        if library.get_num_threads() != 1:
            library.set_num_threads(1)


def _after_fork() -> None:
    """Another thread of the parent may have been in a region: in the child it is not."""
    global _open
    if _open:
        _open = 0
        _give(_before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
