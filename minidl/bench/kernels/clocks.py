"""How long a call takes from cold caches: on the host by its clock, on a GPU by CUDA events.

**GPU.** Before each call a buffer larger than the L2 cache is written, so that the kernel reads from memory;
then come an event, the call, and another event, all put into one stream. While the buffer is written, the
host puts the call behind it: what lies between the events is the device's time alone. A fast card writes the
buffer in less time than the host needs for a call of several launches; then it is written several times, and
the call is timed anew. Where the host is slower than even that allows, the sample says so: it is *bound by
the host*, and so is a network that makes such calls.

**Host.** Before each call every thread reads its share of a buffer larger than the last cache. (It is read,
not written: dirty lines would have to be written back during the call.)

The clock of a GPU is written against CuPy. The tests run it on the simulator, whose events tell this
machine's time; that is nobody's figure, and ``run.py`` does not take it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

#: The buffer is so many times the cache, and at least so large.
TIMES, LEAST, LEAST_ON_DEVICE = 2, 64 * 2**20, 256 * 2**20
#: How often a device's buffer is written before one call, at most, and how often a call is timed for that.
MOST_FLUSHES, TRIES = 256, 4
#: What a cache is assumed to have where the system does not say.
ASSUMED = 32 * 2**20


class Sample(NamedTuple):
    """One call.

    Attributes:
        seconds: that it took.
        bound_by_host: whether the host may not have kept up with a device.
    """

    seconds: float
    bound_by_host: bool = False


class Clock(Protocol):
    """What times a call."""

    def __call__(self, work: Callable[[], Any]) -> Sample:
        """Empty the caches, call, and say how long the call took."""


def last_cache() -> int:
    """Bytes of the largest cache of this machine's first core."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
        sizes.append(int(text.rstrip("KMG")) * unit)
    return max(sizes, default=ASSUMED)


class HostClock:
    """Times calls on the host.

    Args:
        threads: that empty their caches, as many as compute.
        size: bytes of the buffer; None: from the cache's size.
    """

    def __init__(self, threads: int, size: int | None = None) -> None:
        self.size = max(LEAST, TIMES * last_cache()) if size is None else size
        self.parts = [np.ones(max(1, self.size // threads // 8), np.float64) for _ in range(threads)]

    def flush(self) -> None:
        """Read the buffer."""
        from minidl.kernels.threads import for_each

        for_each(lambda index: self.parts[index].sum(), len(self.parts))

    def __call__(self, work: Callable[[], Any]) -> Sample:
        """See :class:`Clock`."""
        self.flush()
        began = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - began
        del result  # its buffer goes back before the next call, as in a network
        return Sample(seconds)


class DeviceClock:
    """Times calls on the current device, in the current stream.

    Args:
        xp: CuPy.
        size: bytes of the buffer; None: from the device's L2 cache.
    """

    def __init__(self, xp: Any, size: int | None = None) -> None:
        cache = int(xp.cuda.Device().attributes.get("L2CacheSize", 0))
        self.size = max(LEAST_ON_DEVICE, TIMES * cache) if size is None else size
        self.xp, self.buffer = xp, xp.zeros(max(1, self.size // 4), xp.float32)

    def __call__(self, work: Callable[[], Any]) -> Sample:
        """See :class:`Clock`."""
        flushes = 1
        for _ in range(TRIES):
            took, flushing, host = self._timed(work, flushes)
            if host <= flushing or flushes == MOST_FLUSHES:
                break
            once = max(flushing / flushes, 1e-7)
            flushes = min(MOST_FLUSHES, max(2 * flushes, int(1.5 * host / once) + 1))
        return Sample(took, host > flushing)

    def _timed(self, work: Callable[[], Any], flushes: int) -> tuple[float, float, float]:
        """Seconds of the device for the call and for the buffer before it, and of the host for the call."""
        event = self.xp.cuda.Event
        before, start, end = event(), event(), event()
        self.xp.cuda.Device().synchronize()
        before.record()
        for _ in range(flushes):
            self.buffer.fill(0)
        start.record()
        began = time.perf_counter()
        result = work()
        host = time.perf_counter() - began
        end.record()
        end.synchronize()
        flushing, took = (
            self.xp.cuda.get_elapsed_time(a, b) / 1e3 for a, b in ((before, start), (start, end))
        )
        del result
        return took, flushing, host

    def copy_rate(self, rounds: int = 5) -> float:
        """Bytes read and written in a second by a copy of the buffer, the best of some rounds."""
        target = self.xp.empty_like(self.buffer)

        def copy() -> None:
            target[...] = self.buffer

        best = min(self(copy).seconds for _ in range(rounds))
        return 2 * self.buffer.nbytes / best
