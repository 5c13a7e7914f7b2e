"""The cases of ``minidl bench kernels``: none is missing, costs are as counted by hand, versions right."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minidl.kernels.cuda
import minidl.kernels.reference
from minidl.bench.costs import cost as cost_of_workload
from minidl.bench.kernels.case import Call, Case, Draw, OnHost, arrays_of
from minidl.bench.kernels.cases import CASES, find, select
from minidl.bench.kernels.check import Expected
from minidl.bench.kernels.contestants import contestants, on_device
from minidl.bench.kernels.costs import cost
from minidl.bench.workloads import find as find_workload
from minidl.kernels.cuda import budget
from minidl.kernels.cuda.launch import Module
from oracles.devices import KINDS, compiler_or_skip

#: Functions that stand in files of both kinds and are steps of a kernel, not kernels.
STEPS = {("fused_conv2d", name) for name in ("joined", "parted", "passed")}


def public(package: Any, operation: str) -> set[str]:
    module = importlib.import_module(f"{package.__name__}.{operation}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {n for n, f in functions if not n.startswith("_") and f.__module__ == module.__name__}


def kernel_functions() -> Iterator[tuple[str, str]]:
    """A kernel is what the reference and the CUDA host code of an operation both have."""
    for found in pkgutil.iter_modules(minidl.kernels.reference.__path__):
        shared = public(minidl.kernels.reference, found.name) & public(minidl.kernels.cuda, found.name)
        yield from ((found.name, name) for name in shared)


def test_every_kernel_function_has_a_case():
    functions = set(kernel_functions()) - STEPS
    assert len(functions) >= 50
    assert functions - {(case.operation, case.function) for case in CASES} == set()


def test_every_operation_of_the_reference_has_a_case():
    operations = {found.name for found in pkgutil.iter_modules(minidl.kernels.reference.__path__)}
    assert operations - {case.operation for case in CASES} == set()


def test_every_cuda_kernel_is_launched_by_a_case():
    in_files = {name for path in budget.sources() for name in Module(path).signatures}
    launched = {k for case in CASES for v in case.versions for k in v.launches(case.make(Draw(quick=True)))}
    assert len(in_files) > 100
    assert launched == in_files


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


def test_selection():
    assert [c.name for c in select(["gemm", "activations-relu"])] == ["gemm-multiply", "activations-relu"]
    assert {c.operation for c in select(["soft*"])} == {"softmax"}
    assert select([]) == list(CASES)


@pytest.mark.parametrize(
    ("channels", "filters", "size", "variant"), [(32, 32, 128, "wide"), (128, 128, 32, "deep")]
)
def test_convolutions_cost_what_they_cost_in_the_other_benchmark(channels, filters, size, variant):
    flops = 0
    for direction in ("forward", "backward_data", "backward_weight"):
        x = np.broadcast_to(np.float32(0), (16, channels, size, size))
        y = np.broadcast_to(np.float32(0), (16, filters, size, size))
        weight = np.zeros((filters, channels, 3, 3), np.float32)
        args: dict[str, tuple[tuple[Any, ...], Any]] = {
            "forward": ((x, weight, None, (size, size)), y),
            "backward_data": ((y, weight, x.shape), x),
            "backward_weight": ((y, x, weight.shape), weight),
        }
        one: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
        given, result = args[direction]
        flops += cost(find(f"conv2d-{direction}-{variant}"), Call(given, one), result).flops
    assert flops == cost_of_workload(find_workload(f"conv-{channels}-{filters}-{size}")).flops


#: Counted by hand for the quick shapes: 2 pictures, 32 channels, 16 x 16 pixels are 16384 numbers.
N = 16384
BY_HAND = {
    "activations-relu": (N, 4 * 2 * N),  # read, written
    "activations-sigmoid_backward": (3 * N, 4 * 3 * N),
    "arithmetic-add": (N, 4 * 3 * N),
    "max_pool2d-forward": (N, 4 * (N + N // 4) + N // 4),  # four pixels a window; a tap has one byte
    "avg_pool2d-forward": (N, 4 * (N + N // 4)),
    "reductions-sum-bias": (N, 4 * (N + 32)),
    "normalize-forward_given": (4 * N, 4 * (2 * N + 4 * 32)),
    "softmax-forward": (5 * 2 * 2 * 256, 4 * 2 * 2 * 2 * 256),
    "gemm-multiply": (2 * 128**3, 4 * 3 * 128**2),
    "cat-forward": (0, 4 * 2 * 3 * N),
    # The first two layers of the documents' U-Net: 3 → 32 and 32 → 32, 3x3, with biases.
    "adam-step": (14 * (864 + 32 + 9216 + 32), 7 * 4 * (864 + 32 + 9216 + 32)),
    "sgd-step": (5 * (864 + 32 + 9216 + 32), 5 * 4 * (864 + 32 + 9216 + 32)),
    "conv2d-forward-pointwise": (2 * 2 * 512 * 16, 4 * (N // 2 + 2 * 16 + 2 + 2 * 512)),  # 16 channels
}


@pytest.mark.parametrize("name", BY_HAND)
def test_costs_counted_by_hand(name):
    case = find(name)
    call = case.make(Draw(quick=True))
    assert tuple(cost(case, call, Expected(case, call).arrays)) == BY_HAND[name]


def device_arrays(call: Call) -> list[Any]:
    """Without the tables of the host, which may be of float64."""
    return [a for value in call.args if not isinstance(value, OnHost) for a in arrays_of(value)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reference_computes_it_and_it_costs_something(case: Case):
    call = case.make(Draw(quick=True))
    expected = Expected(case, call)
    least = cost(case, call, expected.arrays)
    assert least.flops >= 0 and least.bytes > 0
    assert all(a.dtype == np.float32 or a.dtype.kind in "iub" for a in arrays_of(device_arrays(call)))
    for one in contestants(case, call, ["numpy"]):
        assert expected.fault(one.to_host(one.run())) == ""


@pytest.mark.slow
@pytest.mark.parametrize("xp", KINDS, indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_version_is_right_and_launches_what_it_says(case: Case, xp, monkeypatch: pytest.MonkeyPatch):
    """On the simulator, and on a GPU where there is one; what is known of a version's kernels is of these."""
    compiler_or_skip()
    launched: list[str] = []
    launch = Module.launch

    def noted(self: Module, kernel: str, *args: Any, **options: Any) -> None:
        launched.append(kernel)
        launch(self, kernel, *args, **options)

    monkeypatch.setattr(Module, "launch", noted)
    call = case.make(Draw(quick=True))
    expected, names = Expected(case, call), {version.name: version for version in case.versions}
    seen = set()
    for one in on_device(case, call, xp):
        launched.clear()
        assert expected.fault(one.to_host(one.run())) == "", one.name
        if one.version:
            seen.add(one.version)
            assert set(launched) == set(names[one.version].launches(call)), one.name
    assert seen == set(names)
