"""A contestant's process: what it answers, how it ends, what it inherits."""

from __future__ import annotations

import os

import pytest

from minidl.bench import processes
from minidl.bench.processes import Process, WorkerError, environment
from minidl.bench.run import equal_work
from minidl.bench.worker import resident


@pytest.fixture
def contender():
    with Process("minidl", 1) as process:
        yield process


def test_prepare_go_and_an_error_that_does_not_end_it(contender):
    reply = contender.ask({"do": "prepare", "workload": "relu", "quick": True})
    assert len(reply["warm_up"]) == 3 and len(reply["digest"]) == 2
    with pytest.raises(WorkerError, match="KeyError: 'nothing'"):
        contender.ask({"do": "prepare", "workload": "nothing", "quick": True})
    reply = contender.ask({"do": "go"})
    assert set(reply["parts"]) == {"forward", "backward"} and reply["turn"] > 0


def test_peak_memory(contender):
    reply = contender.ask({"do": "memory", "workload": "relu", "quick": True})
    assert 10e6 < reply["imported"] <= reply["built"] * 1.1
    assert reply["peak"] >= reply["built"] * 0.9


def test_one_that_takes_too_long(contender):
    with pytest.raises(WorkerError, match="no answer within 0 s"):
        contender.ask({"do": "prepare", "workload": "relu", "quick": True}, limit=0)


def test_one_that_ended(contender):
    contender._process.kill()
    with pytest.raises(WorkerError, match="out of memory"):
        contender.ask({"do": "go"})


def test_one_that_is_not_installed(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    with pytest.raises(WorkerError, match="KeyError"):
        Process("no such contestant", 1)


def test_the_gauge_gives_rates():
    with Process("gauge", 1) as process:
        process.ask({"do": "prepare", "workload": "relu", "quick": True})
        rates = process.ask({"do": "go"})["parts"]
    assert rates["sgemm"] > 1e6 and rates["copy"] > 1e6


def test_the_environment(monkeypatch):
    for name in processes.REMOVED:
        monkeypatch.setenv(name, "Prescott")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = environment(3, {"EXTRA": "1"})
    assert not set(processes.REMOVED) & set(found)
    assert {found[name] for name in processes.THREADS} == {"3"}
    assert found["EXTRA"] == "1"


def test_resident_memory_grows_with_an_array():
    before = resident()["VmHWM"]
    kept = bytearray(b"x") * (before + (64 << 20))
    assert resident()["VmHWM"] >= len(kept)


def test_losses_are_compared_more_closely_at_the_first_step():
    assert equal_work([[0.7], [0.5]], [[0.70001], [0.501]])
    assert not equal_work([[0.7], [0.5]], [[0.701], [0.5]])
    assert not equal_work([[0.7], [0.5]], [[0.7], [0.51]])
    assert equal_work([[5.0, 1.0]], [[5.001, 1.001]]) and not equal_work([[5.0, 1.0]], [[5.1, 1.0]])
