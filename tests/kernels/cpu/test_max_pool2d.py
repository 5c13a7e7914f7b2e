"""The compiled max pooling: the reference's results to the bit, gradients, threads, a U-Net with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import dispatch, models, ops
from minidl.kernels.cpu import max_pool2d as compiled
from minidl.kernels.reference import max_pool2d as reference
from oracles import pool_loops, strategies, window_strategies
from oracles.pool_loops import starts


@st.composite
def cases(draw):
    """(x, (kernel, out, stride, padding, dilation), cotangent); ties, NaN, infinities in x; extents from one,
    windows over the end."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    size, out = [], []
    for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True):
        allowed = [(n, starts(n, k, s, p, d, ceil)) for n in range(1, 20)]
        n, begins = draw(st.sampled_from([row for row in allowed if holds_pixels(*row, k, d)][:9]))
        size.append(n)
        out.append(len(begins))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(strategies.seeds))
    x = rng.normal(size=shape)
    if draw(st.booleans()):
        x = np.round(x)  # ties, and zeros of both signs
    if draw(st.booleans()):
        x[rng.random(shape) < 0.2] = np.nan
    for infinity in draw(st.lists(st.sampled_from([np.inf, -np.inf]))):
        x[rng.random(shape) < 0.4] = infinity
    g = rng.normal(size=(*shape[:2], *out))
    return x.astype(dtype), (kernel, tuple(out), stride, padding, dilation), g.astype(dtype)


def holds_pixels(extent, begins, kernel, dilation):
    """Whether there are windows, and each of them has a tap on a pixel."""
    return bool(begins) and all(any(0 <= b + u * dilation < extent for u in range(kernel)) for b in begins)


def check(x, window, g):
    for module_results in zip(compiled.forward(x, *window), reference.forward(x, *window), strict=True):
        assert_same(*module_results)
    _, tap = reference.forward(x, *window)
    kernel, _, *others = window
    arguments = (g, tap, x.shape, kernel, *others)
    assert_same(compiled.backward(*arguments), reference.backward(*arguments))


def assert_same(actual, expected):
    """Shape, dtype and every bit, the sign of a zero included."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype and actual.flags.c_contiguous
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))


@given(cases())
def test_the_references_results_to_the_bit(case):
    check(*case)


@given(cases(), st.sampled_from(["sliced", "reversed", "fortran", "channels_last"]))
def test_in_every_memory_order(case, order):
    x, window, g = case
    check(strategies.memory_orders(x)[order], window, strategies.memory_orders(g)[order])


def test_minus_infinity_beside_the_padding():
    """Padding never wins, not even here: the first tap inside the image does, as in torch."""
    x = np.full((1, 1, 2, 2), -np.inf)
    y, tap = compiled.forward(x, (2, 2), (3, 3), (1, 1), (1, 1), (1, 1))
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(tap[0, 0], [[3, 2, 2], [1, 0, 0], [1, 0, 0]])
    dx = compiled.backward(np.arange(9.0).reshape(1, 1, 3, 3), tap, x.shape, (2, 2), (1, 1), (1, 1), (1, 1))
    np.testing.assert_array_equal(dx[0, 0], [[0 + 1 + 3 + 4, 2 + 5], [6 + 7, 8]])


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_nan_wins_wherever_it_is(order):
    x = np.array([[[[np.nan, 9.0], [np.inf, 1.0]]]])
    x = x if order == "first" else x[:, :, ::-1, ::-1]
    y, tap = compiled.forward(x, (2, 2), (1, 1), (2, 2), (0, 0), (1, 1))
    assert np.isnan(y.item()) and tap.item() == (0 if order == "first" else 3)


def test_windows_of_more_than_256_taps():
    rng = np.random.default_rng(0)
    x, g = (
        rng.normal(size=(1, 2, 20, 33)).astype(np.float32),
        rng.normal(size=(1, 2, 3, 4)).astype(np.float32),
    )
    window = ((17, 17), (3, 4), (2, 7), (2, 3), (1, 1))
    check(x, window, g)
    assert compiled.forward(x, *window)[1].dtype == np.int32


def test_an_empty_batch():
    y, tap = compiled.forward(np.zeros((0, 3, 4, 4), np.float32), (2, 2), (2, 2), (2, 2), (0, 0), (1, 1))
    assert y.shape == tap.shape == (0, 3, 2, 2)
    assert compiled.backward(y, tap, (0, 3, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)).shape == (0, 3, 4, 4)


# --- as the backend of the operation ------------------------------------------------------------------------


@given(window_strategies.max_pools())
def test_the_operation_against_the_loops(case):
    x = case.separated()
    with minidl.use("numba"):
        y = ops.max_pool2d(minidl.tensor(x), **case.options)
        assert minidl.gradcheck(
            lambda t: ops.max_pool2d(t, **case.options), minidl.tensor(x, requires_grad=True)
        )
    np.testing.assert_array_equal(y.numpy(), pool_loops.max_pool2d(x, **case.options))


def unet_step():
    """Loss and gradients of a tiny U-Net."""
    minidl.manual_seed(0)
    model = models.UNet(1, 2, base=4, depth=2)
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 12)).astype(np.float32)
    loss = ops.cross_entropy(model(minidl.tensor(x)), np.random.default_rng(1).integers(0, 2, (2, 8, 12)))
    loss.backward()
    return [loss.item(), *(p.grad.data.tobytes() for p in model.parameters())]


def test_a_unet_runs_with_it_and_what_has_no_compiled_kernel_yet_falls_back_with_a_warning():
    """All but the pooling runs on the reference, and the pooling gives the same bits: so does the network."""
    expected = unet_step()
    dispatch._kernels.cache_clear()  # a fallback is told once a process
    try:
        with minidl.use("numba"), pytest.warns(dispatch.KernelFallbackWarning) as caught:
            actual = unet_step()
    finally:
        dispatch._kernels.cache_clear()
    assert actual == expected
    told = {str(w.message).partition(":")[0] for w in caught}
    assert "conv2d.forward" in told and not any(name.startswith("max_pool2d") for name in told)


THREADS = """
import threading, numpy as np, minidl
from minidl.kernels.cpu import max_pool2d
x = np.random.default_rng(0).normal(size=(2, 8, 32, 32)).astype(np.float32)
expected = x.reshape(2, 8, 16, 2, 16, 2).max(axis=(3, 5))
wrong = []
def work():
    for _ in range(30):
        y, _ = max_pool2d.forward(x, (2, 2), (16, 16), (2, 2), (0, 0), (1, 1))
        wrong.extend([1] * (not np.array_equal(y, expected)))
workers = [threading.Thread(target=work) for _ in range(4)]
for w in workers: w.start()
for w in workers: w.join()
import numba
print(numba.threading_layer(), len(wrong))
"""


def test_several_python_threads_at_once_on_numbas_simplest_threading_layer(root):
    """`workqueue` aborts the process when two threads enter it: launches must come one after the other."""
    import os

    environment = {
        **os.environ,
        "NUMBA_THREADING_LAYER": "workqueue",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["workqueue", "0"]), done.stderr


def test_numba_is_imported_with_the_first_compiled_kernel_and_not_before(root):
    code = (
        "import sys, minidl, minidl.kernels.cpu as cpu\n"
        "minidl.use('numba')\n"
        "assert 'numba' not in sys.modules\n"
        "minidl.ops.max_pool2d(minidl.tensor([[[[1.0, 2.0]]]]), (1, 2))\n"
        "assert 'numba' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_without_a_place_for_the_cache_it_is_compiled_all_the_same(monkeypatch):
    """On a read-only installation without a home Numba refuses cache=True."""
    import numba

    from minidl.kernels import cpu

    asked, njit = [], numba.njit

    def read_only(**options):
        asked.append(options)
        if options.pop("cache", False):

            def refuse(function):
                raise RuntimeError("cannot cache function: no locator available")

            return refuse
        return njit(**options)

    monkeypatch.setattr(numba, "njit", read_only)
    double = cpu.compiled()(lambda x: 2 * x)
    assert double(21) == 42 and len(asked) == 2
