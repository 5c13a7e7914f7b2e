"""The clocks: what is put into a GPU's stream, and in which order; the flow on the simulator. No times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl.bench.kernels import clocks
from minidl.bench.kernels.clocks import DeviceClock, HostClock
from oracles.devices import KINDS


class FakeGpu:
    """CuPy's interface as far as the clock uses it; every step is noted, and takes the time it is told to."""

    def __init__(self, cache: int = 50 * 2**20, flushing: float = 3.0) -> None:
        self.noted: list[str] = []
        self.now, self.float32 = 0.0, np.float32
        gpu, flush_ms = self, flushing

        class Event:
            def record(self) -> None:
                gpu.noted.append("event")
                self.at = gpu.now

            def synchronize(self) -> None:
                gpu.noted.append("wait for event")

        class Buffer:
            def __init__(self, count: int) -> None:
                self.size, self.nbytes = count, 4 * count

            def fill(self, value: float) -> None:
                gpu.noted.append("flush")
                gpu.now += flush_ms

            def __setitem__(self, key: Any, other: Any) -> None:
                gpu.noted.append("copy")
                gpu.now += 2.0

        self.zeros = lambda count, dtype: Buffer(count)
        self.empty_like = lambda other: Buffer(other.size)
        device = SimpleNamespace(
            attributes={"L2CacheSize": cache}, synchronize=lambda: gpu.noted.append("wait for device")
        )
        self.cuda = SimpleNamespace(
            Event=Event, Device=lambda: device, get_elapsed_time=lambda a, b: b.at - a.at
        )

    def work(self) -> None:
        self.noted.append("work")
        self.now += 5.0


def test_the_cache_is_flushed_before_the_first_event_and_the_call_lies_between_two():
    gpu = FakeGpu()
    sample = DeviceClock(gpu)(gpu.work)
    assert gpu.noted == ["wait for device", "event", "flush", "event", "work", "event", "wait for event"]
    assert sample.seconds == pytest.approx(5e-3) and not sample.bound_by_host


def host_that_takes(seconds: float, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A call that the host needs so long for, by a clock that nothing else moves."""
    now = [0.0]

    def work() -> None:
        gpu.work()
        now[0] += seconds

    monkeypatch.setattr(clocks, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return work


def test_a_host_that_does_not_keep_up_is_noted(monkeypatch):
    gpu = FakeGpu(flushing=0.0)
    sample = DeviceClock(gpu)(host_that_takes(0.001, gpu, monkeypatch))
    assert sample.bound_by_host and sample.seconds == pytest.approx(5e-3)
    assert gpu.noted.count("work") <= clocks.TRIES
    slow = FakeGpu(flushing=0.065)
    assert DeviceClock(slow)(host_that_takes(1.0, slow, monkeypatch)).bound_by_host
    assert slow.noted.count("flush") <= clocks.TRIES * clocks.MOST_FLUSHES


def test_a_card_that_writes_the_buffer_at_once_writes_it_until_the_host_has_caught_up(monkeypatch):
    """65 us on an H200, where a convolution's launches take the host several hundred."""
    gpu = FakeGpu(flushing=0.065)
    sample = DeviceClock(gpu)(host_that_takes(0.0008, gpu, monkeypatch))
    assert not sample.bound_by_host and sample.seconds == pytest.approx(5e-3)
    last = len(gpu.noted) - gpu.noted[::-1].index("wait for device")
    flushes = gpu.noted[last:].count("flush")
    assert 0.8 <= 0.065 * flushes <= 1.6, "as long as the host needs, and not much longer"
    assert gpu.noted[last:] == [
        "event", *["flush"] * flushes, "event", "work", "event", "wait for event"
    ]  # fmt: skip


@pytest.mark.parametrize(("cache", "size"), [(50 * 2**20, 256 * 2**20), (200 * 2**20, 400 * 2**20)])
def test_the_buffer_is_larger_than_the_cache(cache, size):
    gpu = FakeGpu(cache)
    assert DeviceClock(gpu).size == size > cache


def test_the_copy_rate_counts_both_ways():
    assert DeviceClock(FakeGpu(), 1000).copy_rate() == pytest.approx(2 * 1000 / 2e-3)


@pytest.mark.parametrize("xp", KINDS, indirect=True)
def test_the_flow_on_a_device(xp):
    clock = DeviceClock(xp, 4096)
    done = []
    sample = clock(lambda: done.append(xp.arange(3.0)))
    assert 1 <= len(done) <= clocks.TRIES and sample.seconds >= 0
    assert clock.copy_rate(1) > 0 and clock.buffer.nbytes == 4096
    assert int(xp.cuda.Device().attributes["L2CacheSize"]) > 0


def test_the_host_reads_its_buffer_before_each_call(monkeypatch):
    order = []
    clock = HostClock(2, 2**16)
    assert sum(part.nbytes for part in clock.parts) == 2**16
    monkeypatch.setattr(clock, "flush", lambda: order.append("flush"))
    sample = clock(lambda: order.append("work"))
    assert order == ["flush", "work"] and sample.seconds >= 0 and not sample.bound_by_host


def test_the_hosts_buffer_is_larger_than_its_cache(monkeypatch):
    monkeypatch.setattr(clocks, "last_cache", lambda: 48 * 2**20)
    assert HostClock(3).size == 96 * 2**20
    monkeypatch.setattr(clocks, "last_cache", lambda: 2**20)
    assert HostClock(1).size == 64 * 2**20
    HostClock(1, 2**12).flush()
