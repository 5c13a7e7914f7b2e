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
import weakref
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
_held = False  # whether BLAS was told to use one thread, and is yet to be told the former numbers
_lock = forks.guarded(threading.RLock())  # a region that is dropped may have to close while another opens


def set_num_threads(count: int) -> None:
    """Give BLAS so many threads; a library loaded later (SciPy has its own) is found at the next call."""
    global _libraries, _before
    import threadpoolctl

    controllers = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    with _lock:
        _libraries = [Library(controller) for controller in controllers]
        _before = [count] * len(_libraries)
        _give([1] * len(_libraries) if _held else _before)


def _give(counts: list[int]) -> None:
    for library, count in zip(_libraries, counts, strict=True):
        library.set_num_threads(count)


class one_thread:
    """Hold BLAS to one thread; several Python threads may be in such a region at once, one in several.

    How many regions are open is not counted but seen: those that were entered, not left, and still exist.
    Ctrl-C may come between any two steps, also those of entering and leaving; a region that it has torn out
    of its ``with`` is dropped then, and closes by that.
    """

    def __enter__(self) -> None:
        global _held, _before
        try:
            with _lock:
                _regions[id(self)] = weakref.ref(self)
                if not _held:
                    _before = [library.get_num_threads() for library in _libraries]
                    _held = True
                if len(_regions) == 1:
                    _give([1] * len(_libraries))
        except BaseException:
            self._leave()
            raise

    def __exit__(self, *exc: object) -> None:
        self._leave()

    def _leave(self) -> None:
        with _lock:
            _regions.pop(id(self), None)
            _release()

    def __del__(self) -> None:
        if id(self) in _regions and _lock.acquire(blocking=False):  # else the next region's end sees to it
            try:
                self._leave()
            finally:
                _lock.release()


#: Those that were entered and not left.
_regions: dict[int, weakref.ref[one_thread]] = {}


def _release() -> None:
    """Give BLAS the former numbers, if no region is open."""
    global _held
    for key, region in list(_regions.items()):
        if region() is None:
            _regions.pop(key, None)
    if _held and not _regions:
        _give(_before)
        _held = False


def limit_here() -> None:
    """Within a region: see that the limit holds for the thread that asks, too, and set it if it does not.

    Builds with OpenMP keep a number for each thread; and another library may have set that of the process.
    """
    if all(library.get_num_threads() == 1 for library in _libraries):
        return
    with _lock:
        if _regions:  # else it has closed: Ctrl-C did not let its caller wait for this thread
            for library in _libraries:
                if library.get_num_threads() != 1:
                    library.set_num_threads(1)


def _after_fork() -> None:
    """Another thread of the parent may have been in a region: in the child it is not."""
    _regions.clear()
    _release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
