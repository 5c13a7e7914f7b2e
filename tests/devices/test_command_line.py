"""``--device``: training, evaluation and prediction on a simulated GPU, and no GPU said in one line."""

from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.cli import main
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


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
def test_no_such_device(command: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    more = {"train": ["--out", "x"], "predict": [str(tmp_path), "--out", "x"], "evaluate": [str(tmp_path)]}
    asked = [("tpu", "choose from cpu"), ("cuda_sim:7", "numbered from 0")]
    if not minidl.cuda.is_available():
        asked.append(("cuda", "use the device cpu"))
    for name, says in asked:
        assert main([command, str(tmp_path), *more[command], "--device", name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("minidl: error: --device: ") and says in error
