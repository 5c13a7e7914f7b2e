"""``minidl bench kernels`` as a person calls it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minidl.bench.kernels.cases import CASES
from minidl.kernels.cuda.device import cuda_problem
from oracles.commands import assert_names, tree

SMALL = ("--quick", "--only", "activations-relu,gemm", "--backends", "numpy", "--device", "cpu")


@pytest.fixture(autouse=True)
def _reference(monkeypatch):
    monkeypatch.setenv("MINIDL_BACKEND", "numpy")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--only", "relu,zebra"], ["--only relu", "minidl bench kernels --list"]),
        (
            ["--backends", "numpy,abacus"],
            ["--backends abacus", "choose from numpy, numba, torch, cuda, cudnn"],
        ),
        (["--backends", ","], ["--backends", "choose from numpy"]),
        (["--device", "cuda_sim"], ["--device cuda_sim", "say nothing of a GPU", "give cuda, cuda:N or cpu"]),
        (["--device", "cuda_sim:1"], ["--device cuda_sim:1", "say nothing of a GPU"]),
        (["--device", "tpu"], ["--device", "tpu"]),
        (
            ["--device", "cpu", "--backends", "cuda"],
            ["--backends cuda", "no GPU was asked for", "leave it out"],
        ),
        (["--rounds", "0"], ["--rounds"]),
        (["--quik"], ["--quik", "--quick"]),
        (["more"], ["more"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(call, tmp_path, options, parts):
    said = call("bench", "kernels", "--out", tmp_path / "out", *options).error
    for part in parts:
        assert part in said
    assert tree(tmp_path) == {}


@pytest.mark.skipif(not cuda_problem(), reason="there is a GPU")
@pytest.mark.parametrize("options", [["--device", "cuda"], ["--backends", "cuda"], ["--backends", "cudnn"]])
def test_a_gpu_that_was_named_must_be_there(call, tmp_path, options):
    assert_names(call("bench", "kernels", "--out", tmp_path / "out", *options).error, [options[0], "cuda"])
    assert tree(tmp_path) == {}


def test_out_is_a_file(call, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = call("bench", "kernels", "--out", tmp_path / "file", *SMALL)
    assert_names(said.error, [str(tmp_path / "file"), "--out"])


def test_options_in_front_of_the_command(call, tmp_path):
    said = call("bench", "--quick", "kernels", "--out", tmp_path / "out")
    assert_names(said.error, ["--quick: stands before 'kernels'", "minidl bench kernels --quick"])


def test_the_help_of_bench_shows_both(call):
    said = call("bench", "--help")
    assert said.code == 0 and "--peers" in said.out and "kernels" in said.out.partition("Commands:")[2]


def test_the_list_names_everything(call, tmp_path):
    said = call("bench", "kernels", "--list", "--out", tmp_path / "out")
    assert said.code == 0 and said.err == ""
    words = said.out.split()
    for name in [case.name for case in CASES] + ["numpy", "numba", "torch", "cuda", "cudnn"]:
        assert name in words
    assert tree(tmp_path) == {}


def test_a_run_on_the_cpu(call, tmp_path):
    said = call("bench", "kernels", *SMALL, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert said.out.splitlines()[0].startswith("No GPU was measured (--device cpu: no GPU was asked for).")
    about_gpus = [line for line in said.out.splitlines() if line.startswith("  cuda")]
    assert len(about_gpus) == 7  # two versions of a ReLU, five of the product
    assert all("prediction, not measured" in line for line in about_gpus)
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == [".minidl", "results.json", "results.md", "shares-cpu.png"]  # no product of our own
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert record["complete"] and record["quick"] and record["gpu"] is None
    assert [m["name"] for m in record["cases"]] == ["gemm-multiply", "activations-relu"]
    assert all(len(m["contestants"]["numpy"]["samples"]) == 2 for m in record["cases"])
    assert not any("cuda" in name for m in record["cases"] for name in m["contestants"])
    text = (tmp_path / "out/results.md").read_text()
    assert text.startswith("# minidl bench kernels\n\n**A quick run") and "prediction, not measured" in text


def test_the_compiled_kernels_take_part(shell, tmp_path):
    said = shell("--threads", "1", "bench", "kernels", "--quick", "--only", "activations-relu", "--backends",
                 "numpy,numba", "--rounds", "1", "--device", "cpu")  # fmt: skip
    assert said.code == 0 and said.err == "", said.err
    record = json.loads((tmp_path / "minidl-bench-kernels/results.json").read_text())
    assert record["machine"]["threads"] == 1
    assert set(record["cases"][0]["contestants"]) == {"numpy", "numba"}


def test_a_planted_wrong_kernel(call, tmp_path, monkeypatch):
    import minidl.kernels.cpu.activations as compiled

    monkeypatch.setattr(compiled, "relu", lambda x: np.maximum(x, np.float32(0.01)))
    options = ("--quick", "--only", "activations-relu", "--backends", "numpy,numba", "--device", "cpu")
    said = call("bench", "kernels", *options, "--out", tmp_path / "out")
    assert said.code == 1
    assert said.err.startswith("wrong: activations-relu: numba wrong: result at (0, 0, 0,")
    sides = json.loads((tmp_path / "out/results.json").read_text())["cases"][0]["contestants"]
    assert "samples" not in sides["numba"] and sides["numpy"]["samples"]
    assert "### Wrong\n\n- activations-relu: numba wrong" in (tmp_path / "out/results.md").read_text()


def test_ctrl_c_keeps_what_was_measured(call, tmp_path, monkeypatch):
    from minidl.bench.kernels import run

    real, done = run.measure, []

    def stopped(*args):
        if done:
            raise KeyboardInterrupt
        done.append(args)
        return real(*args)

    monkeypatch.setattr(run, "measure", stopped)
    said = call("bench", "kernels", *SMALL, "--out", tmp_path / "out")
    assert said.code == 130 and "stopped; what was measured so far is in" in said.err
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert not record["complete"] and len(record["cases"]) == 1
    assert "stopped before its end" in (tmp_path / "out/results.md").read_text()


@pytest.mark.gpu
@pytest.mark.skipif(bool(cuda_problem()), reason="no GPU")
def test_a_run_on_a_gpu(call, tmp_path):
    options = ("--quick", "--only", "activations-relu,gemm,conv2d-forward-wide", "--backends", "numpy,cuda")
    said = call("bench", "kernels", *options, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert record["gpu"]["copy"] > 0 and "prediction" not in said.out
    for measured in record["cases"]:
        sides = {n: s for n, s in measured["contestants"].items() if s["backend"] == "cuda"}
        assert {s["version"] for s in sides.values() if s["version"]} == set(measured["versions"])
        assert all(s["status"] == "measured" and min(s["samples"]) > 0 for s in sides.values())
    assert (tmp_path / "out/shares-gpu.png").is_file()
