"""minidl train --clip-grad-norm."""

import pytest

from oracles.commands import SMALL
from oracles.runs import contents


@pytest.mark.parametrize(("options", "kept"), [(["--clip-grad-norm", "0.25"], 0.25), ([], None)])
def test_the_option_reaches_the_run_and_its_checkpoint(call, data, tmp_path, options, kept):
    said = call("train", data, "--out", tmp_path / "run", *SMALL, *options)
    assert said.code == 0, said.err
    assert contents(tmp_path / "run").config["clip_grad_norm"] == kept


@pytest.mark.parametrize("value", ["0", "-1", "much", "nan", "inf"])
def test_what_is_no_limit_is_refused(call, data, tmp_path, value):
    said = call("train", data, "--out", tmp_path / "run", "--clip-grad-norm", value)
    assert "clip" in said.error and value in said.error
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_keeps_its_own(call, data, tmp_path):
    said = call("train", data, "--out", tmp_path / "run", "--resume", "--clip-grad-norm", "1")
    assert "--clip-grad-norm" in said.error and "resumed" in said.error
