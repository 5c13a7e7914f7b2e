"""Batches on their way to a device: the right numbers arrive, and nobody reads them too early."""

from types import ModuleType

import numpy as np
import pytest

import minidl
from minidl._device import CPU, move
from minidl.train.feed import Transfer, feed
from oracles.devices import KINDS

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(2)
    return [
        (rng.random((2, 1, 4, 5 + i)).astype(np.float32), rng.integers(0, 3, (2, 4, 5 + i)))
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_all_arrive_in_order(xp: ModuleType, count: int) -> None:
    device = minidl.device("cuda" if xp.__name__ == "cupy" else "cuda_sim")
    given = batches(count)
    # Each batch is read when the next one's copy has been begun, from the same buffers' other half.
    arrived = [(move(x, CPU), move(y, CPU), host) for x, y, host in feed(given, device)]
    assert len(arrived) == count
    for (images, masks), (x, y, host) in zip(given, arrived, strict=True):
        np.testing.assert_array_equal(x, images, strict=True)
        np.testing.assert_array_equal(y, masks, strict=True)
        assert host is masks


def test_on_the_host_nothing_is_copied(xp: ModuleType) -> None:
    given = batches(2)
    assert all(x is a and y is b for (a, b), (x, y, _) in zip(given, feed(given, CPU), strict=True))


def test_the_stand_in_notices_who_does_not_wait(xp: ModuleType) -> None:
    if xp.__name__ == "cupy":
        pytest.skip("no GPU tells: reading too early there gives old numbers, now and then")
    transfer = Transfer(minidl.device("cuda_sim"))
    arrays, event = transfer.start((np.arange(4.0),))
    with pytest.raises(RuntimeError, match="wait"):
        arrays[0] + 1
    np.testing.assert_array_equal(move(transfer.finish((arrays, event))[0] + 1, CPU), np.arange(4.0) + 1)


def test_the_stand_in_shows_pinned_memory_that_is_written_again_too_early(xp: ModuleType) -> None:
    if xp.__name__ == "cupy":
        pytest.skip("no GPU tells: whether the copy is done by then is chance")
    stream = xp.cuda.Stream(non_blocking=True)
    pinned = np.frombuffer(xp.cuda.alloc_pinned_memory(16), np.float32, 4)
    pinned[...] = 1
    target = xp.empty(4, xp.float32)
    target.set(pinned, stream=stream)
    pinned[...] = 2
    stream.synchronize()
    assert target.tolist() == [2.0] * 4


def test_a_kernel_in_the_copys_own_stream_comes_after_it(xp: ModuleType) -> None:
    stream = xp.cuda.Stream(non_blocking=True)
    pinned = np.frombuffer(xp.cuda.alloc_pinned_memory(16), np.float32, 4)
    pinned[...] = 3
    target = xp.empty(4, xp.float32)
    xp.cuda.get_current_stream().synchronize()
    with stream:
        target.set(pinned, stream=stream)
        doubled = target * 2
    stream.synchronize()
    assert doubled.tolist() == [6.0] * 4
