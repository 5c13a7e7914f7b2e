"""The tables of docs/benchmarks.md are those of the committed run."""

from __future__ import annotations

import json

from benchmarks import page
from minidl.bench.costs import cost
from minidl.bench.goals import (
    FIRST_STEP,
    MEMORY,
    OPERATION,
    PREDICTION,
    TRAIN_DOCUMENTS,
    TRAIN_PAPER,
    WARM_STEP,
)
from minidl.bench.kernels.cases import CASES
from minidl.bench.kernels.run import faults
from minidl.bench.kernels.tables import render
from minidl.bench.workloads import find


def test_the_page_shows_the_committed_run():
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert text == page.filled(text, page.section(page.RESULTS)), "run: python benchmarks/page.py"


def test_the_page_shows_the_committed_profile():
    text = page.PAGE.read_text(encoding="utf-8")
    shown = page.filled(text, page.profile_section(page.PROFILE), page.PROFILE_BEGIN, page.PROFILE_END)
    assert text == shown, "run: python benchmarks/page.py"


def test_the_kernels_page_shows_the_committed_run():
    text = page.KERNELS_PAGE.read_text(encoding="utf-8")
    shown = page.filled(text, page.kernels_section(page.KERNELS), page.KERNELS_BEGIN, page.KERNELS_END)
    assert text == shown, "run: python benchmarks/page.py"


def test_the_committed_kernels_are_those_of_the_list_and_all_right():
    record = json.loads(page.KERNELS.read_text(encoding="utf-8"))
    assert {measured["name"] for measured in record["cases"]} == {case.name for case in CASES}
    assert faults(record) == []
    written = page.KERNELS.with_suffix(".md").read_text(encoding="utf-8")
    assert written == "# minidl bench kernels\n\n" + render(record)


def test_no_time_of_a_gpu_is_told_without_one():
    record = json.loads(page.KERNELS.read_text(encoding="utf-8"))
    assert record["gpu"] is None or record["gpu"]["copy"] > 0
    places = {side["place"] for measured in record["cases"] for side in measured["contestants"].values()}
    assert places == ({"cpu"} if record["gpu"] is None else {"cpu", "gpu"})


def test_the_committed_runs_are_full_ones():
    for results in (page.RESULTS, page.KERNELS):
        record = json.loads(results.read_text(encoding="utf-8"))
        assert record["complete"] and not record["quick"]


def test_the_goals_of_the_page_are_the_programs():
    text = page.PAGE.read_text(encoding="utf-8")
    for goal in (TRAIN_DOCUMENTS, TRAIN_PAPER, PREDICTION, OPERATION, MEMORY, FIRST_STEP, WARM_STEP):
        assert f"| {goal.goal:g} | {goal.floor:g} | {goal.stretch:g} |" in text


def test_the_counts_of_the_page():
    text = page.PAGE.read_text(encoding="utf-8")
    for name in ("train-documents", "train-paper"):
        assert f"{cost(find(name)).flops / 1e9:,.0f} GFLOP" in text


def test_a_run_is_put_between_the_marks():
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    assert page.filled(text, "new\n") == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"
    assert page.filled(page.filled(text, "new\n"), "new\n") == page.filled(text, "new\n")
