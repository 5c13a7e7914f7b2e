"""Tables and pictures of a made-up record."""

from __future__ import annotations

import json

import pytest

from minidl.bench.plots import write_plots
from minidl.bench.tables import QUICK, milliseconds, render


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the rows that begin with a title."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {title}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables(record):
    text = render(record)
    assert "2025-01-02 03:04 UTC, commit abc1234. a processor, 4 cores, 2 threads" in text
    assert "SGEMM 200 GFLOP/s" in text and "copying 10.0 GB/s" in text
    assert "Not installed: TensorFlow, Keras." in text
    (step,) = rows(text, "training step, documents' U-Net, 16x3x128x128 | 1,000")
    assert step[1:9] == [
        "1,000",
        "PyTorch, channels_last",
        "2,500",
        "2.50",
        "2.50 to 2.50",
        "2 / 1.5 / 3",
        "goal reached",
        "149%",
    ]
    (op,) = rows(text, "3x3 convolution 32 → 32 at 128x128")
    assert op[1:5] == ["50", "PyTorch, NCHW", "40", "0.80"] and op[6:8] == ["1.50", "0.33"]
    assert rows(text, "prediction, one 64x64")[0][1:] == ["64", "32", "0.50"]
    assert "| PyTorch, NCHW | 1 | 2 | 12 | 10 |" in text
    assert "| compile cache empty | 0.10 | 0.20 | 30.00 | 1.00 |" in text
    assert "- conv-32-32-128: torch-channels-last: failed: ValueError: no" in text
    assert "| TensorFlow, Keras | not installed |" in text


def test_every_row_of_a_table_has_the_same_number_of_cells(record):
    counts: dict[int, set[int]] = {}
    for number, block in enumerate(render(record).split("\n\n")):
        counts[number] = {line.count("|") for line in block.splitlines() if line.startswith("|")}
    assert all(len(found) <= 1 for found in counts.values())


def test_what_misses_its_floor_is_said_first(record):
    record["workloads"][1]["contestants"]["torch"]["parts"] = {"forward": [0.01] * 3, "backward": [0.01] * 3}
    head, _, _ = render(record).partition("### Training steps")
    assert "1 below the floor" in head and "- 3x3 convolution 32 → 32 at 128x128: 0.40" in head


def test_the_record_survives_json(record):
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record and render(again) == render(record)


def test_a_quick_or_a_stopped_run_says_so(record):
    assert QUICK not in render(record)
    record["quick"], record["complete"] = True, False
    assert render(record).startswith(QUICK)
    assert "stopped before its end" in render(record)


def test_alone(record):
    for measured in record["workloads"]:
        measured["contestants"] = {"minidl": measured["contestants"]["minidl"]}
    record["memory"], record["startup"] = [], {}
    record["contestants"] = {"torch": {"title": "PyTorch, NCHW", "version": "not installed"}}
    text = render(record)
    assert "No peer is installed: minidl was measured alone" in text and "Nothing to compare" in text


def test_a_failed_start(record):
    record["startup"] = {"status": "failed: out of memory"}
    assert "minidl failed: out of memory" in render(record)


def test_three_digits():
    assert [milliseconds(s) for s in (1e-6, 0.01234, 0.1, 12.3456)] == ["0.001", "12.3", "100", "12,346"]


def test_plots_are_written(record, tmp_path):
    paths = write_plots(record, tmp_path)
    assert [p.name for p in paths] == ["ratios.png", "roofline.png", "scaling.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths), "nothing else is left behind"


def test_no_figures_no_plots(record, tmp_path):
    record["workloads"] = []
    assert write_plots(record, tmp_path) == []


@pytest.mark.parametrize("quick", [False, True])
def test_plots_of_minidl_alone(record, tmp_path, quick):
    record["quick"] = quick
    for measured in record["workloads"]:
        measured["contestants"] = {"minidl": measured["contestants"]["minidl"]}
    assert [p.name for p in write_plots(record, tmp_path)] == ["roofline.png", "scaling.png"]
