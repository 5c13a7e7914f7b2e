"""Large arrays out of memory that is used again.

A training step allocates the same large arrays in every step. Fresh memory of this size comes from the
operating system page by page, zeroed, at the first touch: for a U-Net's activations that costs as much time
as writing them. So results of kernels are made with :func:`empty`, which keeps what was freed.

**The rule.** A buffer goes back to the pool when the last array that looks into it is gone (Python's own
reference count says when; nothing is ever handed out twice). It is handed out again only for a request of the
same size class (sizes are rounded up by at most an eighth). Used and free buffers together are never more
than the most that was in use at once: before new memory is asked for, free buffers that would exceed that are
let go of. :func:`release` gives all of them back to the system. Small arrays are NumPy's.

Nothing may rely on what an array from here contains.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import threading
from collections import defaultdict
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Smaller arrays come from the C library's allocator, which keeps them by itself.
SMALLEST = 256 * 1024
#: Where a buffer begins: on a line of the cache, so that no vector lies across two.
ALIGNMENT = 64
#: From this size on a buffer is a mapping of its own, from the other on in huge pages (which are as large).
OWN_MAPPING, HUGE_PAGE = 2**20, 2**21


def _fresh(size: int) -> Array:
    """New memory that begins on a line of the cache.

    Large buffers are asked for from the operating system itself: in the C library's heap, buffers of many
    sizes that come and go would leave holes (a tenth of a U-Net's memory was measured). From 2 MiB on they
    lie in huge pages, where the system has them. A core remembers where some 64 pages are; a kernel that
    writes 36 streams at once into pages of 4 KiB spends its time looking them up (a quarter of Winograd's
    convolution).
    """
    if size < OWN_MAPPING or not hasattr(mmap, "MAP_PRIVATE"):
        raw = np.empty(size + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + size]
    huge = size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE")
    # A huge page begins at a multiple of its size; what is mapped beyond is never touched and costs nothing.
    mapped = mmap.mmap(-1, size + HUGE_PAGE if huge else size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(mapped, np.uint8)
    if not huge:
        return whole
    with contextlib.suppress(OSError):  # the system may have been built without them
        mapped.madvise(mmap.MADV_HUGEPAGE)
    start = -whole.ctypes.data % HUGE_PAGE
    return whole[start : start + size]


class _Buffer:
    """Memory of a pool; ``np.asarray`` of it is an array that keeps it alive, and its end brings it back."""

    def __init__(self, memory: Array, pool: Pool) -> None:
        self.memory, self.pool = memory, pool
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self.pool.give_back(self.memory)


class Pool:
    """Free buffers by size, and what is in use.

    Attributes:
        in_use: bytes that arrays hold now.
        most: the largest that ``in_use`` was.
        kept: bytes of the free buffers.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[Array]] = defaultdict(list)
        self.in_use = self.most = self.kept = 0
        # Reentrant: the garbage collector may run __del__ of a buffer inside any allocation, these too.
        self.lock = threading.RLock()

    def take(self, nbytes: int) -> _Buffer:
        """A buffer of at least so many bytes."""
        size = size_class(nbytes)
        with self.lock:
            self.in_use += size
            self.most = max(self.most, self.in_use)
            stack = self.free[size]
            memory = stack.pop() if stack else None
            if memory is not None:
                self.kept -= size
            else:
                self._make_room()
        return _Buffer(_fresh(size) if memory is None else memory, self)

    def _make_room(self) -> None:
        """New memory is needed: let go of kept buffers, the largest first, beyond what was ever in use."""
        for size in sorted(self.free, reverse=True):  # a copy: the collector may add one
            stack = self.free[size]
            while stack and self.in_use + self.kept > self.most:
                stack.pop()
                self.kept -= size

    def give_back(self, memory: Array) -> None:
        """Called when nobody uses the memory any more."""
        with self.lock:
            self.in_use -= memory.size
            if self.in_use + self.kept + memory.size <= self.most:
                self.free[memory.size].append(memory)
                self.kept += memory.size

    def release(self) -> None:
        """Let go of all free buffers."""
        with self.lock:
            self.free.clear()
            self.kept, self.most = 0, self.in_use


_pool = Pool()


def _after_fork() -> None:
    """Another thread of the parent may have held the lock, which nobody in the child would ever give back."""
    _pool.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def size_class(nbytes: int) -> int:
    """``nbytes`` rounded up to a multiple of an eighth of the power of two below it.

    >>> size_class(1_000_000), size_class(1024)
    (1048576, 1024)
    """
    step = max(ALIGNMENT, 2 ** (max(1, nbytes).bit_length() - 4))
    return -(-nbytes // step) * step


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array in C order whose contents are arbitrary, as ``np.empty``.

    >>> empty((2, 3), "float32").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SMALLEST:
        return np.empty(shape, dtype)
    return np.asarray(_pool.take(nbytes))[:nbytes].view(dtype).reshape(shape)


def work_space(shape: tuple[int, ...], dtype: Any) -> Array:
    """As :func:`empty`, always in huge pages: for what a kernel writes in many places at once.

    >>> work_space((2, 3), "float64").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    room = -(-count * dtype.itemsize // HUGE_PAGE) * HUGE_PAGE // dtype.itemsize
    return empty((room,), dtype)[:count].reshape(shape)


def empty_channels_last(shape: tuple[int, ...], dtype: Any) -> Array:
    """(N, C, H, W) by shape, (N, H, W, C) in memory.

    >>> empty_channels_last((1, 2, 3, 4), "float32").strides
    (96, 4, 32, 8)
    """
    n, c, h, w = shape
    return empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def release() -> None:
    """Give the free buffers back to the operating system."""
    _pool.release()


def statistics() -> dict[str, int]:
    """Bytes in use, the most that were at once, and bytes kept for later."""
    return {"in_use": _pool.in_use, "most": _pool.most, "kept": _pool.kept}
