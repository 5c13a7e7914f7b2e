"""A benchmark compares equal work: every peer computes what minidl computes, from the same numbers.

PyTorch in this process, in both of its memory orders; whatever else is installed in processes of its own, as
the benchmark runs it. (`minidl bench` itself compares digests at the sizes that it measures, and a peer that
computes something else does not count.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import minidl
from minidl.bench.contestants import CONTESTANTS
from minidl.bench.processes import Process
from minidl.bench.run import equal_work
from minidl.bench.sides import minidl_side, torch_side
from minidl.bench.sides.job import Job
from minidl.bench.tasks import Workload
from minidl.bench.workloads import WORKLOADS, find, in_quick_run

#: torch.compile needs a compiler and a minute; in float32 it runs the same operations.
OTHERS = [n for n in ("tensorflow", "tensorflow-xla", "onnxruntime") if CONTESTANTS[n].installed()]
SMALL = [w for w in WORKLOADS if in_quick_run(w)]


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MINIDL_BACKEND", "numpy")
    threads = minidl.get_num_threads()
    with minidl.use("numpy"):
        yield
    minidl.set_num_threads(threads)


def run_three_times(job: Job) -> list[list[float]]:
    for _ in range(3):
        job.run()
    return job.digest()


@pytest.mark.parametrize("setting", ["nchw", "channels_last"])
@pytest.mark.parametrize("name", [w.name for w in SMALL])
def test_torch_does_the_same_work(name: str, setting: str) -> None:
    workload: Workload = find(name, quick=True)
    ours = run_three_times(minidl_side.Side("fused", 1).prepare(workload))
    theirs = run_three_times(torch_side.Side(setting, 1).prepare(workload))
    assert np.isfinite([v for row in ours for v in row]).all()
    assert equal_work(ours, theirs)


def test_torchs_fused_optimizers_take_the_same_steps() -> None:
    for name in ("adam", "sgd"):
        ours = run_three_times(minidl_side.Side("fused", 1).prepare(find(name)))
        assert equal_work(ours, run_three_times(torch_side.Side("fused", 1).prepare(find(name))))


@pytest.mark.parametrize("name", ["train-documents", "train-paper", "predict-one"])
def test_the_others_do_the_same_work(name: str) -> None:
    workload = find(name, quick=True)
    ours = run_three_times(minidl_side.Side("fused", 1).prepare(workload))
    for peer in OTHERS:
        if peer in workload.peers:
            with Process(peer, 1) as process:
                reply = process.ask({"do": "prepare", "workload": name, "quick": True})
            assert equal_work(ours, reply["digest"]), peer
