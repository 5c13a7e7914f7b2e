"""Several images at once: the same results for any number of threads, errors come through, BLAS as before."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl

import minidl
from minidl import models, ops
from minidl.kernels import threads


@pytest.fixture(autouse=True)
def _one_worker_again():
    yield
    minidl.set_num_threads(1)


def blas_threads():
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def test_one_worker_is_the_default_and_the_setting_is_told():
    assert minidl.get_num_threads() == 1
    minidl.set_num_threads(3)
    assert minidl.get_num_threads() == 3


@pytest.mark.parametrize("count", [0, -2])
def test_a_number_that_is_none(count):
    with pytest.raises(ValueError, match=f"set_num_threads.*{count}"):
        minidl.set_num_threads(count)
    assert minidl.get_num_threads() == 1


def test_blas_is_held_to_one_thread_meanwhile():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        minidl.set_num_threads(2)
        assert set(blas_threads()) == {1}
        minidl.set_num_threads(1)
        assert set(blas_threads()) == {2}


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


def step(workers):
    """A training step's loss and gradients, as bytes; the batch is larger than the number of workers."""
    minidl.set_num_threads(workers)
    minidl.manual_seed(0)
    model = models.UNet(3, 2, base=16, depth=2, norm="batch", up="transpose")
    x = np.random.default_rng(0).normal(size=(7, 3, 32, 48)).astype(np.float32)
    loss = ops.cross_entropy(model(minidl.tensor(x)), np.random.default_rng(1).integers(0, 2, (7, 32, 48)))
    loss.backward()
    return [loss.item(), *(p.grad.data.tobytes() for p in model.parameters())]


def test_the_result_does_not_depend_on_the_number_of_workers():
    assert step(2) == step(3) == step(2)


def test_with_and_without_workers_the_results_agree_to_rounding():
    """BLAS with threads of its own may add in another order: a sum of n terms is then off by a few eps √n."""
    one, two = step(1), step(2)
    tolerance = (
        8 * np.finfo(np.float32).eps * np.sqrt(7 * 32 * 48)
    )  # the pixels of the batch: the longest sum
    assert one[0] == pytest.approx(two[0], rel=tolerance)
    for a, b in zip(one[1:], two[1:], strict=True):
        a, b = np.frombuffer(a, np.float32), np.frombuffer(b, np.float32)
        assert np.abs(a - b).max() <= tolerance * np.abs(a).max()


def test_a_forked_child_gets_threads_of_its_own():
    code = """
import os, numpy as np, minidl
from minidl import ops
minidl.set_num_threads(2)
x, w = (minidl.tensor(np.ones(s, np.float32)) for s in ((4, 1, 6, 6), (2, 1, 3, 3)))
before = ops.conv2d(x, w).numpy()
child = os.fork()
if child == 0:
    os._exit(0 if (ops.conv2d(x, w).numpy() == before).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "0", done.stderr
