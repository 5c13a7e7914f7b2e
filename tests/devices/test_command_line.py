"""``--device``: training, evaluation and prediction on a simulated GPU, and no GPU said in one line."""

from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.cli import main
from minidl.cli.options import where
from oracles.devices import compiler_or_skip
from oracles.runs import contents, write_squares

OPTIONS = ["--steps", "2", "--batch-size", "2", "--base", "2", "--depth", "1", "--eval-every", "2"]


def test_a_run_on_the_simulated_gpu_is_that_of_the_host(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    compiler_or_skip()
    data = write_squares(tmp_path / "data", {"train": 3, "val": 1})
    for name in ("cpu", "cuda_sim"):
        assert main(["train", str(data), "--out", str(tmp_path / name), *OPTIONS, "--device", name]) == 0
        where = ["--device", name]
        assert main(["evaluate", str(tmp_path / name), str(data), "--split", "val", *where]) == 0
        out = str(tmp_path / f"{name} masks")
        assert main(["predict", str(tmp_path / name), str(data / "val/images"), "--out", out, *where]) == 0
    host, ours = contents(tmp_path / "cpu"), contents(tmp_path / "cuda_sim")
    assert host.model.keys() == ours.model.keys() and host.step == ours.step == 2
    # Adam moves an element whose gradient is rounding alone by up to the rate, 1e-3, in either direction.
    for key, array in host.model.items():
        np.testing.assert_allclose(ours.model[key], array, rtol=1e-4, atol=2 * 2e-3, err_msg=key)
    assert ours.running == host.running or abs(ours.running["loss"] - host.running["loss"]) < 1e-4


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "demo"])
def test_no_such_device(command: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    more = {
        "train": ["--out", "x"],
        "predict": [str(tmp_path), "--out", "x"],
        "evaluate": [str(tmp_path)],
        "demo": [],
    }
    asked = [("tpu", "choose from cpu"), ("cuda_sim:7", "numbered from 0")]
    if not minidl.cuda.is_available():
        asked.append(("cuda", "use the device cpu"))
    for name, says in asked:
        given = [] if command == "demo" else [str(tmp_path)]
        assert main([command, *given, *more[command], "--device", name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("minidl: error: --device: ") and says in error


def test_the_command_that_goes_on_names_the_device() -> None:
    assert where(minidl.device("cpu")) == []
    assert where(minidl.device("cuda_sim:1")) == ["--device", "cuda_sim:1"]


def test_out_of_memory_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiler_or_skip()
    data = write_squares(tmp_path / "data", {"train": 2, "val": 1})
    minidl.cuda.empty_cache("cuda_sim")
    used = minidl.cuda.memory_statistics("cuda_sim")["in_use"]
    minidl.cuda.set_memory_limit(used + 40_000, "cuda_sim")
    try:
        arguments = ["train", str(data), "--out", str(tmp_path / "run"), *OPTIONS, "--device", "cuda_sim"]
        assert main(arguments) != 0
    finally:
        minidl.cuda.set_memory_limit(0, "cuda_sim")
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("minidl: error:")]
    assert len(error) == 1 and "cuda_sim:0 has no room for" in error[0]
