"""Turns, statuses and the record; the device's part on the simulator, whose times nobody is shown."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import minidl.kernels.cuda.activations as device_activations
import minidl.kernels.reference.activations as reference
from minidl.bench.costs import Cost
from minidl.bench.kernels import cards, known, run
from minidl.bench.kernels.case import Call
from minidl.bench.kernels.cases import find
from minidl.bench.kernels.clocks import Sample
from minidl.bench.kernels.contestants import Contestant, contestants, missing
from oracles.devices import KINDS, compiler_or_skip


class Clock:
    """Tells made-up times, and notes who was called."""

    def __init__(self, seconds=1.0):
        self.seconds, self.calls = seconds, 0

    def __call__(self, work):
        work()
        self.calls += 1
        return Sample(self.seconds)


def plan(names, backends, **more):
    return run.Plan([find(name) for name in names], backends, 1, quick=True, **more)


def test_a_record_of_the_host():
    asked = plan(["arithmetic-add", "cat-backward"], ["numpy"], absent={"cuda": "cuda: no GPU"})
    record = run.begin(asked)
    saved = []
    run.run(asked, record, save=lambda r: saved.append(len(r["cases"])))
    assert record["complete"] and record["gpu"] is None and saved == [1, 2, 2]
    assert set(record["kernels"]) == {"arithmetic_add_v1", "arithmetic_add_v2"}
    again = json.loads(json.dumps(record))
    assert all(
        known.from_record(again, name) == one
        for name, one in known.kernels().items()
        if name in again["kernels"]
    )
    add, cat = record["cases"]
    assert (add["flops"], add["bytes"]) == (16384, 3 * 4 * 16384)
    side = add["contestants"]["numpy"]
    assert side["status"] == "measured" and len(side["samples"]) == 2 and side["place"] == "cpu"
    assert set(add["gauge"]) == {"sgemm", "copy"}
    assert cat["contestants"]["numpy"]["status"] == run.VIEWS and "samples" not in cat["contestants"]["numpy"]
    assert run.faults(record) == []


def test_a_wrong_kernel_is_reported_and_not_timed(monkeypatch):
    monkeypatch.setattr(reference, "relu_backward", lambda g, y: g * (y > 0) + np.float32(1e-3))
    clock = Clock()
    case = find("activations-relu_backward")
    monkeypatch.setattr(type(case), "reference", lambda self: lambda g, y: np.where(y > 0, g, 0))
    measured = run.measure(case, ["numpy"], {"cpu": clock}, 2, quick=True)
    side = measured["contestants"]["numpy"]
    assert side["status"].startswith("wrong: result at (0, 0, 0, 0) is ") and "samples" not in side
    assert clock.calls == 0
    assert run.faults({"cases": [measured]}) == [f"activations-relu_backward: numpy {side['status']}"]


def test_one_that_raises_does_not_stop_the_others(monkeypatch):
    def broken(x):
        raise ValueError("no such\nthing")

    monkeypatch.setattr(reference, "relu", broken)
    case = find("activations-relu")
    monkeypatch.setattr(type(case), "reference", lambda self: lambda x: np.maximum(x, 0))
    backends = ["numpy", "torch"] if not missing("torch") else ["numpy"]
    measured = run.measure(case, backends, {"cpu": Clock()}, 2, quick=True)
    assert measured["contestants"]["numpy"]["status"] == "failed: ValueError: no such thing"
    assert all(s["status"] == "measured" for n, s in measured["contestants"].items() if n != "numpy")
    assert len(run.faults({"cases": [measured]})) == 1


def test_turns_alternate_and_who_is_far_behind_has_a_few_only():
    order = []

    def one(name, backend="numpy"):
        return Contestant(name, backend, lambda: order.append(name), lambda result: [])

    ready = {name: one(name) for name in "ab"}

    class ByName:
        def __call__(self, work):
            work()
            return Sample(9.0 if order[-1] == "b" else 1.0)

    sides = {name: {"status": "measured"} for name in "ab"}
    run._take_turns(ready, sides, {"cpu": ByName()}, 5)
    warm = run.WARM
    assert "".join(order) == "ab" * (warm + 3) + "a" * 2
    assert sides["a"]["samples"] == [1.0] * 5 and sides["b"]["samples"] == [9.0] * 3


@pytest.mark.parametrize("xp", KINDS, indirect=True)
def test_a_wrong_version_on_a_device_is_not_timed_and_the_others_are(xp, monkeypatch):
    compiler_or_skip()
    real = device_activations.relu

    def planted(x, version=None):
        y = real(x, version=version)
        if version == "v1":
            y[0, 0, 3, 1] = -1
        return y

    monkeypatch.setattr(device_activations, "relu", planted)
    clock = Clock()
    measured = run.measure(find("activations-relu"), ["cuda"], {"gpu": clock}, 2, quick=True, xp=xp)
    status = {name: side["status"].partition(":")[0] for name, side in measured["contestants"].items()}
    assert status == {"cuda": "measured", "cuda v1": "wrong", "cuda v2": "measured"}
    assert clock.calls == 2 * (2 + run.WARM)
    assert "is -1.0, expected" in measured["contestants"]["cuda v1"]["status"]


def test_the_simulator_is_not_timed(monkeypatch):
    import minidl.kernels.cuda.device as devices
    import minidl.kernels.sim.cupy as simulated

    monkeypatch.setattr(devices, "namespace_of", lambda kind: simulated)
    asked = plan(["activations-relu"], ["cuda"], gpu=0)
    record = run.begin(asked)
    with pytest.raises(ValueError, match="a simulated GPU is not timed"):
        run.run(asked, record)
    assert record["cases"] == [] and record["gpu"] is None


def test_the_gpus_part_of_the_record(monkeypatch):
    """With a stand-in that says it is CuPy: what would be written on a machine with a GPU."""
    import minidl.kernels.cuda.device as devices
    import minidl.kernels.sim.cupy as simulated

    compiler_or_skip()
    posing = SimpleNamespace(**{**vars(simulated), "__name__": "cupy"})
    monkeypatch.setattr(devices, "namespace_of", lambda kind: posing)
    monkeypatch.setattr("minidl.cuda.describe", lambda device: {"name": "NVIDIA H100 80GB HBM3", "sms": 132})
    monkeypatch.setattr(run, "DeviceClock", lambda xp: SimpleNamespace(copy_rate=lambda: 3e12, size=1))
    monkeypatch.setattr(
        run, "measure", lambda case, *a: {"name": case.name, "contestants": {}, "versions": {}}
    )
    asked = plan(["activations-relu"], ["cuda"], gpu=1)
    record = run.run(asked, run.begin(asked))
    assert record["gpu"] == {
        "about": {"name": "NVIDIA H100 80GB HBM3", "sms": "132"},
        "copy": 3e12,
        "data_sheet": {"name": "H100 SXM", "flops": 67e12, "bandwidth": 3350e9, "source": "data sheet"},
        "flushed": 1,
    }


def test_algorithms_of_the_compiled_convolution():
    case = find("conv2d-forward-wide")
    from minidl.bench.kernels.case import Draw

    found = {c.name: c for c in contestants(case, case.make(Draw(quick=True)), ["numba"])}
    assert found["numba"].note.startswith("chosen: ")
    everyone = {name.partition(" ")[2] or c.note.removeprefix("chosen: ") for name, c in found.items()}
    assert everyone == {"winograd4", "winograd2", "direct", "im2col"}


def test_what_has_no_compiled_kernel_has_no_contestant():
    case = find("max_unpool2d-put")
    assert list(contestants(case, Call(()), ["numba"])) == []


def test_bounds_are_the_larger_of_two_times():
    t4 = next(card for card in cards.CARDS if card.name == "T4")
    assert (t4.flops, t4.bandwidth, t4.architecture) == (8.1e12, 320e9, 75)
    assert t4.bound(Cost(81_000_000, 4)) == pytest.approx(1e-5)
    assert t4.bound(Cost(81_000_000, 64_000_000)) == pytest.approx(2e-4)
    assert t4.bound(Cost(81_000_000, 4), products=0.25) == pytest.approx(0.25e-5)


def test_there_is_a_card_for_each_architecture_of_the_budget():
    architectures = {a for one in known.kernels().values() for a in one.registers}
    assert {card.architecture for card in cards.CARDS} == architectures


def test_what_is_known_is_what_the_budget_says():
    one = known.kernels()["gemm_v5"]
    from minidl.kernels.cuda.occupancy import occupancy

    assert one.counts["flops"] == 64  # 32 products of two matrices with k = 32
    for architecture in (80, 90):
        registers, shared = one.registers[architecture], one.shared[architecture]
        assert one.occupancy[architecture] == pytest.approx(
            occupancy(architecture, 256, registers, shared), abs=1e-4
        )


def test_predictions_of_a_convolution_and_of_winograds():
    measured = run.measure(find("conv2d-forward-wide"), [], {}, 1, quick=True)
    direct, winograd = (
        measured["versions"][n]["prediction"]["A100 SXM 80GB"] for n in ("direct v1", "winograd")
    )
    # 2 pictures, 16 x 16 channels, 3 x 3 taps, 16 x 16 pixels
    assert direct == pytest.approx(2 * 2 * 16 * 16 * 9 * 256 / 19.5e12)
    assert winograd == pytest.approx(max(direct / 4, measured["bytes"] / 2039e9))
