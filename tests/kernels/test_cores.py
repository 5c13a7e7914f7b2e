"""Threads that work together on cores of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import minidl
from minidl.kernels import threads

pytest.importorskip("numba", reason="Numba is not installed")
from minidl.kernels.cpu import compiled, cores, team  # after the skip

PLACING = hasattr(os, "sched_setaffinity")


@contextmanager
def sleeper() -> Iterator[int]:
    """A thread that does nothing; its number in the system."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    try:
        yield thread.native_id or 0
    finally:
        end.set()
        thread.join()


@compiled
def count(begin: int, end: int, worker: int, x: np.ndarray) -> None:
    for piece in range(begin, end):
        x[piece] += 1


def test_the_core_is_one_that_the_thread_may_use() -> None:
    assert cores.current_core() in (os.sched_getaffinity(0) if PLACING else {cores.UNKNOWN})


def test_where_nothing_is_known_nothing_is_done() -> None:
    with sleeper() as thread:
        assert not cores.keep_away(thread, cores.UNKNOWN)


def test_a_thread_keeps_away_from_a_core_and_only_from_that() -> None:
    if not PLACING:
        assert cores.current_core() == cores.UNKNOWN
        return
    allowed = os.sched_getaffinity(0)
    for core in allowed:
        with sleeper() as thread:
            moved = cores.keep_away(thread, core)
            assert moved == (len(allowed) > 1)
            assert os.sched_getaffinity(thread) == (allowed - {core} if moved else allowed)
    assert os.sched_getaffinity(0) == allowed


def test_an_error_of_the_system_is_no_error() -> None:
    with sleeper() as thread:
        ended = thread
    assert not cores.keep_away(2**22 + ended, cores.current_core())  # no thread has such a number


def test_a_helper_that_is_woken_leaves_its_callers_core_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = sorted(os.sched_getaffinity(0)) if PLACING else [cores.UNKNOWN]
    before = threads.get_num_threads()
    monkeypatch.setattr(team, "_spare", [team.Team()])
    minidl.set_num_threads(2)
    try:
        x = np.zeros(64)
        for times, core in enumerate([*allowed, *allowed], 1):
            monkeypatch.setattr(team, "current_core", lambda core=core: core)
            threads.deal(count, x.size, x)
            helper = team._spare[0].helpers[0]
            while helper.controls[team.STATE] != team.ASLEEP:  # so that the next deal wakes it
                time.sleep(0.001)
            assert (x == times).all()
            if times > 1 and len(allowed) > 1:  # the first time it may not have slept yet
                assert os.sched_getaffinity(helper.thread.native_id or 0) == set(allowed) - {core}
    finally:
        minidl.set_num_threads(before)
