"""Stores past the caches write what others write, and who uses them gets the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels import memory, threads
from minidl.kernels.cpu import (
    activations,
    arithmetic,
    avg_pool2d,
    cat,
    compiled,
    dropout,
    interpolate,
    max_pool2d,
    normalize,
    streams,
)  # fmt: skip
from minidl.kernels.cpu.vectors import VECTOR_BYTES, lanes, load
from oracles import strategies

SHAPE = (4, 32, 50, 60)


@pytest.fixture
def x():
    return strategies.channels_last(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))


@compiled
def _write(begin, end, worker, x, y, first, count, far):
    for i in range(first, first + count, lanes(x)):
        streams.put(y, i, load(x, i, first + count - i), first + count - i, far)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [False, True])
def test_put_writes_the_lanes_that_count(dtype, far):
    width = VECTOR_BYTES // np.dtype(dtype).itemsize
    x = np.random.default_rng(0).normal(size=8 * width).astype(dtype)
    for count in (1, width, 3 * width + 1, 4 * width - 1):
        y = memory.work_space(x.shape, dtype)  # begins with a page
        y[:] = 7
        _write(0, 1, 0, x, y, width, count, far)
        np.testing.assert_array_equal(y[width : width + count], x[width : width + count])
        assert (y[:width] == 7).all() and (y[width + count :] == 7).all()


def test_who_is_far(monkeypatch):
    monkeypatch.setattr(streams, "FAR", 4096)
    y = memory.work_space((4096,), np.float32)
    assert streams.is_far(y) and streams.is_far(y, 64) and not streams.is_far(y, 3)
    assert not streams.is_far(y[:1023])
    assert not streams.is_far(y[1:])


def test_other_threads_see_what_was_written(monkeypatch):
    """A thread writes past its caches, another one reads, a hundred times: never is anything old there."""
    monkeypatch.setattr(streams, "FAR", 1)
    x = np.ones(SHAPE, np.float32)
    for value in range(1, 101):
        x[:] = value
        y = activations.leaky_relu(activations.leaky_relu(x, 0.1), 0.1)
        assert (y == value).all()


def _resized(x):
    index = np.arange(2 * x.shape[2]) // 2, np.arange(2 * x.shape[3]) // 2
    return interpolate.forward(x, ((index[0], None),), ((index[1], None),))


def _pooled_and_back(x):
    best, tap = max_pool2d.forward(x, (2, 2), (25, 30), (2, 2), (0, 0), (1, 1))
    return max_pool2d.backward(best, tap, x.shape, (2, 2), (2, 2), (0, 0), (1, 1))


def _pooled_over_each_other_and_back(x):
    best, tap = max_pool2d.forward(x, (3, 3), (25, 30), (2, 2), (1, 1), (1, 1))
    return max_pool2d.backward(best, tap, x.shape, (3, 3), (2, 2), (1, 1), (1, 1))


def _normalised(groups):
    def run(x):
        n, c, h, w = x.shape
        flat = x.transpose(0, 2, 3, 1).reshape(n, h * w, c).transpose(0, 2, 1)
        y, mean, var, s = normalize.forward(flat, None, None, groups, 1e-5)
        return (y, mean, var, s, *normalize.backward(y * y, flat, None, mean, s, groups, (True, True, True)))

    return run


@pytest.mark.parametrize(
    "run",
    [
        lambda x: activations.relu(x),
        lambda x: activations.silu_backward(x, x),
        lambda x: arithmetic.add(x, x),
        lambda x: cat.forward(x, x[:, :16], axis=1),
        lambda x: cat.forward(x, x, x, axis=0),
        lambda x: dropout.backward(x, x),
        lambda x: avg_pool2d.backward(x, (4, 32, 100, 120), (2, 2), (2, 2), (0, 0), 4),
        _resized,
        _pooled_and_back,
        _pooled_over_each_other_and_back,
        _normalised(None),
        _normalised(4),
    ],
    ids=[
        "relu", "silu backward", "add", "cat of channels", "cat of images", "dropout backward",
        "average pooling", "resizing", "pooling", "pooling, windows overlap", "batch norm", "group norm",
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 2])
def test_the_same_bits_near_and_far(monkeypatch, x, run, count):
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        near = run(x)
        monkeypatch.setattr(streams, "FAR", 1)
        far = run(x)
    finally:
        threads.set_num_threads(before)
    near, far = (result if isinstance(result, tuple) else (result,) for result in (near, far))
    for a, b in zip(near, far, strict=True):
        assert a.strides == b.strides and a.tobytes() == b.tobytes()
