"""Threads: the same results for any number of them, errors come through, BLAS as before, forks and spawns."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import models, ops
from minidl.kernels import blas, products, threads
from oracles.backends import both_backends


@pytest.fixture(autouse=True)
def _nobody_has_set_a_number(monkeypatch):
    """As in a fresh process; BLAS is given back what it had."""
    monkeypatch.setattr(threads, "_count", None)
    with threadpoolctl.threadpool_limits():
        yield


def blas_threads():
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


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


# --- a network ----------------------------------------------------------------------------------------------


def step(workers, seed=0):
    """A training step's loss and gradients, as bytes; the batch is larger than the number of workers."""
    minidl.set_num_threads(workers)
    minidl.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = models.UNet(3, 2, base=16, depth=2, norm="batch", up="transpose")
    x = rng.normal(size=(7, 3, 32, 48)).astype(np.float32)
    loss = ops.cross_entropy(model(minidl.tensor(x)), rng.integers(0, 2, (7, 32, 48)))
    loss.backward()
    return [loss.item(), *(p.grad.data.tobytes() for p in model.parameters())]


@both_backends
def test_the_same_bits_at_the_same_number_of_threads(backend):
    assert step(2) == step(2)
    assert step(3) == step(3)


def test_reference_kernels_do_not_depend_on_the_number_of_threads():
    with minidl.use("numpy"):
        assert step(2) == step(3) == step(2)


@both_backends
def test_with_any_number_of_threads_the_results_agree_to_rounding(backend):
    """Sums over the batch may be added in another order: a sum of n terms is then off by a few eps √n."""
    one, two = step(1), step(2)
    longest = 7 * 32 * 48  # the pixels of the batch
    tolerance = 8 * np.finfo(np.float32).eps * np.sqrt(longest)
    assert one[0] == pytest.approx(two[0], rel=tolerance)
    for a, b in zip(one[1:], two[1:], strict=True):
        a, b = np.frombuffer(a, np.float32), np.frombuffer(b, np.float32)
        assert np.abs(a - b).max() <= tolerance * np.abs(a).max()


@both_backends
def test_two_python_threads_that_train_at_once_get_the_bits_that_each_gets_alone(backend):
    alone, together = [step(2, seed) for seed in (1, 2)], {}
    start = threading.Barrier(2, timeout=20)

    def work(seed):
        with minidl.use(backend):
            start.wait()
            together[seed] = [step_of(seed) for _ in range(3)]

    # The random state is the process's: the models are made beforehand.
    models_and_batches = {seed: prepared(seed) for seed in (1, 2)}

    def step_of(seed):
        model, x, labels = models_and_batches[seed]
        model.zero_grad()
        loss = ops.cross_entropy(model(minidl.tensor(x)), labels)
        loss.backward()
        return [loss.item(), *(p.grad.data.tobytes() for p in model.parameters())]

    workers = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert together == {seed: [alone[seed - 1]] * 3 for seed in (1, 2)}


@both_backends
def test_what_another_thread_holds_blas_to_changes_no_product(backend, monkeypatch):
    """The same products with the same limits, alone and while another thread is in a region.

    Whether a different cut would show in the bits depends on the processor; that there is none does not.
    """
    minidl.set_num_threads(2)
    multiply, seen = np.matmul, []

    def recorded(x, y, **options):
        seen.append((x.shape, y.shape, tuple(blas_threads())))
        return multiply(x, y, **options)

    def products_of_a_step():
        model, x, labels = prepared(1)
        features = minidl.tensor(np.ones((512, 256), np.float32), requires_grad=True)
        weight = minidl.tensor(np.ones((256, 256), np.float32), requires_grad=True)
        seen.clear()
        loss = ops.cross_entropy(model(minidl.tensor(x)), labels)
        loss = loss + ops.linear(features, weight).sum() + (features[:7] @ weight).sum()
        loss = (
            loss
            + ops.einsum("bij,bjk->bik", features.reshape(2, 256, 256), weight.reshape(1, 256, 256)).sum()
        )
        (loss + (weight[0] @ weight[1]) + (weight @ weight[0]).sum()).backward()
        return [loss.item(), weight.grad.data.tobytes(), features.grad.data.tobytes()], sorted(seen)

    monkeypatch.setattr(np, "matmul", recorded)
    alone = products_of_a_step()
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with blas.one_thread():
            entered.set()
            leave.wait(timeout=60)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    entered.wait(timeout=10)
    meanwhile = products_of_a_step()
    leave.set()
    holder.join(timeout=10)
    assert meanwhile == alone
    assert {limits for *_, limits in alone[1]} == {(1,) * len(blas_threads())}
    assert set(blas_threads()) == {2}


def prepared(seed):
    minidl.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = models.UNet(3, 2, base=16, depth=2, norm="batch", up="transpose")
    x = rng.normal(size=(7, 3, 32, 48)).astype(np.float32)
    return model, x, rng.integers(0, 2, (7, 32, 48))


# --- processes ----------------------------------------------------------------------------------------------

FORK = """
import os, numpy as np, minidl
from minidl import ops
minidl.use("BACKEND")
minidl.set_num_threads(2)
x, w = (minidl.tensor(np.ones(s, np.float32)) for s in ((4, 8, 66, 66), (8, 8, 3, 3)))
before = ops.conv2d(x, w).numpy()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if (ops.conv2d(x, w).numpy() == before).all() else 1)
    children.append(child)
    assert (ops.conv2d(x, w).numpy() == before).all()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""

SPAWN = """
import multiprocessing, numpy as np, minidl
from minidl import ops

def work(seed):
    minidl.use("BACKEND")
    minidl.set_num_threads(2)
    x, w = (minidl.tensor(np.ones(s, np.float32)) for s in ((4, 8, 66, 66), (8, 8, 3, 3)))
    return float(ops.conv2d(x, w).sum())

if __name__ == "__main__":
    here = work(0)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print([there == here for there in pool.map(work, range(3))])
"""


# Another thread compiles a kernel that nobody has (its cache is empty), or imports the kernels: the child
# must be able to do so, too.
FORK_WHILE = """
import faulthandler, os, sys, threading, time, numpy as np, minidl
from minidl import ops
minidl.use("numba")
minidl.set_num_threads(2)
x = np.ones((512, 1024), np.float32)

def work():
    minidl.use("numba")
    return ops.relu(ops.add(minidl.tensor(x), minidl.tensor(x))).numpy()

WAIT
busy = threading.Thread(target=work)
busy.start()
children = []
while busy.is_alive() and len(children) < 3:
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(100, exit=True)  # a child that hangs is ended, and tells where
        os._exit(0 if (work() == work()).all() else 1)
    children.append(child)
    time.sleep(0.1)
busy.join()
results = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(len(children) > 0, set(results))
"""
WAITS = {
    "loads": "",
    "compiles": "work()  # all is imported\nx = x.astype('f8')",
}


@pytest.mark.parametrize("doing", list(WAITS))
def test_a_fork_while_another_thread_loads_or_compiles_kernels(doing, tmp_path, monkeypatch):
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "program.py"
    file.write_text(FORK_WHILE.replace("WAIT", WAITS[doing]))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True {0}", done.stderr


def run(program, backend, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(program.replace("BACKEND", backend))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_forked_children_get_threads_of_their_own(backend, tmp_path):
    """Forked after the parent's threads have worked, and while they do: children and parent go on."""
    assert run(FORK, backend, tmp_path) == "[0, 0, 0]"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_spawned_children_compute(backend, tmp_path):
    assert run(SPAWN, backend, tmp_path) == "[True, True, True]"
