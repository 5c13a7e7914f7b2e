"""Closed streams, terminals that hang up, and an environment without a compiler: real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from oracles.commands import SMALL, environment
from oracles.runs import contents

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams and terminals of POSIX")

LONG = ("--steps", "100000", "--eval-every", "50", "--batch-size", "2", "--base", "2", "--depth", "1")


def run(redirections: str, *arguments: object, cwd) -> tuple[int, str, str]:
    script = f'exec "$0" -m minidl "$@" {redirections}'
    command = ["sh", "-c", script, sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_training_with_closed_streams_does_its_work(data, tmp_path, closed):
    code, out, err = run(closed, "train", "data", "--out", "run", *SMALL, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert ("U-Net with" in out) == (">&-" not in closed.replace("2>&-", ""))
    assert contents(tmp_path / "run").step == 4


def test_a_mistake_with_closed_streams_has_its_exit_code(tmp_path):
    assert run("2>&-", "evaluate", "none", "none", cwd=tmp_path) == (2, "", "")
    code, out, err = run(">&-", "evaluate", "none", "none", cwd=tmp_path)
    assert code == 2 and out == "" and err.startswith("minidl: error: none: ")


def test_a_training_outlives_the_terminal_long_enough_to_save(data, tmp_path):
    import pty

    pid, master = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        arguments = [sys.executable, "-m", "minidl", "train", "data", "--out", "run", *LONG]
        os.execve(sys.executable, arguments, environment())
    try:
        shown, end = b"", time.monotonic() + 60
        while not (tmp_path / "run" / "last.safetensors").exists():
            assert time.monotonic() < end, shown
            shown += os.read(master, 65536)
    finally:
        os.close(master)  # the terminal hangs up
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 128 + signal.SIGHUP, shown
    assert contents(tmp_path / "run").step >= 50


@pytest.mark.parametrize("ignored", [False, True])
def test_sighup_saves_unless_it_is_ignored_as_under_nohup(data, tmp_path, ignored):
    before = "trap '' HUP; " if ignored else ""
    script = f'{before}exec "$0" -u -m minidl "$@"'
    command = ["sh", "-c", script, sys.executable, "train", "data", "--out", "run", *LONG]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), **pipes) as process:
        try:
            end = time.monotonic() + 60
            while not (tmp_path / "run" / "last.safetensors").exists():
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGHUP)
            if ignored:
                process.stdout.readline()  # it is still there
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + (signal.SIGTERM if ignored else signal.SIGHUP), err
    assert f"stopped after step {contents(tmp_path / 'run').step}, everything is saved" in err


def test_without_numbas_compiler_the_reference_runs_and_one_note_says_so(shell, data):
    said = shell("train", "data", "--out", "run", *SMALL, NUMBA_DISABLE_JIT="1", MINIDL_BACKEND="")
    assert said.code == 0, said.err
    assert said.err == (
        "note: NUMBA_DISABLE_JIT is set, so nothing is compiled: the 'numpy' kernels run instead\n"
    )
    assert shell("plan", "--size", "64", NUMBA_DISABLE_JIT="1", MINIDL_BACKEND="").code == 0
    refused = shell("plan", "--measure", NUMBA_DISABLE_JIT="1", MINIDL_BACKEND="")
    assert refused.code == 2 and "--measure: NUMBA_DISABLE_JIT is set" in refused.err
    assert shell("plan", "--size", "64", NUMBA_DISABLE_JIT="0").err == ""
