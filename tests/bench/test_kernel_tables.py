"""Tables and plots of a made-up record, with and without a GPU."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minidl.bench.kernels import tables
from minidl.bench.kernels.cards import CARDS, derived
from minidl.bench.kernels.figures import Limits, best, figures, limits
from minidl.bench.kernels.plots import write_plots

Record = dict[str, Any]


def side(backend: str, place: str, *samples: float, **more: Any) -> Record:
    return {
        "backend": backend,
        "place": place,
        "status": "measured",
        "version": "",
        "note": "",
        "error": 0.1,
        "samples": list(samples),
        "bound_by_host": False,
        **more,
    }


@pytest.fixture
def host() -> Record:
    """A convolution and a ReLU on a machine that does 100 GFLOP/s and copies 10 GB/s."""
    conv = {
        "name": "conv2d-forward-wide",
        "operation": "conv2d",
        "function": "forward",
        "title": "3x3 convolution",
        "flops": 10**9,
        "bytes": 10**6,
        "contestants": {
            "numpy": side("numpy", "cpu", 0.1, 0.1, 0.1),
            "numba": side("numba", "cpu", 0.03, 0.02, 0.02, note="chosen: winograd4"),
            "numba direct": side("numba", "cpu", 0.04, 0.04, 0.04),
            "torch": side("torch", "cpu", 0.03, 0.03, 0.03),
        },
        "versions": {
            "direct v1": {"kernels": ["conv2d_forward_v1"], "prediction": {"A100 SXM 80GB": 5e-5}},
            "winograd": {"kernels": ["winograd_tiles_v1"], "prediction": {"A100 SXM 80GB": 2e-5}},
        },
        "gauge": {"sgemm": [0.9e11], "copy": [1e10]},
    }
    relu = {
        **conv,
        "name": "activations-relu",
        "title": "relu",
        "flops": 10**6,
        "bytes": 10**8,
        "contestants": {"numba": side("numba", "cpu", 0.02)},
        "versions": {"v1": {"kernels": ["activations_relu_v1"], "prediction": {"A100 SXM 80GB": 1e-4}}},
        "gauge": {"sgemm": [1e11], "copy": [0.8e10]},
    }
    card = {"name": "A100 SXM 80GB", "architecture": 80, "flops": 19.5e12, "bandwidth": 2039e9}
    known = {"file": "a.cu", "registers": {"80": 47, "90": 50}, "shared": {"80": 0, "90": 64}}
    known |= {"occupancy": {"80": 0.625, "90": 0.5}, "counts": {}}
    counted = {**known, "counts": {"bytes": 533.0, "flops": 144}}
    about = {"cpu": "a processor", "cores": 4, "threads": 2, "memory": 2**34, "system": "Linux 6"}
    return {
        "format": 1,
        "complete": True,
        "date": "2025-01-02 03:04 UTC",
        "commit": "abc1234",
        "quick": False,
        "machine": {**about, "python": "3.11.7"},
        "versions": {"minidl": "0.1.0"},
        "backends": {},
        "absent": {"cuda": "cuda: no usable GPU (no driver); install it"},
        "gpu": None,
        "cards": [{**card, "source": "A100 datasheet", "known_as": "A100"}],
        "kernels": {
            "conv2d_forward_v1": counted,
            "winograd_tiles_v1": known,
            "activations_relu_v1": known,
        },
        "cases": [conv, relu],
    }


@pytest.fixture
def with_gpu(host: Record) -> Record:
    """The same with a card that copies 2 TB/s."""
    record = copy.deepcopy(host)
    record["gpu"] = {
        "about": {"name": "NVIDIA A100-SXM4-80GB"},
        "copy": 2e12,
        "data_sheet": {"name": "A100 SXM 80GB", "flops": 19.5e12, "bandwidth": 2039e9},
        "flushed": 2**28,
    }
    record["absent"] = {}
    conv, relu = record["cases"]
    conv["contestants"]["cuda direct v1"] = side("cuda", "gpu", 1e-3, version="direct v1")
    conv["contestants"]["cuda winograd"] = side("cuda", "gpu", 1e-4, version="winograd")
    conv["contestants"]["cudnn"] = side("cudnn", "gpu", 2e-4)
    relu["contestants"]["cuda v1"] = side("cuda", "gpu", 1e-4, version="v1", bound_by_host=True)
    return record


def test_figures(host):
    allowed = limits(host)
    assert allowed == {"cpu": Limits(1e11, 1e10)}  # the best of all cases
    found = {f.name: f for f in figures(host["cases"][0], allowed)}
    assert found["numba"].seconds == 0.02 and found["numba"].quartiles == (0.02, 0.025)
    assert found["numba"].flops == pytest.approx(5e10) and found["numba"].bandwidth == pytest.approx(5e7)
    assert found["numba"].share == pytest.approx(0.5)  # a billion FLOPs in 10 ms at best
    relu = figures(host["cases"][1], allowed)[0]
    assert relu.share == pytest.approx(0.5)  # 100 MB in 10 ms at best
    everyone = list(found.values())
    assert best(everyone, "cpu", own=True) is found["numba"]
    assert best(everyone, "cpu", own=False) is found["torch"] and best(everyone, "gpu", own=True) is None


def test_without_a_gpu_everything_said_of_one_is_a_prediction(host):
    text = tables.render(host)
    assert (
        "No GPU was measured (cuda: no usable GPU (no driver)). What is said of GPUs is a prediction" in text
    )
    assert "### Bounds on GPUs: prediction, not measured" in text and "### On the GPU" not in text
    assert "| 3x3 convolution | 100 | 20 | winograd4 | 50% | 30 | 1.50 |" in text
    assert "| `conv2d_forward_v1` | 47 to 50 | 64 | 62% | 50% | 533 | 144 |" in text
    assert "| ms at least (prediction, not measured) | A100 SXM 80GB |" in text
    assert "| 3x3 convolution | 0.05 |" in text and "| 3x3 convolution (winograd) | 0.02 |" in text
    assert "| A100 SXM 80GB | sm_80 | 19.5 | 2,039 | A100 datasheet |" in text
    said = tables.lines(host["cases"][0], host)
    about_gpus = [line for line in said.splitlines() if line.startswith("  cuda")]
    assert len(about_gpus) == 2 and all("prediction, not measured: at least" in line for line in about_gpus)
    assert "at least 0.05 ms on an A100 SXM 80GB; 47 registers, occupancy 62%, 533 bytes an output" in said


def test_with_a_gpu_nothing_is_predicted(with_gpu):
    text = tables.render(with_gpu)
    assert "prediction" not in text
    assert (
        "GPU: NVIDIA A100-SXM4-80GB; copying 2,000 GB/s (measured), 19.5 TFLOP/s in float32 (data sheet)."
        in text
    )
    assert "### On the GPU: everyone" in text
    # the least time is 1 ms / 19.5: 51 % of the 0.1 ms that Winograd's takes, 5 % of the direct one's
    assert "| winograd | 51% | 0.2 | 2.00 |" in text
    assert "| cuda direct v1 | 1 | 1 to 1 | 1,000 | 1 | 5% |" in text
    assert "cuda v1 (bound by the host)" in text
    assert "prediction" not in tables.lines(with_gpu["cases"][0], with_gpu)


def test_a_card_that_is_not_in_the_table_is_held_to_what_it_says_of_itself(with_gpu, tmp_path):
    l40s = {"MultiProcessorCount": 142, "ClockRate": 2520000}
    l40s |= {"MemoryClockRate": 9001000, "GlobalMemoryBusWidth": 384}
    card = derived("NVIDIA L40S", 89, l40s)
    assert card.flops == pytest.approx(91.6e12, rel=1e-3) and card.bandwidth == pytest.approx(864e9, rel=1e-3)
    sheet = {"name": card.name, "flops": card.flops, "bandwidth": card.bandwidth, "source": card.source}
    with_gpu["gpu"]["data_sheet"] = sheet
    said = tables.gpu_line(with_gpu)
    assert "91.6 TFLOP/s in float32 (worked out from the device's own attributes)" in said
    assert "data sheet" not in said
    assert {p.name for p in write_plots(with_gpu, tmp_path)} >= {"roofline-gpu.png", "shares-gpu.png"}


@pytest.mark.parametrize("lacking", ["MultiProcessorCount", "ClockRate"])
def test_a_driver_that_does_not_tell_the_clock_leaves_the_peak_open(lacking):
    attributes = {"MultiProcessorCount": 142, "ClockRate": 2520000} | {lacking: 0}
    assert derived("x", 89, attributes) is None and derived("x", 20, {**attributes, lacking: 9}) is None
    del attributes[lacking]
    assert derived("x", 120, attributes) is None


def test_units_of_every_architecture_give_the_data_sheets_peaks():
    """Processors and boost clock as the white papers have them; the table's own peaks are the expected."""
    for name, processors, mhz in [
        ("V100 SXM2", 80, 1530), ("T4", 40, 1590), ("A100 SXM 80GB", 108, 1410), ("RTX 3090", 82, 1695),
        ("A10", 72, 1695), ("L4", 58, 2040), ("RTX 4090", 128, 2520), ("H100 SXM", 132, 1980),
        ("RTX 5090", 170, 2407),
    ]:  # fmt: skip
        card = next(card for card in CARDS if card.name == name)
        found = derived(name, card.architecture, {"MultiProcessorCount": processors, "ClockRate": mhz * 1000})
        assert found.flops == pytest.approx(card.flops, rel=0.01), name


def test_a_card_of_which_nothing_is_known_has_shares_of_its_copy_rate_only(with_gpu):
    with_gpu["gpu"]["data_sheet"] = None
    allowed = limits(with_gpu)
    shares = {f.name: f.share for m in with_gpu["cases"] for f in figures(m, allowed) if f.place == "gpu"}
    assert shares["cuda winograd"] is None and "not known" in tables.gpu_line(with_gpu)
    assert "| winograd | – |" in tables.render(with_gpu)


def test_a_wrong_kernel_stands_at_the_top(host):
    host["cases"][1]["contestants"]["numba"] = {
        "backend": "numba", "place": "cpu", "status": "wrong: result at (0,) is 1.0, expected 2.0",
        "version": "", "note": "",
    }  # fmt: skip
    text = tables.render(host)
    assert text.index("### Wrong\n\n- activations-relu: numba wrong: result at (0,)") < text.index(
        "### Summary"
    )


def test_a_quick_and_a_stopped_run_say_so(host):
    host["quick"], host["complete"] = True, False
    text = tables.render(host)
    assert "its figures mean nothing" in text and "**The run was stopped before its end.**" in text


def test_plots_of_the_cpu_alone(host, tmp_path):
    assert [p.name for p in write_plots(host, tmp_path)] == ["shares-cpu.png", "roofline-cpu.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in tmp_path.iterdir())


def test_plots_of_both(with_gpu, tmp_path):
    names = [f"{name}-{place}.png" for place in ("cpu", "gpu") for name in ("shares", "roofline")]
    assert [p.name for p in write_plots(with_gpu, tmp_path)] == names


def test_no_plot_where_nothing_was_measured(host, tmp_path):
    host["cases"] = []
    assert write_plots(host, tmp_path) == []
    assert "### Summary" not in tables.render(host)
