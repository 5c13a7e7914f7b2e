"""The simulated devices' memory: what is in use is counted, and there may be a limit.

An array's memory is NumPy's; a :class:`Block` stands for it and is counted for as long as an array looks into
it. As in CuPy's pool, sizes are rounded up to 512 bytes, and what was freed stays in the pool's hands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels import forks

#: What CuPy rounds every allocation up to.
UNIT = 512


class OutOfMemoryError(MemoryError):
    """There is no room for an array; the text is CuPy's."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        text = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(text + (f", limit set to: {limit:,} bytes)." if limit else ")."))


class Block:
    """The memory of one array and its views.

    Attributes:
        device: number of the device.
        begin, end: its addresses.
        pending: the streams that have yet to copy to or from it; see ``stream.py``.
    """

    __slots__ = ("__weakref__", "begin", "device", "end", "nbytes", "pending", "pool")

    def __init__(self, pool: MemoryPool, nbytes: int, device: int) -> None:
        self.pool, self.device, self.nbytes = pool, device, 0
        self.begin = self.end = 0
        self.pending: list[Any] = []
        pool._take(nbytes, device)
        self.nbytes = nbytes

    def __del__(self) -> None:
        self.pool._give_back(self.nbytes, self.device)


class MemoryPointer:
    """What ``array.data`` is: an address on a device."""

    def __init__(self, ptr: int, device: Any) -> None:
        self.ptr = ptr
        self.device = device
        self.device_id = device.id


class MemoryPool:
    """As CuPy's default pool: counts, and an optional limit, for each device."""

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        if allocator is not None:
            raise TypeError("MemoryPool: a simulated device has one allocator")
        self._used: dict[int, int] = {}
        self._total: dict[int, int] = {}
        self._limits: dict[int, int] = {}
        self._lock = forks.guarded(
            threading.RLock()
        )  # the garbage collector may free a block while one is being counted

    def used_bytes(self) -> int:
        """Bytes that arrays of the current device hold."""
        return self._used.get(_current(), 0)

    def total_bytes(self) -> int:
        """Bytes that the pool has from the device: in use, or free to be used again."""
        return self._total.get(_current(), 0)

    def free_bytes(self) -> int:
        """Bytes that the pool keeps for arrays to come."""
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give what is not in use back to the device."""
        with self._lock:
            self._total[_current()] = self.used_bytes()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Let the pool have at most so many bytes of the current device, or that part; 0: no limit."""
        if (size is None) == (fraction is None):
            raise ValueError("set_limit: give either size or fraction")
        if size is None:
            from minidl.kernels.sim.cupy.cuda.device import TOTAL_MEMORY

            size = int((fraction or 0) * TOTAL_MEMORY)
        self._limits[_current()] = size

    def get_limit(self) -> int:
        """The limit of the current device; 0 where there is none."""
        return self._limits.get(_current(), 0)

    def _take(self, nbytes: int, device: int) -> None:
        from minidl.kernels.sim.cupy.cuda.device import TOTAL_MEMORY

        size = -(-nbytes // UNIT) * UNIT
        with self._lock:
            used = self._used.get(device, 0)
            limit = self._limits.get(device, 0)
            if used + size > (limit or TOTAL_MEMORY):
                raise OutOfMemoryError(size, used, limit)
            self._used[device] = used + size
            self._total[device] = max(self._total.get(device, 0), used + size)

    def _give_back(self, nbytes: int, device: int) -> None:
        with self._lock:
            self._used[device] = self._used.get(device, 0) - -(-nbytes // UNIT) * UNIT


def _current() -> int:
    from minidl.kernels.sim.cupy.cuda.device import get_device_id

    return get_device_id()


pool = MemoryPool()


class PinnedMemoryPointer(bytearray):
    """Host memory that a device copies from and to while the host goes on; ``np.frombuffer`` reads it."""

    @property
    def ptr(self) -> int:
        """The address."""
        return int(np.frombuffer(self, np.uint8).ctypes.data)

    def size(self) -> int:
        """Bytes from here to the end."""
        return len(self)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """At least so many bytes of pinned host memory, full of rubbish."""
    return PinnedMemoryPointer(b"\xa5" * (-(-size // UNIT) * UNIT))
