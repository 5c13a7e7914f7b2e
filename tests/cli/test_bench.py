"""``minidl bench`` as a person calls it, without any peer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minidl.bench.workloads import WORKLOADS
from oracles.commands import assert_names, environment, tree


@pytest.fixture(autouse=True)
def _reference(monkeypatch):
    monkeypatch.setenv("MINIDL_BACKEND", "numpy")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--only", "relu,zebra"], ["--only zebra", "minidl bench --list"]),
        (["--peers", "numpy"], ["--peers numpy", "choose from", "torch-compile"]),
        (["--peers", "minidl"], ["--peers minidl", "choose from"]),
        (["--rounds", "0"], ["--rounds"]),
        (["--rounds", "many"], ["--rounds", "many"]),
        (["--quik"], ["--quik", "--quick"]),
        (["more"], ["more"]),
        (["--profile", "--only", "relu"], ["--only relu", "train-documents"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(call, tmp_path, options, parts):
    assert_names(call("bench", "--out", tmp_path / "out", *options).error, parts)
    assert tree(tmp_path) == {}


def test_a_peer_that_was_named_must_be_there(call, tmp_path, monkeypatch):
    from minidl.bench.contestants import Contestant

    monkeypatch.setattr(Contestant, "installed", lambda self: False)
    said = call("bench", "--out", tmp_path / "out", "--peers", "torch")
    assert_names(said.error, ["--peers torch", "not installed", "pip install"])


def test_out_is_a_file(call, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_names(
        call("bench", "--out", tmp_path / "file", "--quick").error, [str(tmp_path / "file"), "--out"]
    )


def test_the_list_names_everything(call, tmp_path):
    said = call("bench", "--list", "--out", tmp_path / "out")
    assert said.code == 0 and said.err == ""
    for name in [w.name for w in WORKLOADS] + ["memory", "startup", "torch-compile", "onnxruntime"]:
        assert name in said.out.replace(":", " ").split()
    assert tree(tmp_path) == {}


def test_the_real_command(shell, tmp_path):
    said = shell("--threads", "1", "bench", "--quick", "--only", "relu,train-documents", "--peers", "none")
    assert said.code == 0, said.err
    assert said.err == "" and "relu:  minidl" in said.out and "measured alone" in said.out
    out = tmp_path / "minidl-bench"
    assert sorted(p.name for p in out.iterdir()) == [".minidl", "results.json", "results.md", "roofline.png"]
    record = json.loads((out / "results.json").read_text())
    assert record["complete"] and record["quick"] and record["machine"]["threads"] == 1
    assert [m["name"] for m in record["workloads"]] == ["train-documents", "relu"]
    assert (out / "results.md").read_text().startswith("# minidl bench\n\n**A quick run")


def test_ctrl_c_keeps_what_was_measured(call, tmp_path, monkeypatch):
    import minidl.cli.bench as command

    real = command.run

    def stopped(plan, record, progress, save):
        def save_and_stop(r):
            save(r)
            raise KeyboardInterrupt

        return real(plan, record, progress, save_and_stop)

    monkeypatch.setattr(command, "run", stopped)
    said = call(
        "bench",
        "--quick",
        "--only",
        "relu,cat",
        "--rounds",
        "1",
        "--peers",
        "none",
        "--out",
        tmp_path / "out",
    )
    assert said.code == 130 and "stopped; what was measured so far is in" in said.err
    record = json.loads((tmp_path / "out/results.json").read_text())
    assert not record["complete"] and len(record["workloads"]) == 1
    assert "stopped before its end" in (tmp_path / "out/results.md").read_text()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_contestants_too(tmp_path, number, code):
    command = [sys.executable, "-m", "minidl", "bench", "--only", "relu,cat", "--peers", "none", "--quick"]
    out = tmp_path / "minidl-bench" / "results.json"
    process = subprocess.Popen(
        [*command, "--rounds", "100000"], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 60
        while not (workers := children(process.pid)):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code and "stopped before anything was measured" in said
    assert not any(alive(worker) for worker in workers) and not out.exists()


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    if listed.is_file():
        return [int(number) for number in listed.read_text().split()]
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(number) for number in found.stdout.split()]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_profile(call, tmp_path):
    said = call("bench", "--profile", "--quick", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "max_pool2d backward" in said.out
    names = [".minidl", "profile-train-documents.json", "profile.md"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert json.loads((tmp_path / "out" / names[1]).read_text())["seconds"] > 0
