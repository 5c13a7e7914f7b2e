"""The whole measurement on small shapes, minidl alone; and what happens when a contestant fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidl.bench import processes
from minidl.bench import run as bench
from minidl.bench.contestants import CONTESTANTS, OWN
from minidl.bench.plan import Plan, select
from minidl.bench.run import begin, line, run


class Diary:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.messages: list[str] = []

    def phase(self, name: str, total: int, done: int = 0) -> None:
        self.total = total

    def advance(self, amount: int = 1, **figures: Any) -> None:
        self.done += amount

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_selecting():
    assert [w.name for w in select(["relu", "predict-*"], False)] == ["predict-one", "predict-batch", "relu"]
    assert {w.group for w in select(["training"], True)} == {"training"}
    assert len(select([], True)) < len(select([], False))


def test_minidl_alone(tmp_path):
    plan = Plan(select(["cat", "size-64"], True), [], 1, rounds=2, quick=True)
    saved, diary = [], Diary()
    record = run(plan, begin(plan), diary, lambda r: saved.append((len(r["workloads"]), r["complete"])))
    assert saved == [(1, False), (2, False), (2, True)]
    assert diary.done == diary.total
    assert [m.partition(":")[0] for m in diary.messages] == ["cat", "size-64"]
    for measured in record["workloads"]:
        ours = measured["contestants"]["minidl"]
        assert ours["status"] == "measured"
        assert all(len(samples) == 2 for samples in ours["parts"].values())
        assert len(measured["gauge"]["sgemm"]) == 2


def test_memory_and_first_steps():
    plan = Plan([], [], 1, quick=True, memory=True, startup=True)
    diary = Diary()
    record = run(plan, begin(plan), diary)
    assert diary.done == diary.total
    for measured in record["memory"]:
        rows = measured["contestants"]
        assert set(rows) == {"minidl", "minidl-recompute"}
        assert all(row["peak"] > 0 for row in rows.values())
    assert set(record["startup"]) == {"empty", "warm"}
    assert len(record["startup"]["warm"]["later"]) == bench.LATER


@pytest.mark.slow
@pytest.mark.parametrize(("named", "memory", "keeps"), [(["relu"], False, True), ([], True, False)])
def test_freed_memory_stays_in_turns_only(monkeypatch, named, memory, keeps):
    """Peaks of memory must not count what was freed; times in turns must not count mapping it anew."""
    environments, plain = set(), processes.Process.ask

    def ask(self, *request, **options):
        environments.add(Path(f"/proc/{self._process.pid}/environ").read_bytes())
        return plain(self, *request, **options)

    monkeypatch.setattr(processes.Process, "ask", ask)
    for name in processes.KEEPING:
        monkeypatch.delenv(name, raising=False)
    plan = Plan(select(named, True) if named else [], [], 1, rounds=1, quick=True, memory=memory)
    run(plan, begin(plan))
    assert environments
    for environment in environments:
        found = dict(entry.split(b"=", 1) for entry in environment.split(b"\0") if entry)
        for name, value in processes.KEEPING.items():
            assert found.get(name.encode()) == (value.encode() if keeps else None)


def test_what_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(type(CONTESTANTS["torch"]), "installed", lambda self: self.name in OWN)
    plan = Plan(select(["relu"], True), ["torch"], 1, rounds=1, quick=True)
    record = run(plan, begin(plan))
    assert record["contestants"]["torch"]["version"] == "not installed"
    assert record["workloads"][0]["contestants"]["torch"]["status"] == "not installed"


def test_a_contestant_that_fails_leaves_the_others_alone(monkeypatch):
    """The plain minidl stands in for a peer that cannot do it."""
    plain = bench._prepare

    def failing(team, name, workload, quick):
        if name == "minidl-plain":
            return {"status": "failed: no"}
        return plain(team, name, workload, quick)

    monkeypatch.setattr(bench, "_prepare", failing)
    plan = Plan(select(["batch-1"], True), ["minidl-plain"], 1, rounds=1, quick=True)
    diary = Diary()
    record = run(plan, begin(plan), diary)
    sides = record["workloads"][0]["contestants"]
    assert sides["minidl"]["status"] == "measured" and sides["minidl-plain"]["status"] == "failed: no"
    assert diary.done == diary.total


def test_unequal_work_does_not_count():
    digest = [[1.0, 0.5]]
    sides = {
        "minidl": {"status": "measured", "digest": digest},
        "torch": {"status": "measured", "digest": digest},
        "torch-channels-last": {"status": "measured", "digest": [[1.0, 0.6]]},
        "gauge": {"status": "measured", "digest": []},
    }
    bench._compare(sides)
    assert [s["status"].partition(":")[0] for s in sides.values()] == [
        "measured",
        "measured",
        "computes something else than minidl",
        "measured",
    ]


def test_what_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(bench.machine, "memory", lambda: 2**20)
    plan = Plan(select(["size-128"], True), [], 1, rounds=1, quick=True)
    measured = run(plan, begin(plan))["workloads"][0]
    assert measured["contestants"]["minidl"]["status"].startswith("left out: needs about")
    assert "minidl has no figure" in line(measured, True)


def test_the_idle_share():
    def of(idle: float, turn: float) -> dict[str, Any]:
        return {"idle": [idle] * 3, "turns": [turn] * 3}

    sides = {"a": of(0.5, 1.0), "b": of(0.0, 2.0), "c": {}}
    assert bench._idle_share(sides["a"], sides) == pytest.approx(0.25)
    assert bench._idle_share(sides["c"], sides) == 0.0
