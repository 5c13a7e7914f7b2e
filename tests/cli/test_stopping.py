"""Ctrl-C, SIGTERM, readers that go away, and what a terminal shows: real processes."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oracles.commands import SMALL, environment, tree
from oracles.runs import assert_same_checkpoint, contents, history_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")

#: Endless, for a test: it is stopped by signals. Validated every 50 steps.
LONG = ("--steps", "100000", "--eval-every", "50", "--batch-size", "2", "--base", "2", "--depth", "1")


def start(*arguments: object, cwd: Path, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "minidl", *map(str, arguments)]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment(), **{**pipe, **options})


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def stop(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def training(data: Path, tmp_path: Path):
    """Start a training; wait for its first validation (or only for its first step)."""
    running = []

    def begin(*options: object, validated: bool = True) -> subprocess.Popen[str]:
        process = start("train", "data", "--out", "my run", *(options or LONG), cwd=tmp_path)
        running.append(process)
        awaited = "last.safetensors" if validated else "config.json"
        wait_until(lambda: process.poll() is not None or (tmp_path / "my run" / awaited).exists())
        assert process.poll() is None, process.communicate()
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


# ---------------------------------------------------------------------------------------------
# Signals
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(training, tmp_path, number, code):
    ended, _, err = stop(training(), number)
    assert ended == code, err
    step = contents(tmp_path / "my run").step
    assert re.search(rf"stopped after step {step}, everything is saved; go on with:\n", err)
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "  minidl train data --out 'my run' --resume"


def test_the_printed_command_finishes_the_run(call, data, tmp_path, training, monkeypatch):
    """And the result is that of a run that was never stopped."""
    options = ("--steps", 160, "--eval-every", 40, *LONG[4:], "--val", "0[45]", "--dropout", "0.2")
    ended, out, err = stop(training(*options), signal.SIGINT)
    assert ended == 130, (out, err)
    stopped_at = contents(tmp_path / "my run").step
    assert 40 <= stopped_at < 160
    command = shlex.split(err.splitlines()[-1])
    monkeypatch.chdir(tmp_path)
    said = call(*command[1:])
    assert said.code == 0 and f"steps {stopped_at} to 160" in said.out
    assert "note: as in training: --val '0[45]'" in said.out
    assert call("train", "data", "--out", "whole", *options).code == 0
    assert_same_checkpoint(contents(tmp_path / "my run"), contents(tmp_path / "whole"))
    assert history_of(tmp_path / "my run") == history_of(tmp_path / "whole")


def test_ctrl_c_before_the_first_validation_saves_too(training, tmp_path):
    process = training(*LONG[:2], "--eval-every", 100000, *LONG[4:], validated=False)
    time.sleep(0.3)
    ended, _, err = stop(process, signal.SIGINT)
    assert ended == 130 and "--resume" in err
    assert contents(tmp_path / "my run").step >= 1


def test_the_second_ctrl_c_stops_at_once(data, tmp_path):
    """A step of a minute: the first Ctrl-C would wait for it."""
    slow = (
        "import sys, time\n"
        "from minidl.train.trainer import Trainer\n"
        "step = Trainer._step\n"
        "def slow(self, *batch):\n"
        "    if self.step >= 2:\n"
        "        print('slow', flush=True)\n"
        "        for _ in range(600):\n"  # one long sleep may miss a signal that comes as it begins
        "            time.sleep(0.1)\n"
        "    return step(self, *batch)\n"
        "Trainer._step = slow\n"
        "from minidl.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", slow, "train", "data", "--out", "run", *SMALL]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), **pipes)
    try:
        for line in process.stdout:
            if line == "slow\n":
                break
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        while "Ctrl-C again" not in process.stderr.readline():
            pass
        _, _, err = stop(process, signal.SIGINT)
        assert time.monotonic() - began < 30
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert err == "stopped; go on from the last checkpoint with:\n  minidl train data --out run --resume\n"
    assert contents(tmp_path / "run").step == 2


def test_ctrl_c_while_reading_the_data(call, data, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("minidl.cli.options.scan", interrupted)
    before = tree(tmp_path)
    said = call("train", data, "--out", tmp_path / "run")
    assert said.code == 130 and said.err.strip() == "minidl: stopped"
    assert tree(tmp_path) == before


def test_signals_are_given_back(call, data, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    call("train", data, "--out", tmp_path / "run", *SMALL)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_in_a_thread_of_a_larger_program(data, tmp_path):
    """Signals belong to the main thread; elsewhere there is only nothing to catch."""
    import threading

    from minidl.cli import main

    codes = []
    arguments = ["train", str(data), "--out", str(tmp_path / "run"), *SMALL]
    thread = threading.Thread(target=lambda: codes.append(main(arguments)))
    thread.start()
    thread.join(60)
    assert codes == [0]


# ---------------------------------------------------------------------------------------------
# Readers and terminals
# ---------------------------------------------------------------------------------------------
def test_a_reader_that_goes_away(data, tmp_path):
    process = start("train", "data", "--out", "run", *LONG, cwd=tmp_path)
    first, second = process.stdout.readline(), process.stdout.readline()
    assert first.startswith("data: 6 train") and second.startswith("U-Net with")
    process.stdout.close()  # as `| head -2` does
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert err == ""
    assert contents(tmp_path / "run").step == 50  # saved before the line that nobody read


def on_a_terminal(*arguments: object, cwd: Path, columns: int = 130) -> tuple[int, str]:
    """Run a command whose stdout and stderr are a terminal; its exit code and all that it showed."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = start(*arguments, cwd=cwd, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux reports the other end's closing so
            break
        if not part:
            break
        shown += part
    os.close(master)
    return process.wait(60), shown.decode()


def test_the_bar_on_a_terminal(data, tmp_path):
    code, shown = on_a_terminal(
        *("train", "data", "--out", "run", *SMALL, "--steps", 160, "--eval-every", 80), cwd=tmp_path
    )
    assert code == 0, shown
    bars = [bar for bar in shown.split("\r") if bar.startswith("training") and "loss" in bar]
    assert bars
    figures = r"[ *[\d.]+ images/s, \d\d:\d\d left, loss \d+\.\d{4}  IoU \d\.\d{4}\]"
    pattern = rf"training +\d+% \|.*\| \d+/320 \{figures}"
    assert re.match(pattern, bars[-1]), bars[-1]
    assert any(line.startswith("step    80/160  loss") for line in re.split(r"[\r\n]+", shown)), shown
    assert not (tmp_path / "run" / "history.csv").read_text().count("\x1b")


def test_an_error_on_a_terminal_is_red_unless_asked_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    code, shown = on_a_terminal("evaluate", "none", "none", cwd=tmp_path)
    assert code == 2 and shown.startswith("\x1b[31mminidl: error: \x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_a_terminal("evaluate", "none", "none", cwd=tmp_path)[1].startswith("minidl: error: none")


def test_a_log_file_gets_lines_and_no_bars(shell, data, tmp_path):
    said = shell("train", "data", "--out", "run", *SMALL)
    assert said.code == 0 and said.err == ""
    assert "\r" not in said.out and "\x1b" not in said.out
    assert len(re.findall(r"^step ", said.out, re.MULTILINE)) == 2


def test_the_early_end_of_a_file_is_not_taken_for_ctrl_c(monkeypatch, capsys):
    from minidl.cli import cli, main

    def cut_off(context):
        raise EOFError("Ran out of input")

    monkeypatch.setattr(cli, "invoke", cut_off)
    assert main(["plan"]) == 2 and "ends before it should" in capsys.readouterr().err
