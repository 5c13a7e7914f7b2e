"""A made-up record, and the reference kernels for whatever runs in the tests' own process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import minidl


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled, and threads and backend are afterwards as they were."""
    monkeypatch.setenv("MINIDL_BACKEND", "numpy")
    threads = minidl.get_num_threads()
    with minidl.use("numpy"):
        yield
    minidl.set_num_threads(threads)


def side(*parts: tuple[str, list[float]], idle: float = 0.0) -> dict[str, Any]:
    """A contestant that was measured."""
    return {"status": "measured", "parts": dict(parts), "idle_share": idle, "warm_up": [9.0, 1.0, 1.0]}


def measured(name: str, **sides: dict[str, Any]) -> dict[str, Any]:
    """A workload's part of a record; names with _ for -."""
    from minidl.bench.workloads import find

    workload = find(name)
    return {
        "name": name,
        "group": workload.group,
        "title": workload.title,
        "rounds": 3,
        "contestants": {key.replace("_", "-"): value for key, value in sides.items()},
        "gauge": {"sgemm": [1e11, 2e11], "copy": [1e10, 8e9]},
    }


@pytest.fixture
def record() -> dict[str, Any]:
    """Of a complete run: a training step, an operation, a sweep, memory and first steps."""
    absent = {"status": "not installed"}
    step = measured(
        "train-documents",
        minidl=side(("step", [1.0, 2.0, 1.0])),
        torch=side(("step", [4.0, 4.0, 4.0])),
        torch_channels_last=side(("step", [2.5, 5.0, 2.5]), idle=0.5),
        tensorflow=absent,
    )
    op = measured(
        "conv-32-32-128",
        minidl=side(("forward", [0.02] * 3), ("backward", [0.03] * 3)),
        torch=side(("forward", [0.03] * 3), ("backward", [0.01] * 3)),
        torch_channels_last={"status": "failed: ValueError: no"},
    )
    sizes = [
        measured(f"size-{n}", minidl=side(("forward", [n / 1e3])), onnxruntime=side(("forward", [n / 2e3])))
        for n in (64, 128)
    ]
    peaks = {"minidl": 6, "torch": 12, "torch-channels-last": 10}
    memory = {
        name: {"status": "measured", "imported": 1 << 20, "built": 2 << 20, "peak": n << 20}
        for name, n in peaks.items()
    }
    first = {"import": 0.1, "build": 0.2, "warm_up": [3.0, 1.0, 1.0], "later": [1.0, 1.1, 0.9]}
    return {
        "format": 1,
        "complete": True,
        "date": "2025-01-02 03:04 UTC",
        "commit": "abc1234",
        "quick": False,
        "machine": {
            "cpu": "a processor",
            "cores": 4,
            "threads": 2,
            "memory": 2**34,
            "system": "Linux 6",
            "python": "3.11.7",
        },
        "versions": {"minidl": "0.1.0", "torch": "2.13.0"},
        "contestants": {
            "torch": {"title": "PyTorch, NCHW", "version": "2.13.0"},
            "tensorflow": {"title": "TensorFlow, Keras", "version": "not installed"},
        },
        "workloads": [step, op, *sizes],
        "memory": [{"name": "train-documents", "title": step["title"], "contestants": memory}],
        "startup": {"empty": {**first, "warm_up": [30.0, 1.0, 1.0]}, "warm": first},
    }
