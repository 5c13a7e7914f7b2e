"""The pool of buffers: used again, never by two at once, bounded, given back."""

from __future__ import annotations

import gc
import itertools
import mmap
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.kernels import memory

LARGE = 4 * memory.SMALLEST  # bytes; more than large enough for the pool


@pytest.fixture(autouse=True)
def _small_regions(monkeypatch):
    """Small machines must be able to map several of them."""
    monkeypatch.setattr(memory, "REGION", 2**28)


@pytest.fixture
def pool():
    return memory.Pool()


def address(array):
    return array.__array_interface__["data"][0]


def taken(pool, nbytes=LARGE):
    return np.asarray(pool.take(nbytes))


# --- arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (1000, 1000), (7, 333, 501)])
def test_an_array_as_numpy_would_make_it(shape, dtype):
    array = memory.empty(shape, dtype)
    assert array.shape == shape and array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 1
    assert array.sum() == array.size


def test_channels_last_by_memory_only():
    for shape in ((2, 3, 5, 7), (2, 64, 96, 96)):
        array = memory.empty_channels_last(shape, "float32")
        assert array.shape == shape and array.transpose(0, 2, 3, 1).flags.c_contiguous


@given(size=st.integers(memory.SMALLEST, 8 * memory.SMALLEST))
def test_large_arrays_begin_on_a_page(size):
    assert address(memory.empty((size,), np.uint8)) % memory.PAGE == 0


def test_small_arrays_are_numpys(monkeypatch):
    monkeypatch.setattr(memory, "_pool", None)
    memory.empty((memory.SMALLEST // 8 - 1,), np.float64)
    with pytest.raises(AttributeError):
        memory.empty((memory.SMALLEST // 8,), np.float64)


# --- used again ---------------------------------------------------------------------------------------------


def test_memory_is_used_again(pool):
    first = taken(pool)
    place = address(first)
    del first
    assert address(taken(pool, LARGE - 100)) == place


def test_neighbours_that_are_free_become_one(pool):
    """In each order of letting three neighbours go: one as large as all of them fits into their place."""
    for order in itertools.permutations(range(3)):
        held = [taken(pool, LARGE) for _ in range(3)]
        behind = taken(pool)
        place = min(map(address, held))
        for k in order:
            held[k] = None
        whole = taken(pool, 3 * LARGE)
        assert address(whole) == place
        del whole, behind


def test_the_smallest_stretch_that_fits_is_taken(pool):
    sizes = (5, 2, 3)
    held = [(taken(pool, k * LARGE), taken(pool)) for k in sizes]  # something between them stays
    places = [address(a) for a, _ in held]
    held = [b for _, b in held]
    assert address(taken(pool, 3 * LARGE)) == places[2]
    assert len(held) == 3


def test_more_than_a_region_gets_one_of_its_own(pool):
    first = taken(pool)
    larger = pool.take(memory.REGION + 1)  # never touched: it costs nothing
    assert [r.memory.size for r in pool.regions] == [memory.REGION, memory.REGION + memory.HUGE_PAGE]
    del first, larger
    assert pool.statistics()["in_use"] == 0


def test_arrays_that_grow_do_not_leave_all_their_sizes_behind(pool):
    for k in range(1, 6):
        array = pool.take(memory.REGION * k)  # never touched
        del array
    assert [r.memory.size for r in pool.regions] == [5 * memory.REGION]


def test_where_no_whole_region_is_to_be_had_what_is_asked_for_may_be(pool, monkeypatch):
    whole = memory._mapped

    def limited(size):
        if size > memory.HUGE_PAGE:
            raise MemoryError(f"no {size} bytes")
        return whole(size)

    monkeypatch.setattr(memory, "_mapped", limited)
    assert taken(pool, LARGE).size == LARGE
    with pytest.raises(MemoryError, match="no 4194304 bytes"):
        pool.take(memory.HUGE_PAGE + 1)
    assert pool.statistics()["in_use"] == 0


def test_more_than_the_system_has_is_a_memory_error(pool):
    with pytest.raises(MemoryError, match=r"the system has no [0-9,]+ MiB of memory for arrays"):
        pool.take(2**60)


def test_no_buffer_is_handed_out_while_anything_looks_into_it(pool):
    """Views of views, other dtypes and shapes, memory views: all keep it."""
    makers = (
        lambda a: a[100:],
        lambda a: a.view(np.float32).reshape(-1, 4).T[1:, ::2],
        lambda a: a[:64].view(np.float64)[3:4],
        memoryview,
        lambda a: np.frombuffer(a, np.int16),
        lambda a: np.broadcast_to(a[:1], (5, 5)),
    )
    for make in makers:
        whole = taken(pool)
        place, kept = address(whole), make(whole)
        del whole
        assert address(taken(pool)) != place
        del kept
        assert address(taken(pool)) == place


@given(st.lists(st.tuples(st.sampled_from(["take", "drop"]), st.integers(0, 9)), max_size=60))
def test_arrays_in_use_never_overlap_and_the_books_are_right(steps):
    pool, held = memory.Pool(), []
    most = 0
    for step, k in steps:
        if step == "take":
            held.append(taken(pool, LARGE // 2 + k // 4 * LARGE))
        elif held:
            held.pop(k % len(held))
        ranges = sorted((address(a), address(a) + a.size) for a in held)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(ranges))
        in_use = sum(a.size for a in held)
        most = max(most, in_use)
        told = pool.statistics()
        assert (told["in_use"], told["most"]) == (in_use, most)
        # What is not in use is free, once, and no two free stretches are neighbours.
        for region in pool.regions:
            assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(region.free))
        free = sum(end - begin for region in pool.regions for begin, end in region.free)
        assert free + in_use == memory.REGION * len(pool.regions)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_same_work_again_touches_no_new_memory(steps):
    """What a step let go of is one piece again: the next one finds what the first one did."""
    pool = memory.Pool()

    def work():
        held = []
        for size, k in steps:
            held.append(pool.take(size * LARGE))  # never touched
            if k < 5:
                held.pop(k % len(held))
        held.clear()
        told = pool.statistics()
        assert all(len(region.free) == 1 for region in pool.regions) and told["in_use"] == 0
        return told["most"], told["kept"]

    first = work()
    assert [work() for _ in range(3)] == [first] * 3


def test_release_gives_everything_back(pool):
    held, dropped = taken(pool), taken(pool)
    held[...], dropped[...] = 7, 7
    place = address(dropped)
    del dropped
    assert pool.statistics() == {"in_use": LARGE, "most": 2 * LARGE, "kept": LARGE}
    pool.release()
    assert pool.statistics() == {"in_use": LARGE, "most": LARGE, "kept": 0}
    assert (held == 7).all()
    again = taken(pool)
    if address(again) == place and hasattr(mmap, "MADV_DONTNEED"):
        assert not again.any()  # fresh from the system: zeros
    del held, again
    pool.release()
    assert pool.regions == []


def test_the_pool_of_the_process_tells_and_releases():
    memory.release()
    before = memory.statistics()
    array = memory.empty((5 * memory.REGION,), np.uint8)  # in a region of its own, beside others of 2**30
    assert memory.statistics()["in_use"] == before["in_use"] + array.size
    del array
    assert memory.statistics()["kept"] == before["kept"] + 5 * memory.REGION
    memory.release()
    assert memory.statistics() == {**before, "most": before["in_use"]}


def test_the_garbage_collector_may_run_anywhere(pool):
    """An array in a cycle is brought back by the collector, also from inside the pool's own allocations."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            cycle = [taken(pool)]
            cycle.append(cycle)
            del cycle
            taken(pool)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert pool.statistics()["in_use"] == 0


def test_many_threads_never_share_a_buffer(pool):
    wrong = []

    def work(mark):
        for _ in range(300):
            array = taken(pool)
            array[::4096] = mark
            if (array[::4096] != mark).any():
                wrong.append(mark)
            del array

    workers = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert not wrong and pool.statistics()["in_use"] == 0


# --- given away ---------------------------------------------------------------------------------------------


def test_what_nobody_else_holds_may_be_given_away(pool):
    """Another name for the array, for what it is a view of, or for another view: each is somebody else."""
    for make in (lambda: np.zeros((3, 4)), lambda: taken(pool).view(np.float32).reshape(-1, 4)):
        assert memory.is_nobody_elses([make()])
        assert memory.is_nobody_elses([make()[1:].T])
        held = make()
        assert not memory.is_nobody_elses([held])
        assert not memory.is_nobody_elses([held[1:]])
        other, box = held[2:], [held[:1].T]
        del held
        assert not memory.is_nobody_elses(box) and other.size
        del other
        assert memory.is_nobody_elses(box)


def test_memory_that_numpy_does_not_own_is_not_given_away():
    text = bytearray(64)
    assert not memory.is_nobody_elses([np.frombuffer(text, np.uint8)])
    assert not memory.is_nobody_elses([np.frombuffer(memoryview(bytes(64)), np.uint8)[3:]])
    assert not memory.is_nobody_elses([[1.0]])


# --- with the tape ------------------------------------------------------------------------------------------


def convolved(x):
    w = minidl.tensor(np.ones((8, 4, 3, 3), np.float32), requires_grad=True)
    return ops.conv2d(x, w, padding=1)


def test_an_activation_that_the_tape_saved_is_not_handed_out_again():
    x = minidl.tensor(np.ones((2, 4, 96, 96), np.float32))
    with minidl.use("numba"):
        y = convolved(x)
        z = y * y  # saves y
        del y
        others = [memory.empty_channels_last((2, 8, 96, 96), np.float32) for _ in range(4)]
        for other in others:
            other[...] = np.nan
        z.sum().backward()
    assert np.isfinite(z.data).all()


def test_a_change_in_place_of_an_array_from_the_pool_is_noticed():
    """The tape finds the tensor that a saved array belongs to by its memory's owner."""
    x = minidl.tensor(np.ones((2, 4, 96, 96), np.float32))
    with minidl.use("numba"):
        y, other = convolved(x), convolved(x)
        squares = y * y
        with minidl.no_grad():
            other.copy_(np.zeros(other.shape, np.float32))  # memory of the pool, too, but not the same
        squares.sum().backward(retain_graph=True)
        squares = y[0] * y[0]  # of a view
        with minidl.no_grad():
            y.copy_(np.zeros(y.shape, np.float32))
        with pytest.raises(RuntimeError, match="changed in place"):
            squares.sum().backward()


def test_nothing_is_said_at_the_end_of_the_interpreter():
    """Arrays of the pool that live until the end are let go of while modules are taken down."""
    code = "from minidl.kernels import memory; a = memory.empty((10**6,), 'float32'); b = [a]; b.append(b)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
