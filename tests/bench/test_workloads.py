"""The list of workloads: every one can be prepared, and its costs are those of the arrays that pass."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl.autograd import watch
from minidl.bench.costs import ARCHITECTURES, cost, layers, memory_needed, output_shape
from minidl.bench.sides import job
from minidl.bench.sides.minidl_side import Side, arranged
from minidl.bench.sides.weights import network, state
from minidl.bench.tasks import Network, Op, Workload
from minidl.bench.workloads import GROUPS, WORKLOADS, find, in_quick_run

OPS = [w for w in WORKLOADS if isinstance(w.task, Op)]


def test_names_are_unique_and_groups_known():
    names = [w.name for w in WORKLOADS]
    assert len(set(names)) == len(names) > 50
    assert {w.group for w in WORKLOADS} == set(GROUPS)
    assert not set(names) & set(GROUPS), "--only takes both"
    assert all((w.goal is None) == (w.group in ("size", "batch")) for w in WORKLOADS)


def test_an_unknown_name():
    with pytest.raises(KeyError, match="nothing"):
        find("nothing")


def test_quick_sweeps_stop_early():
    kept = [w.name for w in WORKLOADS if w.group in ("size", "batch") and in_quick_run(w)]
    assert kept == ["size-64", "size-128", "batch-1", "batch-2"]


@pytest.mark.parametrize("workload", OPS, ids=lambda w: w.name)
def test_every_operation_runs_forward_and_backward(workload: Workload):
    small = find(workload.name, quick=True)
    assert isinstance(small.task, Op)
    ready = Side("plain", 1).prepare(small)
    assert set(ready.run()) == {"forward", "backward"}
    digest = ready.digest()
    if not small.task.random:
        wanted = sum(array.grad for array in small.task.arrays())
        assert len(digest) == 1 + wanted
        assert np.isfinite(digest).all() and all(norm > 0 for norm, _ in digest)


@pytest.mark.parametrize("workload", OPS, ids=lambda w: w.name)
def test_the_costs_are_those_of_the_forward_that_runs(workload: Workload):
    small = find(workload.name, quick=True)
    assert isinstance(small.task, Op)
    seen = []

    def note(function, arrays, output, options):
        seen.append((output.shape, function.flops(arrays, output, **options)))

    positional, named = job.op_inputs(small.task)
    tensors = [minidl.Tensor(a) for a in positional]
    keywords = {**{name: minidl.Tensor(a) for name, a in named.items()}, **small.task.options}
    function = getattr(minidl.ops, small.task.function)
    with watch(note):
        y = function(*([tensors] if small.task.listed else tensors), **keywords)
    assert y.shape == output_shape(small.task)
    assert cost(small).flops == 3 * sum(flops for _, flops in seen)
    touched = 4 * (sum(math.prod(a.shape) for a in small.task.arrays()) + math.prod(y.shape))
    assert touched <= cost(small).bytes <= 4 * touched


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_the_networks_costs(model: str):
    task, counted = Network(model, 2, 32, False), []
    x = minidl.Tensor(job.network_inputs(task, int(ARCHITECTURES[model]["in_channels"]))[0])
    with watch(lambda f, arrays, y, options: counted.append(f.flops(arrays, y, **options))), minidl.no_grad():
        net = network(model)
        net(x)
    workload = Workload("w", "prediction", "w", task, (), 1)
    assert cost(workload).flops == sum(counted)
    assert sum(p.numel() for p in net.parameters()) == sum(layer.parameters() for layer in layers(model))
    step = Workload("w", "training", "w", Network(model, 2, 32, True), (), 1)
    first = next(n for n in counted if n)
    assert cost(step).flops == 3 * sum(counted) - first, "nobody wants the gradient of the pictures"
    assert memory_needed(Network(model, 2, 32, True)) > 4 * 4 * sum(p.numel() for p in net.parameters())


def test_all_get_the_same_weights():
    first, second = state("documents"), state("documents")
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("setting", ["fused", "plain", "recompute"])
def test_the_settings_of_minidl_take_the_same_steps(setting: str):
    ready = Side(setting, 1).prepare(find("train-documents", quick=True))
    plain = Side("plain", 1).prepare(find("train-documents", quick=True))
    for one in (ready, plain, ready, plain):
        one.run()
    assert len(ready.digest()) == 2
    assert job.same(ready.digest(), plain.digest(), 1e-4)


def test_an_optimizers_step_moves_the_weights():
    ready = Side("plain", 1).prepare(find("sgd"))
    before = ready.digest()
    assert set(ready.run()) == {"step"}
    assert not job.same(before, ready.digest(), 1e-6)


def test_memory_order():
    a = arranged(np.arange(120.0).reshape(2, 3, 4, 5), (0, 2, 3, 1))
    assert np.array_equal(a, np.arange(120.0).reshape(2, 3, 4, 5))
    assert a.strides == (480, 8, 120, 24)


def test_digests_tell_a_wrong_gradient():
    a = np.random.default_rng(0).normal(size=(3, 5))
    assert job.same([job.sketch(a)], [job.sketch(a + 1e-6)])
    assert not job.same([job.sketch(a)], [job.sketch(-a)])
    along = np.random.default_rng(0).standard_normal(a.size, dtype=np.float32)  # as the fixed vector
    assert job.same([job.sketch(along)], [job.sketch(along * (1 + 5e-4))])
    assert not job.same([job.sketch(along)], [job.sketch(along * (1 + 2e-3))])
    assert not job.same([job.sketch(a)], [job.sketch(a.T)])
    assert not job.same([job.sketch(a)], [job.sketch(a), job.sketch(a)])
