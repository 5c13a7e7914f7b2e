"""Threads that hand compiled kernels to one another: pieces, types, sleepers, errors, two callers at once."""

from __future__ import annotations

import _thread
import gc
import signal
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.kernels import blas, products, threads

pytest.importorskip("numba", reason="Numba is not installed")
from minidl.kernels.cpu import calls, compiled, team  # after the skip
from minidl.kernels.cpu.atomics import pause, read, write
from oracles.interruptions import interrupted


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    monkeypatch.setattr(threads, "_count", None)
    minidl.set_num_threads(2)


@compiled
def _count(begin, end, worker, pieces, workers, a, b, flag, strided):
    for piece in range(begin, end):
        pieces[piece] += 1
        workers[piece] = worker
    if begin < end and (a != 7 or b != 0.5 or not flag or strided[1, 1] != 11):
        pieces[begin] = -100


def given_to(pieces, parts, seen, workers):
    strided = np.arange(20, dtype=np.int32).reshape(4, 5)[::2, 1::2].T[:2]  # [1, 1] is 13
    strided[1, 1] = 11
    threads.deal(_count, pieces, seen, workers, 7, 0.5, True, strided, parts=parts)


@settings(deadline=None)
@given(pieces=st.integers(0, 50), parts=st.sampled_from([None, 1, 3, 100]), count=st.integers(1, 4))
def test_every_piece_is_worked_on_once_with_the_arguments_that_were_given(pieces, parts, count):
    minidl.set_num_threads(count)
    seen, workers = np.zeros(pieces, np.int64), np.zeros(pieces, np.int64)
    given_to(pieces, parts, seen, workers)
    assert (seen == 1).all()
    assert ((workers >= 0) & (workers < count)).all()


def test_the_team_works_and_is_asked_first(monkeypatch):
    """Not the path for functions that are not compiled, which would hide a broken team."""
    done = []
    whole = team.Team.work
    monkeypatch.setattr(team.Team, "work", lambda *args: done.append(args[2:4]) or whole(*args))
    given_to(9, 5, np.zeros(9, np.int64), np.zeros(9, np.int64))
    assert done == [(9, 5)]


@compiled
def _slow(begin, end, worker, turns, sums):
    for piece in range(begin, end):
        total = 0.0
        for i in range(turns[piece]):
            total += np.sqrt(float(i + piece))
        sums[piece, 0] = total
        sums[piece, 1] = worker


@pytest.mark.parametrize("long_piece", [0, 1])
def test_whoever_is_done_first_waits_for_the_other(long_piece):
    """Long enough for either thread to go to sleep meanwhile; and helpers that sleep are woken."""
    turns = np.array([10, 10])
    turns[long_piece] = 5_000_000  # some milliseconds: many times SPIN
    sums = np.zeros((2, 2))
    for idle in (0, 3 * team.SPIN, 20 * team.SPIN):
        sums[:] = -1
        time.sleep(idle)
        threads.deal(_slow, 2, turns, sums, parts=2)
        assert sums[1 - long_piece, 0] >= 0
        assert sums[long_piece, 0] > 1e9


@pytest.mark.parametrize("rounds", [2000])
def test_many_small_kernels_with_pauses_of_every_length(rounds):
    """The moment in which a helper falls asleep is met now and then; a lost wake-up would hang here."""
    rng = np.random.default_rng(0)
    seen, workers = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for _ in range(rounds):
        given_to(4, 4, seen, workers)
        until = time.perf_counter() + rng.uniform(0, 2 * team.SPIN)
        while time.perf_counter() < until:
            pass
    assert (seen == rounds).all()


def test_two_callers_at_once():
    """One has the team, the other works by itself; nothing is lost or done twice."""
    seen = {name: np.zeros(30, np.int64) for name in "ab"}
    start = threading.Barrier(2, timeout=20)

    def call(name):
        start.wait()
        for _ in range(300):
            given_to(30, None, seen[name], np.zeros(30, np.int64))

    callers = [threading.Thread(target=call, args=(name,), daemon=True) for name in "ab"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert all((counts == 300).all() for counts in seen.values())


@compiled
def _fails(begin, end, worker, x):
    if begin <= 3 < end:
        raise ValueError("piece 3")
    x[begin:end] = 1


def test_a_kernel_that_fails_is_named_when_all_are_done():
    x = np.zeros(8)
    with pytest.raises(RuntimeError, match="_fails"):
        threads.deal(_fails, 8, x, parts=8)
    assert x.sum() == 7  # the others had their say before the arrays may be let go of
    seen = np.zeros(5, np.int64)
    given_to(5, None, seen, np.zeros(5, np.int64))  # and the team goes on
    assert (seen == 1).all()


@compiled
def _helper_works(begin, end, worker, begun, turns, sums):
    """The caller only waits for the helper to begin; then it has nothing to do and goes to sleep."""
    for piece in range(begin, end):
        total = 0.0
        if worker == 0:
            while read(begun, 0) == 0:
                pause()
        else:
            write(begun, 0, 1)
            for i in range(turns):
                total += np.sqrt(float(i + piece))
        sums[piece, 0] = total


def test_after_an_interruption_nothing_is_spoilt():
    """Ctrl-C while the caller sleeps and its helper works: its part is ended, then another team made."""
    begun, sums = np.zeros(1, np.int64), np.full((2, 2), -1.0)
    _helper_works(0, 0, 0, begun.ctypes.data, 0, sums)  # compiled before the clock starts
    threads.deal(_helper_works, 2, begun.ctypes.data, 1, sums, parts=2)  # so that there is a team
    begun[0], sums[...] = 0, -1.0
    before = weakref.ref(team._spare[0])

    def deal_on():
        threads.deal(_helper_works, 2, begun.ctypes.data, 200_000_000, sums, parts=2)

    # Who started the tests may have set the signal to be ignored, as shells do in the background.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            deal_on()
        timer.join()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert not team._spare and (sums[:, 0] >= 0).all()
    for _ in range(50):
        seen = np.zeros(5, np.int64)
        given_to(5, None, seen, np.zeros(5, np.int64))
        assert (seen == 1).all()
    gc.collect()
    assert before() is None


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such clock on this system")
@pytest.mark.parametrize("what", ["compiled", "python", "products"])
def test_interruptions_keep_no_thread_no_array_and_no_hold(what, monkeypatch):
    # What Ctrl-C interrupts may be a destructor; pytest would keep that one's frames, with their arrays.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    arrays = []

    class Noted(np.ndarray):
        pass

    def once():
        x = np.zeros(200_000).view(Noted)
        arrays.append(weakref.ref(x))
        if what == "compiled":
            threads.deal(_add, x.size, x.view(np.ndarray), 1.0)
        elif what == "python":
            threads.deal(lambda begin, end, worker: np.add(x[begin:end], 1, out=x[begin:end]), x.size)
        else:
            products.matmul(x.view(np.ndarray)[:40_000].reshape(200, 200), np.ones((200, 900)))

    once()
    before = many() + 2
    blas.set_num_threads(2)
    held = [library.get_num_threads() for library in blas._libraries]
    assert interrupted(once, 100) > 20
    gc.collect()
    until = time.monotonic() + 30  # who was told to end may take a moment
    while (any(x() is not None for x in arrays) or many() > before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not [x for x in arrays if x() is not None] and many() <= before
    assert not blas._regions and [library.get_num_threads() for library in blas._libraries] == held
    for _ in range(20):
        seen = np.zeros(5, np.int64)
        given_to(5, None, seen, np.zeros(5, np.int64))
        assert (seen == 1).all()


def many():
    return sum(thread.name.startswith("minidl") for thread in threading.enumerate())


@compiled
def _add(begin, end, worker, x, amount):
    for i in range(begin, end):
        x[i] += amount


def test_rows_of_arguments():
    rows = [(np.zeros(n, np.float32), np.float32(n)) for n in (5, 1, 9)]
    cuts = [(b, min(b + 2, x.size), row) for row, (x, _) in enumerate(rows) for b in range(0, x.size, 2)]
    threads.deal_rows(_add, rows, cuts)
    for x, amount in rows:
        assert (x == amount).all()


def test_rows_of_different_types_are_worked_on_one_by_one():
    rows = [(np.zeros(4, np.float32), np.float32(1)), (np.zeros(4), 2.0)]
    threads.deal_rows(_add, rows, [(0, 4, 0), (0, 2, 1), (2, 4, 1)])
    assert [x.tolist() for x, _ in rows] == [[1] * 4, [2] * 4]


def test_arguments_that_the_team_does_not_know_are_left_to_the_caller():
    @compiled
    def kernel(begin, end, worker, pair):
        for i in range(begin, end):
            pair[1][i] = pair[0][i] + 1

    x, y = np.arange(6.0), np.zeros(6)
    assert calls.entry_of(kernel, ((x, y),)) is None
    threads.deal(kernel, 6, (x, y))
    assert (y == x + 1).all()


def test_numpy_arrays_look_as_the_team_expects():
    assert calls._numpy_is_as_expected()
