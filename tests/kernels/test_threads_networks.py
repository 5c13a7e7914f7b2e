"""A network's step on several threads: the same bits at one number of them, whatever others do meanwhile."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minidl
from minidl import models, ops
from minidl.kernels import blas
from oracles.backends import both_backends
from oracles.thread_numbers import blas_threads, nobody_has_set_a_number  # noqa: F401 - a fixture for every test here


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
