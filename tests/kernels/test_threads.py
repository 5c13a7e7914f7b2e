"""Threads: one number for kernels and BLAS, pieces and images dealt out, errors that come through."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.kernels import blas, products, threads
from oracles.thread_numbers import blas_threads, nobody_has_set_a_number  # noqa: F401 - a fixture for every test here


def test_all_cores_are_the_default_and_the_setting_is_told():
    assert minidl.get_num_threads() == threads.available_cores() >= 1
    minidl.set_num_threads(3)
    assert minidl.get_num_threads() == 3


@pytest.mark.parametrize("count", [0, -2])
def test_a_number_that_is_none(count):
    with pytest.raises(ValueError, match=f"set_num_threads.*{count}"):
        minidl.set_num_threads(count)
    assert minidl.get_num_threads() == threads.available_cores()


def test_one_number_for_kernels_and_blas():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        for count in (1, 2, 1):
            minidl.set_num_threads(count)
            assert set(blas_threads()) == {count}


def test_blas_is_held_to_one_thread_while_images_are_dealt_out():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        minidl.set_num_threads(2)
        seen = []
        threads.for_each(lambda i: seen.append(set(blas_threads())), 3)
        assert seen == [{1}] * 3
        assert set(blas_threads()) == {2}
        with pytest.raises(ZeroDivisionError):
            threads.for_each(lambda i: 1 // 0, 2)
        assert set(blas_threads()) == {2}


def test_two_regions_at_once_hold_blas_until_both_are_done():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        minidl.set_num_threads(2)
        with blas.one_thread():
            with blas.one_thread():
                minidl.set_num_threads(2)
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {2}


def test_any_thread_may_set_the_number():
    """And a region that one thread opens may be closed by another; threadpoolctl obeys one thread only."""
    minidl.set_num_threads(2)
    threads.for_each(lambda i: None, 2)
    seen = []

    def other():
        minidl.set_num_threads(1)
        seen.append(set(blas_threads()))
        minidl.set_num_threads(3)
        with blas.one_thread():
            seen.append(set(blas_threads()))
        seen.append(set(blas_threads()))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(timeout=20)
    assert seen == [{1}, {1}, {3}]
    with threadpoolctl.threadpool_limits(2, user_api="blas"):  # other users of BLAS are not locked out
        assert set(blas_threads()) == {2}


def test_a_region_gives_back_what_it_found():
    minidl.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        with blas.one_thread():
            pass
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_the_limit_holds_where_blas_keeps_a_number_for_each_thread(monkeypatch):
    """As builds with OpenMP do; and where another library sets the number while work is dealt out."""

    class Library(threading.local):
        number = 2

        def get_num_threads(self):
            return self.number

        def set_num_threads(self, count):
            self.number = count

    minidl.set_num_threads(2)
    library = Library()
    monkeypatch.setattr(blas, "_libraries", [library])
    meeting, seen = threading.Barrier(2, timeout=10), []

    def work(index):
        meeting.wait()  # two threads
        seen.append(library.number)

    threads.for_each(work, 2)
    assert seen == [1, 1]
    assert library.number == 2

    def multiply(index):
        library.number = 2
        products.matmul(np.ones((2, 2)), np.ones((2, 2)))
        seen.append(library.number)

    threads.for_each(multiply, 2)
    assert seen[2:] == [1, 1]


def test_without_a_number_reference_kernels_leave_it_to_blas():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        seen = []
        threads.for_each(lambda i: seen.append((set(blas_threads()), threading.current_thread())), 3)
        assert seen == [({2}, threading.main_thread())] * 3


# --- dealing out pieces -------------------------------------------------------------------------------------


@given(workers=st.integers(1, 5), pieces=st.integers(0, 40), parts=st.sampled_from([None, 1, 3, 100]))
def test_every_piece_is_worked_on_once(workers, pieces, parts):
    minidl.set_num_threads(workers)
    done, said = [], set()

    def kernel(begin, end, worker, *args):
        done.extend(range(begin, end))
        said.add((0 <= worker < workers, args, begin < end))

    threads.deal(kernel, pieces, "a", 2, parts=parts)
    assert sorted(done) == list(range(pieces))
    assert said <= {(True, ("a", 2), True)}


def test_a_worker_is_one_thread_at_a_time():
    """Work spaces are chosen by worker: two threads in one would spoil each other's numbers."""
    minidl.set_num_threads(4)
    inside, met = [0] * 4, []

    def kernel(begin, end, worker):
        inside[worker] += 1
        time.sleep(0.001)
        met.append(inside[worker])
        inside[worker] -= 1

    threads.deal(kernel, 64, parts=64)
    assert set(met) == {1} and len(met) == 64


def test_pieces_are_dealt_to_several_threads():
    minidl.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=10)
    threads.deal(lambda *range: meeting.wait(), 2)  # one thread alone would wait for ever


@pytest.mark.parametrize("worker_that_fails", ["the caller", "another"])
def test_an_exception_of_a_kernel_comes_when_all_are_done(worker_that_fails):
    minidl.set_num_threads(2)
    started, done = threading.Barrier(2, timeout=10), []

    def kernel(begin, end, worker):
        started.wait()
        if (worker == 0) == (worker_that_fails == "the caller"):
            raise ZeroDivisionError(f"piece {begin}")
        time.sleep(0.05)
        done.append(worker)

    with pytest.raises(ZeroDivisionError, match="piece"):
        threads.deal(kernel, 2, parts=2)
    assert len(done) == 1  # it had its say before the caller's arrays may be let go of
    threads.deal(lambda begin, end, worker: done.append(begin), 3, parts=3)
    assert sorted(done[1:]) == [0, 1, 2]


def test_a_deal_within_a_deal():
    """All threads of the pool are busy with the outer one: the inner one must not wait for them."""
    minidl.set_num_threads(2)
    done = []

    def inner(begin, end, worker):
        done.extend(range(begin, end))

    def outer(begin, end, worker):
        for _ in range(begin, end):
            threads.deal(inner, 5)

    thread = threading.Thread(target=threads.deal, args=(outer, 6), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert sorted(done) == sorted([*range(5)] * 6)


# --- images dealt out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_index_is_worked_on_once(workers, count):
    minidl.set_num_threads(workers)
    done = []
    threads.for_each(done.append, count)
    assert sorted(done) == list(range(count))


def test_the_work_is_spread_over_threads():
    minidl.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=10)
    threads.for_each(lambda i: meeting.wait(), 2)  # one thread alone would wait for ever


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_through(workers):
    minidl.set_num_threads(workers)

    def work(i):
        if i == 3:
            raise ZeroDivisionError("image 3")

    with pytest.raises(ZeroDivisionError, match="image 3"):
        threads.for_each(work, 5)
    done = []
    threads.for_each(done.append, 4)  # and the threads are usable afterwards
    assert sorted(done) == [0, 1, 2, 3]


def test_the_callers_error_state_and_preference_hold_in_the_threads():
    minidl.set_num_threads(2)
    seen = []
    with np.errstate(divide="ignore"), minidl.use("numba"):
        threads.for_each(lambda i: seen.append((np.geterr()["divide"], minidl.dispatch.backend())), 4)
    assert seen == [("ignore", "numba")] * 4


@pytest.mark.parametrize("deal", [threads.for_each, lambda work, n: threads.deal(lambda *w: work(w[0]), n)])
def test_the_callers_error_state_holds_wherever_work_is_dealt_out(deal):
    minidl.set_num_threads(2)
    meeting, seen = threading.Barrier(2, timeout=10), []

    def work(index):
        meeting.wait()
        seen.append(np.geterr()["divide"])

    with np.errstate(divide="raise"):
        deal(work, 2)
    assert seen == ["raise"] * 2
