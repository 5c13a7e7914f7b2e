"""Large arrays out of memory that is used again.

A training step allocates the same large arrays in every step. Fresh memory of this size comes from the
operating system page by page, zeroed, at the first touch: for a U-Net's activations that costs as much time
as writing them. So results of kernels are made with :func:`empty`, which keeps what was freed.

**The rule.** Memory comes from the system in *regions* of 1 GiB, of which only what was touched exists. An
array gets the smallest free stretch of a region that is large enough, and when the last array that looks into
a stretch is gone (Python's own reference count says when), it is free again and becomes one with its free
neighbours. So what is kept is what was in use at once at the most, and a little for stretches that did not
fit. A region that nobody uses any more goes when another one is needed; :func:`release` gives what is free
back to the system. Small arrays are NumPy's.

Nothing may rely on what an array from here contains.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import math
import mmap
import sys
import threading
import weakref
from typing import Any

import numpy as np

from minidl.kernels import forks

Array = np.ndarray[Any, Any]

#: Smaller arrays come from the C library's allocator, which keeps them by itself.
SMALLEST = 256 * 1024
#: Bytes that the system is asked for at a time, and what stretches of them begin at multiples of: a page.
REGION, PAGE = 2**30, 4096
#: A core remembers where some 64 pages are; a kernel that writes 36 streams at once into pages of 4 KiB
#: spends its time looking them up (a quarter of Winograd's convolution was measured). So regions lie in huge
#: pages, where the system has them, and begin at one.
HUGE_PAGE = 2**21


class _Region:
    """Memory from the system, and which stretches of it are free: begin and end, in the order of memory."""

    def __init__(self, size: int) -> None:
        self.memory, self.mapped, self.start = _mapped(size)
        self.free = [(0, size)]
        self.touched = 0  # the end of what was ever handed out

    def take(self, at: int, size: int, place: _Place) -> None:
        """``size`` bytes from the beginning of free stretch number ``at``: they are this place."""
        begin, end = self.free[at]
        self.touched = max(self.touched, begin + size)
        rest, where = [(begin + size, end)] if begin + size < end else [], (self, begin, begin + size)
        self.free[at : at + 1] = rest
        place.where = where  # nothing is called in between, so no Ctrl-C comes in between

    def give_back(self, begin: int, end: int) -> None:
        """A stretch is free again, together with the free ones before and behind it; no matter how often."""
        at = bisect.bisect(self.free, (begin, end))
        if at and self.free[at - 1][1] >= end:
            return
        first, last = at, at
        if at < len(self.free) and self.free[at][0] <= end:
            last, end = at + 1, self.free[at][1]
        if at and self.free[at - 1][1] == begin:
            first, begin = at - 1, self.free[at - 1][0]
        self.free[first:last] = [(begin, end)]


def _mapped(size: int) -> tuple[Array, mmap.mmap | None, int]:
    """New memory, the mapping that it is in, and where: it begins with a huge page.

    What is never touched costs nothing.

    Raises:
        MemoryError: the system does not give so much.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(size, np.uint8), None, 0
    try:
        mapped = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise MemoryError(f"the system has no {size / 2**20:,.0f} MiB of memory for arrays") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # the system may have been built without them
            mapped.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(mapped, np.uint8)
    start = -whole.ctypes.data % HUGE_PAGE
    return whole[start : start + size], mapped, start


class _Buffer:
    """A stretch of a region; ``np.asarray`` of it keeps it alive, and its end gives the stretch back."""

    def show(self, region: _Region, begin: int, end: int) -> None:
        """Have this stretch."""
        self.region, self.__array_interface__ = region, region.memory[begin:end].__array_interface__


class _Place(weakref.ref[_Buffer]):
    """Notices the end of a buffer. Not by a ``__del__``, Python code: Ctrl-C may come in it too, and
    would be lost, and the stretch with it."""

    __slots__ = ("where",)
    where: tuple[_Region, int, int] | None


class Pool:
    """All regions.

    Attributes:
        in_use: bytes that arrays hold now.
        most: the largest that ``in_use`` was.
    """

    def __init__(self) -> None:
        self.regions: list[_Region] = []
        # The garbage collector may end a buffer at any moment, even while the lists of free stretches are
        # being changed. So what came back is only noted, which takes no lock.
        self.returned: collections.deque[_Place] = collections.deque()
        self.places: dict[int, _Place] = {}  # those whose buffers are yet to end
        self.in_use = self.most = 0
        self.lock = forks.guarded(threading.Lock())

    def take(self, nbytes: int) -> _Buffer:
        """A buffer of at least so many bytes."""
        size = -(-max(1, nbytes) // PAGE) * PAGE
        buffer = _Buffer()
        place = _Place(buffer, self.returned.append)
        place.where = None
        with self.lock:
            self._collect()
            region, at = self._smallest(size)
            begin = region.free[at][0]
            self.places[id(place)] = place
            region.take(at, size, place)
            self.in_use += size
            self.most = max(self.most, self.in_use)
        buffer.show(region, begin, begin + size)
        return buffer

    def _smallest(self, size: int) -> tuple[_Region, int]:
        """The free stretch that ``size`` bytes leave the least of; a new region where there is none."""
        best: tuple[int, _Region, int] | None = None
        for region in self.regions:
            for at, (begin, end) in enumerate(region.free):
                if end - begin >= size and (best is None or end - begin < best[0]):
                    best = (end - begin, region, at)
        if best is not None:
            return best[1:]
        # None fits: those that nobody uses go, so that arrays that grow do not leave all their sizes behind.
        self._drop_free()
        size = -(-size // HUGE_PAGE) * HUGE_PAGE
        try:
            region = _Region(max(REGION, size))
        except MemoryError:  # a limit, perhaps, that so much address space is beyond
            region = _Region(size)
        self.regions.append(region)
        return region, 0

    def _drop_free(self) -> None:
        self.regions = [r for r in self.regions if r.free != [(0, r.memory.size)]]

    def _collect(self) -> None:
        while self.returned:
            place = self.returned[0]
            if place.where is not None:
                region, begin, end = place.where
                region.give_back(begin, end)
                place.where = None
                self.in_use -= end - begin
            self.places.pop(id(place), None)
            self.returned.popleft()

    def release(self) -> None:
        """Let go of regions that nobody uses, and of the free pages of the others."""
        with self.lock:
            self._collect()
            self._drop_free()
            for region in self.regions:
                _forget(region)
            self.most = self.in_use

    def statistics(self) -> dict[str, int]:
        """See :func:`statistics`."""
        with self.lock:
            self._collect()
            touched = sum(region.touched for region in self.regions)
            return {"in_use": self.in_use, "most": self.most, "kept": touched - self.in_use}


def _forget(region: _Region) -> None:
    """Tell the system that what the free stretches contain is not needed."""
    if region.mapped is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    for begin, end in region.free:
        region.mapped.madvise(mmap.MADV_DONTNEED, region.start + begin, end - begin)
    begin, end = region.free[-1] if region.free else (0, 0)
    if end == region.memory.size:
        region.touched = begin


_pool = Pool()


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
    """As :func:`empty`, in huge pages whatever its size: for what a kernel writes in many places at once.

    >>> work_space((2, 3), "float64").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    return np.asarray(_pool.take(nbytes))[:nbytes].view(dtype).reshape(shape)


def empty_channels_last(shape: tuple[int, ...], dtype: Any) -> Array:
    """(N, C, H, W) by shape, (N, H, W, C) in memory.

    >>> empty_channels_last((1, 2, 3, 4), "float32").strides
    (96, 4, 32, 8)
    """
    n, c, h, w = shape
    return empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def in_order_of(array: Array, like: Array) -> bool:
    """Whether an array lies in memory, without gaps, as a fresh one of the order of ``like`` would.

    >>> a = np.zeros((2, 3))
    >>> in_order_of(a.T, np.zeros((3, 2))), in_order_of(a.T, a.T), in_order_of(a[:, :2], a[:, :2])
    (False, True, False)
    """
    return array.strides == np.empty_like(like, dtype=array.dtype, shape=array.shape).strides


def is_nobody_elses(box: list[Any]) -> bool:
    """Whether the array in ``box[0]`` can be reached from there only, so that it may be given away uncopied.

    Python counts the references to every object; one more than this box's, on the array or on one that it is
    a view of, and somebody could still read or change the memory. What is not NumPy's or of this pool, nobody
    knows about: then the answer is no.

    Args:
        box: a list that holds the array; the caller keeps no other reference to it.

    >>> a = np.zeros(3)
    >>> is_nobody_elses([np.zeros(3)]), is_nobody_elses([a]), is_nobody_elses([a[:2]])
    (True, False, False)
    """
    if not isinstance(box[0], np.ndarray) or _references(box) > _IN_A_BOX:
        return False
    array = box[0]
    while array.base is not None:
        if sys.getrefcount(array.base) > _AS_A_BASE:
            return False
        if not isinstance(array.base, np.ndarray):
            return isinstance(array.base, _Buffer)
        array = array.base
    return True


def _references(box: list[Any]) -> int:
    return sys.getrefcount(box[0])


# What counts as one reference is counted, too: versions of Python differ in how a call holds its arguments.
_view = np.empty(2)[:1]
_IN_A_BOX, _AS_A_BASE = _references([np.empty(2)]), sys.getrefcount(_view.base)


def release() -> None:
    """Give the free buffers back to the operating system."""
    _pool.release()


def statistics() -> dict[str, int]:
    """Bytes in use, the most that were at once, and free bytes up to the last that was in use."""
    return _pool.statistics()
