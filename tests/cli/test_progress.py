"""Bars, lines and times: what is said while one waits, without waiting."""

import io
import os
import re
import struct
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from minidl.cli import progress as progress_module
from minidl.cli.pace import Pace, clock_time
from minidl.cli.progress import Progress
from minidl.kernels import compiling

fcntl = pytest.importorskip("fcntl", reason="terminals of POSIX")
pty = pytest.importorskip("pty", reason="terminals of POSIX")
termios = pytest.importorskip("termios", reason="terminals of POSIX")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """What is written, and a real terminal's file to be asked for its size."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.ends = pty.openpty()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.ends[1]

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.ends[1], termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def close(self) -> None:
        for end in self.ends:
            os.close(end)
        super().close()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=made))
    monkeypatch.setattr(Pace.__init__, "__defaults__", (0, made))
    monkeypatch.setattr("tqdm.std.time", made)
    monkeypatch.setattr(progress_module, "TICK", 3600)  # the thread that redraws the bar has nothing to do
    return made


@pytest.fixture
def terminal(monkeypatch) -> Iterator[Terminal]:
    made = Terminal()
    made.resize(121)
    monkeypatch.setattr(progress_module, "sys", SimpleNamespace(stdout=made, stderr=made))
    monkeypatch.setattr(progress_module, "echo", lambda *lines: made.write("\n".join([*lines, ""])))
    yield made
    made.close()


def bars(shown: str) -> list[str]:
    return [bar.rstrip() for bar in re.split(r"[\r\n]+", shown) if "|" in bar]


def compile_for(clock: Clock, seconds: float) -> None:
    with compiling.under_way():
        clock.now += seconds


# --- the time that is left ----------------------------------------------------------------------------------


def test_the_first_step_is_no_part_of_the_estimate():
    clock = Clock()
    pace = Pace(1000, clock=clock)
    clock.now += 300
    pace.advance()
    assert pace.rate is None and pace.left is None
    clock.now += 2
    pace.advance()
    assert pace.left == 998 * 2


def test_compiling_is_no_part_of_the_estimate_whenever_it_happens():
    clock = Clock()
    pace = Pace(100, clock=clock)
    pace.advance()
    clock.now += 1
    pace.pause()
    clock.now += 500
    assert pace.rate is None
    pace.go_on()
    clock.now += 1
    pace.advance()
    assert pace.left == pytest.approx(98 * 2)
    pace.pause()
    clock.now += 500
    assert pace.left == pytest.approx(98 * 2)  # while it lasts, too


def test_a_pause_that_began_before_the_first_step_counts_from_its_end():
    clock = Clock()
    pace = Pace(10, clock=clock)
    pace.pause()
    clock.now += 40
    pace.advance()  # another thread was faster than the one that compiles
    clock.now += 5
    pace.go_on()
    clock.now += 1
    pace.advance()
    assert pace.left == pytest.approx(8)


def test_what_was_done_before_a_resumed_run_took_no_time():
    clock = Clock()
    pace = Pace(1000, 990, clock=clock)
    for _ in range(3):
        pace.advance()
        clock.now += 1
    assert pace.left == pytest.approx(7 * 3 / 2)


def test_at_the_end_nothing_is_left_even_of_a_single_step():
    pace = Pace(1)
    pace.advance()
    assert pace.left == 0.0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00"), (59.9, "00:59"), (3599, "59:59"), (3600, "1:00:00"), (90061, "25:01:01"), (None, "?")],
)
def test_times_as_they_are_read(seconds, shown):
    assert clock_time(seconds) == shown


def test_half_an_hour_of_compiling_leaves_the_time_of_the_steps(clock, terminal):
    with Progress(8) as progress:
        progress.phase("training", 100)
        compile_for(clock, 1800)
        progress.advance(loss=1.0)
        for _ in range(3):
            clock.now += 1
            progress.advance(loss=1.0, IoU=0.5)
    last = bars(terminal.getvalue())[-1]
    assert "01:36 left" in last and "8.00 images/s" in last, last


def test_validations_between_are_part_of_the_time_that_is_left(clock, capsys):
    with Progress(8) as progress:
        progress.phase("training", 40)
        for step in range(20):
            if step in (10,):
                clock.now += 30
                progress.phase("validating", 2)
                progress.advance(2)
                progress.message("step 10")
                progress.phase("training", 40, 10)
            clock.now += 1
            progress.advance()
        progress.phase("validating", 2)
        progress.message("step 20")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "step 10  [00:40 elapsed, 02:10 left]"  # (9 steps and 30 s) / 9, times 30
    assert second == "step 20  [00:50 elapsed, 00:51 left]"  # 49 s for 19 steps, times 20


def test_a_single_large_picture_has_a_time_that_is_left(clock, terminal):
    with Progress() as progress:
        progress.phase("predicting", 1)
        for _ in range(3):
            clock.now += 60
            progress.advance(1 / 3)
    shown = bars(terminal.getvalue())
    assert "33% |" in shown[-3] and "0/1 [" in shown[-3] and "? left" in shown[-3]
    assert "67% |" in shown[-2] and "01:00 left" in shown[-2]
    assert "100% |" in shown[-1] and "1/1 [" in shown[-1] and "00:00 left" in shown[-1]


# --- lines in a log -----------------------------------------------------------------------------------------


def test_each_line_of_a_log_has_elapsed_and_remaining_time(clock, capsys):
    with Progress() as progress:
        progress.phase("measuring", 4)
        clock.now += 5
        progress.advance()
        progress.message("first")
        clock.now += 10
        progress.advance()
        progress.message("second\nand more")
        progress.message("note: something else")
    assert capsys.readouterr().out.splitlines() == [
        "first  [00:05 elapsed, ? left]",
        "second  [00:15 elapsed, 00:20 left]",
        "and more",
        "note: something else",
    ]


def test_on_a_terminal_the_times_stand_in_the_bar_alone(clock, terminal):
    with Progress() as progress:
        progress.phase("measuring", 4)
        progress.advance()
        progress.message("first")
    assert "elapsed" not in terminal.getvalue()


def test_a_log_is_never_silent_for_long(clock, capsys):
    with Progress() as progress:
        progress.phase("predicting", 100)
        for _ in range(50):
            clock.now += 5
            progress.advance()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "predicting 13/100  [01:05 elapsed, 07:15 left]"
    assert len(out) == 3 and all(line.startswith("predicting ") for line in out)


# --- compiling ----------------------------------------------------------------------------------------------


def test_compiling_is_said_once_in_a_log(clock, capsys):
    with Progress() as progress:
        progress.phase("training", 100)
        for _ in range(20):
            compile_for(clock, 3)
        progress.phase("validating", 100)
        compile_for(clock, 3)
    said = capsys.readouterr()
    assert said.err == "" and said.out.startswith("compiling kernels") and said.out.count("\n") == 1


def test_a_run_that_finds_its_kernels_says_nothing_of_compiling(clock, capsys):
    with Progress() as progress:
        progress.phase("training", 100)
        progress.advance()
        compile_for(clock, 0.5)  # one that was not there
    assert capsys.readouterr().out == ""


def test_nothing_is_said_after_the_progress_has_ended(clock, capsys):
    with Progress() as progress:
        progress.phase("training", 100)
    compile_for(clock, 10)
    assert capsys.readouterr().out == ""


def test_once_is_said_only_where_the_code_can_be_kept(clock, capsys, monkeypatch):
    for kept, words in ((True, "compiling kernels, once"), (False, "compiling kernels (")):
        monkeypatch.setattr("minidl.kernels.cpu.kept_for_good", lambda kept=kept: kept)
        with Progress() as progress:
            progress.phase("training", 100)
            compile_for(clock, 3)
        assert capsys.readouterr().out.startswith(words)


def test_an_empty_cache_is_told_from_one_with_kernels(tmp_path, monkeypatch):
    """What ``bench`` looks at: its contestants compile in processes of their own."""
    from minidl.kernels import cpu

    monkeypatch.setattr(cpu, "cache_folder", lambda: tmp_path / cpu._name())
    assert cpu.nothing_kept() and cpu.kept_for_good()
    (tmp_path / cpu._name()).mkdir()
    assert cpu.nothing_kept()
    (tmp_path / cpu._name() / "kernel.nbc").touch()
    assert not cpu.nothing_kept()
    monkeypatch.setattr(cpu, "cache_folder", lambda: tmp_path)
    assert not cpu.kept_for_good()


def test_the_bar_says_compiling_while_it_lasts_and_no_longer(clock, terminal):
    with Progress() as progress:
        progress.phase("training", 100)
        compile_for(clock, 3)
        with compiling.under_way():
            clock.now += 9
            progress.bar.refresh()
        progress.advance(loss=1.0)
    shown = bars(terminal.getvalue())
    assert "[compiling kernels, 00:12]" in shown[-2]
    assert "compiling" not in shown[-1] and "loss 1.0000" in shown[-1]


def test_nested_compilations_are_one():
    told = []
    with compiling.watching(told.append), compiling.under_way(), compiling.under_way():
        pass
    assert told == [True, False]


def test_a_compilation_that_fails_has_ended():
    told = []
    with compiling.watching(told.append), pytest.raises(ZeroDivisionError), compiling.under_way():
        1 / 0  # noqa: B018
    assert told == [True, False]


# --- narrow terminals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 28, 40, 60, 80, 120])
def test_a_bar_is_never_cut_off(clock, terminal, columns):
    terminal.resize(columns + 1)  # tqdm leaves the last one free
    with Progress(8) as progress:
        progress.phase("training", 10000)
        for _ in range(3):
            clock.now += 1
            progress.advance(loss=1.0, IoU=0.5)
        compile_for(clock, 3)
        with compiling.under_way():
            clock.now += 1
            progress.bar.refresh()
    shown = bars(terminal.getvalue())
    assert shown and max(map(len, shown)) <= columns
    working, last = [bar for bar in shown if "24/80000" in bar or "2:46:37" in bar], shown[-1]
    assert (columns >= 28) == any("2:46:37" in bar for bar in working), shown
    assert ("IoU 0.5000" in "".join(working)) == (columns >= 80)
    assert ("8.00 images/s" in "".join(working)) == (columns >= 120)
    assert last.endswith(("00:04", "00:04]")) == (columns >= 28), shown
    assert ("compiling kernels" in last) == (columns >= 60), shown
