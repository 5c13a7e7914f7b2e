"""Kernels beside the reference: a planted mistake is named, correct ones pass, rounding is no mistake."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import _compare, dispatch, models, nn, ops, optim
from minidl._compare import KernelMismatchError
from minidl.dispatch import check_kernels
from minidl.kernels.cpu import adam, avg_pool2d, conv2d, max_pool2d

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _compiled_kernels_and_fresh_tables():
    dispatch._kernels.cache_clear()
    with minidl.use("numba"):
        yield
    dispatch._kernels.cache_clear()


def plant(monkeypatch, module, name, change):
    """Let ``change`` work on the result of a kernel."""
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: change(right(*args, **options)))


def images(channels=3, size=12, dtype=np.float32):
    return minidl.tensor(RNG.normal(size=(2, channels, size, size)).astype(dtype), requires_grad=True)


def one_wrong(place, by):
    def change(y):
        y = y.copy()
        y[place] += by
        return y

    return change


def message(run):
    with pytest.raises(KernelMismatchError) as caught, check_kernels():
        run()
    return str(caught.value)


# --- a mistake is named -------------------------------------------------------------------------------------


def test_the_kernel_the_place_both_values_the_arguments_the_module_and_the_line(monkeypatch):
    plant(monkeypatch, conv2d, "forward", one_wrong((1, 0, 3, 2), 0.5))
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1))
    text = message(lambda: model(images()))
    # Where operations are counted (make proof), the caller is the one who counts.
    said = re.match(
        r"conv2d\.forward of backend 'numba': result at \(1, 0, 3, 2\) is (\S+), the reference's is (\S+);"
        r" 1 of 1152 values differ by more than (\S+); called with (.*),"
        r" in module Sequential\.1 \(Conv2d\), called at .*(?:test_compare|proof)\.py:\d+$",
        text,
    )
    assert said, text
    assert float(said[1]) - float(said[2]) == pytest.approx(0.5, rel=1e-5)
    assert float(said[3]) < 1e-3
    for part in ("x float32 (2, 3, 12, 12)", "weight float32 (4, 3, 3, 3)", "padding (1, 1)"):
        assert part in said[4]


def test_a_backward_is_named_with_the_module_of_its_forward(monkeypatch):
    """Also when the backward runs outside the block, where nobody says in which module."""
    plant(monkeypatch, conv2d, "backward_weight", one_wrong((0, 0, 1, 1), 1.0))
    with check_kernels():
        loss = nn.Conv2d(3, 4, 3)(images()).sum()
    with pytest.raises(KernelMismatchError, match=r"conv2d\.backward_weight.*module Conv2d \(Conv2d\)"):
        loss.backward()


def test_one_of_several_results_and_integers(monkeypatch):
    plant(monkeypatch, max_pool2d, "forward", lambda r: (r[0], one_wrong((0, 0, 0, 0), 1)(r[1])))
    assert "max_pool2d.forward of backend 'numba': result 1 at (0, 0, 0, 0)" in message(
        lambda: ops.max_pool2d(images(), 2)
    )


def test_what_a_kernel_changes_in_place(monkeypatch):
    def step(rows, *args, **options):
        right(rows, *args, **options)
        rows[0][0][...] += 1e-3

    right = adam.step
    monkeypatch.setattr(adam, "step", step)
    parameter = nn.Parameter(np.ones(3, np.float32))
    parameter.grad = minidl.tensor(np.ones(3, np.float32))
    assert "adam.step of backend 'numba': argument 0 0 0 0 at (0,)" in message(optim.Adam([parameter]).step)


def test_a_kernel_that_writes_into_its_input(monkeypatch):
    right = avg_pool2d.forward

    def forward(x, **options):
        y = right(x, **options)
        x.flags.writeable = True
        x[0, 0, 0, 0] += 1
        return y

    monkeypatch.setattr(avg_pool2d, "forward", forward)
    x = minidl.Tensor(RNG.normal(size=(1, 1, 4, 4)))
    assert "avg_pool2d.forward of backend 'numba': argument" in message(lambda: ops.avg_pool2d(x, 2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_where_the_reference_has_one_that_is(monkeypatch, value):
    plant(monkeypatch, conv2d, "forward", one_wrong((0, 0, 0, 0), value))
    assert "1 of 1152 values differ" in message(lambda: nn.Conv2d(3, 4, 3, padding=1)(images()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: y[:, :, 1:], r"is float32 \(2, 4, 9, 10\), the reference's float32 \(2, 4, 10, 10\)"),
        (lambda y: y.astype(np.float64), r"is float64 \(2, 4, 10, 10\), the reference's float32"),
        (lambda y: (y, y), "gives 2 arrays, the reference 1"),
    ],
)
def test_another_shape_dtype_or_number_of_results(monkeypatch, change, said):
    plant(monkeypatch, conv2d, "forward", change)
    assert re.search(said, message(lambda: nn.Conv2d(3, 4, 3)(images())))


def test_float64_is_held_to_more_digits(monkeypatch):
    """An error of 1e-7 is rounding in float32, and a mistake in float64."""
    plant(monkeypatch, conv2d, "forward", lambda y: y * (1 + 1e-7))
    weight = RNG.normal(size=(4, 3, 3, 3))
    with check_kernels():
        ops.conv2d(images(), minidl.tensor(weight.astype(np.float32)))
    assert "conv2d.forward" in message(lambda: ops.conv2d(images(dtype=np.float64), minidl.tensor(weight)))


# --- what is right passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("up", models.unet.UPS)
@pytest.mark.parametrize("fused", [False, True])
def test_a_unets_step_passes(fused, up, dtype):
    """With channels enough for Winograd's method."""
    model = models.UNet(3, 4, base=32, depth=2, norm="none" if fused else "batch", up=up)
    for p in model.parameters():
        p.data = p.data.astype(dtype)
    optimizer = optim.AdamW(model.parameters())
    x, labels = images(size=32, dtype=dtype), RNG.integers(0, 4, (2, 32, 32))
    with check_kernels():
        ops.cross_entropy((minidl.fuse(model) if fused else model)(x), labels).backward()
        optimizer.step()


def test_values_that_are_not_finite_in_both_pass():
    x = images(channels=1)
    x = minidl.Tensor(np.where(RNG.random(x.shape) < 0.1, np.nan, x.data).astype(np.float32))
    with check_kernels():
        nn.Conv2d(1, 2, 3)(x)
        ops.max_pool2d(x, 2)
        ops.avg_pool2d(minidl.Tensor(np.full((1, 1, 4, 4), np.inf, np.float32)), 2)


def test_no_mistake_of_the_reference_is_looked_for(monkeypatch):
    from minidl.kernels.reference import conv2d as reference

    plant(monkeypatch, reference, "forward", one_wrong((0, 0, 0, 0), 1))
    with minidl.use("numpy"), check_kernels():
        nn.Conv2d(3, 4, 3)(images())


def test_the_lengths_name_kernels_that_are_there():
    for name in _compare.LENGTHS:
        operation, _, kernel = name.partition(".")
        assert dispatch._find("numpy", operation, kernel) is not None, name
    for operation in _compare.LINEAR:
        assert dispatch._find("numpy", operation, "forward") is not None


# --- the switch ---------------------------------------------------------------------------------------------


def test_the_block_ends_and_nests():
    assert not dispatch.checks_kernels()
    with check_kernels():
        assert dispatch.checks_kernels()
        with check_kernels(False):
            assert not dispatch.checks_kernels()
        assert dispatch.checks_kernels()
    assert not dispatch.checks_kernels()


def test_as_a_decorator():
    @check_kernels()
    def told():
        return dispatch.checks_kernels()

    assert told() and told() and not dispatch.checks_kernels()


@pytest.mark.parametrize(("value", "checks"), [("1", "True"), ("0", "False"), ("", "False")])
def test_for_a_whole_process(value, checks):
    code = "import minidl; print(minidl.dispatch.checks_kernels())"
    environment = {**os.environ, "MINIDL_CHECK_KERNELS": value}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == checks, done.stderr


def test_kernels_that_are_compared_say_whose_they_are():
    """What asks a node's kernels for their backend and operation (minidl.testing) must not get a function."""
    from minidl.testing import check_op

    with check_kernels():
        x = minidl.ones(1, 1, 4, 4, requires_grad=True)
        kernels = ops.max_pool2d(x, 2).grad_fn.kernels
        assert (kernels.operation, kernels.backend) == ("max_pool2d", "numba")
        assert repr(kernels) == "<checked <kernels of max_pool2d in backend 'numba'>>"
        images = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
        oracle = lambda x: x.reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5))  # noqa: E731
        check_op(lambda x: ops.max_pool2d(x, 2), oracle, images)
