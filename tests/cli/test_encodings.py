"""Standard output in any encoding, and names that are no text: commands end as they would in UTF-8."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minidl.segmentation.files import read_mask
from oracles.commands import ROOT, SMALL, Said, environment

CODINGS = ["cp1252", "ascii", "latin-1", "utf-16", "cp437", "shift_jis"]


@pytest.mark.parametrize("coding", CODINGS)
def test_whoever_prints_what_the_encoding_lacks_ends_no_command(coding: str) -> None:
    program = "from minidl.cli import main; code = main(['--version']); print('→ 背 \\udcff'); exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**environment(), "PYTHONIOENCODING": coding},
        capture_output=True,
        timeout=120,
    )
    said = done.stdout.decode(coding)
    assert (
        (done.returncode, done.stderr) == (0, b"")
        and said.startswith("minidl, version")
        and "\\udcff" in said
    )


def named(data: Path) -> None:
    """Class names in three scripts, and a picture whose name is in a fourth."""
    names = json.dumps(["Häuser → Dächer", "背景"], ensure_ascii=False)
    (data / "dataset.toml").write_text(f"classes = {names}", encoding="utf-8")
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            first = min((data / split / kind).iterdir())
            first.rename(first.with_name(f"жилой{first.suffix}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "evaluate", "predict", "plan"),
    [
        ("cp1252", "ascii", "latin-1", "utf-16"),
        ("ascii", "latin-1", "utf-16", "cp1252"),
        ("latin-1", "utf-16", "cp1252", "ascii"),
        ("utf-16", "cp1252", "ascii", "cp437"),
    ],
)
def test_commands_do_their_work_in_any_encoding(
    data: Path, tmp_path: Path, train: str, evaluate: str, predict: str, plan: str
) -> None:
    named(data)

    def run(coding: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "minidl", *map(str, arguments)],
            cwd=tmp_path,
            env={**environment(), "PYTHONIOENCODING": coding},
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0 and done.stderr == b"", done.stderr.decode(coding)
        return done.stdout.decode(coding)

    assert "scores of each class" in run(train, "train", data, "--out", "größe→", *SMALL)
    table = run(evaluate, "evaluate", "größe→", data, "--out", "scores")
    assert ("Häuser → Dächer" in table) == (evaluate == "utf-16")
    assert ("\\u2192" in table) == (evaluate != "utf-16")
    run(predict, "predict", "größe→", data / "val/images", "--out", "背景")
    assert len(list((tmp_path / "背景").glob("жилой*.png"))) == 2
    assert ("→" in run(plan, "plan", "--size", "32")) == (plan == "utf-16")


def test_names_that_are_no_text_go_through_all_commands(
    call: Callable[..., Said], data: Path, tmp_path: Path
) -> None:
    for kind in ("images", "masks"):
        folder = os.fsencode(data / "val" / kind)
        first = min(os.listdir(folder))
        try:
            os.rename(folder + b"/" + first, folder + b"/\xff\xe9.png")
        except OSError:
            pytest.skip("no such names can be here")
    run, scores, out = (tmp_path / os.fsdecode(name) for name in (b"run\xff", b"scores\xfe", b"out\x80"))
    assert call("train", data, "--out", run, *SMALL).code == 0
    assert call("evaluate", run, data, "--out", scores).code == 0
    assert "mean_iou" in json.loads((scores / "metrics.json").read_text(encoding="utf-8"))
    assert call("predict", run, data / "val/images", "--out", out).code == 0
    assert read_mask(out / os.fsdecode(b"\xff\xe9.png")).ndim == 2
    assert "run\\udcff: holds a run already" in call("train", data, "--out", run, *SMALL).error
