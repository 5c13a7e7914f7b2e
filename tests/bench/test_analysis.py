"""From samples to figures."""

from __future__ import annotations

import statistics

import pytest

from minidl.bench.analysis import best_rates, figures, memory_mark, start_marks
from minidl.bench.costs import cost
from minidl.bench.goals import FLOOR, GOAL, MISSED, STRETCH, Goal
from minidl.bench.workloads import find


@pytest.mark.parametrize(
    ("goal", "cases"),
    [
        (Goal(2, 1.5, 3), {3.0: STRETCH, 2.99: GOAL, 2.0: GOAL, 1.99: FLOOR, 1.5: FLOOR, 1.49: MISSED}),
        (
            Goal(0.7, 0.9, 0.5, lower=True),
            {0.5: STRETCH, 0.51: GOAL, 0.7: GOAL, 0.71: FLOOR, 0.9: FLOOR, 0.91: MISSED},
        ),
    ],
)
def test_verdicts(goal, cases):
    assert {value: goal.verdict(value) for value in cases} == cases


def test_the_fastest_peer_counts_and_medians_do(record):
    step = figures(record["workloads"][0])
    assert step.seconds == {"minidl": 1.0, "torch": 4.0, "torch-channels-last": 2.5}
    assert step.best == "torch-channels-last" and step.ratio == 2.5 and step.verdict == GOAL
    assert step.spread == (2.5, 2.5), "round by round: the slow round was slow for both"
    least = cost(find("train-documents"))
    assert step.sgemm == least.flops / 1.0 / 2e11 and step.copy == least.bytes / 1.0 / 1e10
    assert step.notes == ["torch-channels-last used 50% of a core while the others had their turns"]


def test_forward_and_backward_apart(record):
    op = figures(record["workloads"][1])
    assert op.seconds["minidl"] == pytest.approx(0.05)
    assert op.ratio == pytest.approx(0.8) and op.verdict in (FLOOR, MISSED)
    assert op.parts == pytest.approx({"forward": 1.5, "backward": 1 / 3})
    assert op.notes == ["torch-channels-last: failed: ValueError: no"]


def test_without_a_peer_there_is_no_ratio(record):
    step = record["workloads"][0]
    step["contestants"] = {"minidl": step["contestants"]["minidl"]}
    found = figures(step)
    assert (found.best, found.ratio, found.spread, found.verdict) == (None, None, None, "")
    assert found.sgemm is not None


def test_without_minidl_there_is_no_ratio(record):
    step = record["workloads"][0]
    step["contestants"]["minidl"] = {"status": "failed: x"}
    found = figures(step)
    assert found.ratio is None and found.best == "torch-channels-last"
    assert found.notes[0] == "minidl: failed: x"


def test_minidls_other_settings_are_no_peers(record):
    step = record["workloads"][0]
    step["contestants"]["minidl-plain"] = {**step["contestants"]["minidl"], "parts": {"step": [0.1] * 3}}
    assert figures(step).best == "torch-channels-last"


def test_memory_is_compared_with_the_more_frugal_torch(record):
    mark = memory_mark(record["memory"][0])
    assert mark.value == 0.6 and mark.verdict == GOAL
    del record["memory"][0]["contestants"]["torch"]["peak"]
    del record["memory"][0]["contestants"]["torch-channels-last"]["peak"]
    assert memory_mark(record["memory"][0]).value is None
    assert memory_mark(record["memory"][0]).verdict == ""


def test_first_steps(record):
    first, beyond = start_marks(record["startup"])
    assert first.value == 30.0 and first.verdict == FLOOR
    later = statistics.median([1.0, 1.1, 0.9])
    assert beyond.value == 3.0 - later and beyond.verdict == FLOOR
    assert [mark.value for mark in start_marks({})] == [None, None]


def test_the_best_rates_of_the_run(record):
    assert best_rates(record) == {"sgemm": 2e11, "copy": 1e10}
    assert best_rates({"workloads": []}) == {}
