"""Ctrl-C and SIGTERM while a command starts or ends: real processes, interrupted at chosen imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oracles.commands import environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

#: Python imports this by itself before all else. It sends a signal when a certain module is imported.
INTERRUPTS = """
import atexit, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            signal.raise_signal({number})

if {at!r} == "exit":
    atexit.register(signal.raise_signal, {number})
sys.meta_path.insert(0, Interrupts())
"""
SCRIPT = "import sys\nfrom minidl.cli import entry\nif __name__ == '__main__':\n    sys.exit(entry())\n"
MODULE = ["-m", "minidl"]


@pytest.fixture
def run(tmp_path: Path):
    """Run Python with a signal at the import of a module."""
    script = tmp_path / "bin" / "minidl"  # as pip makes it
    script.parent.mkdir()
    script.write_text(SCRIPT)

    def begin(arguments: list[str], at: str, number: int = signal.SIGINT) -> tuple[int, str, str]:
        (tmp_path / "sitecustomize.py").write_text(INTERRUPTS.format(at=at, number=int(number)))
        path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
        command = [sys.executable, *(str(script) if word == "minidl-script" else word for word in arguments)]
        ended = subprocess.run(
            command, cwd=tmp_path, env={**environment(), "PYTHONPATH": path}, capture_output=True, text=True
        )
        return ended.returncode, ended.stdout, ended.stderr

    return begin


@pytest.mark.parametrize(
    "at", ["numpy", "numpy._core.multiarray", "minidl.autograd", "click", "minidl.cli.train", "exit"]
)
@pytest.mark.parametrize("start", [MODULE, ["minidl-script"]], ids=["module", "script"])
def test_ctrl_c_during_an_import_ends_with_one_line(run, start, at):
    code, out, err = run([*start, "train", "--help"], at)
    assert (code, err) == (130, "minidl: stopped\n"), (out, err)


def test_ctrl_c_while_the_help_imports_a_command(run):
    assert run([*MODULE, "--help"], "minidl.cli.predict") == (130, "", "minidl: stopped\n")


def test_sigterm_during_an_import_ends_without_a_word(run):
    """A shell reports 143: 128 and the signal's number."""
    assert run([*MODULE, "train", "--help"], "numpy", signal.SIGTERM) == (-signal.SIGTERM, "", "")


def test_what_a_command_says_is_whole_though_its_process_is_interrupted_at_its_end(run):
    assert run([*MODULE, "--version"], "exit") == (130, "minidl, version 0.1.0\n", "minidl: stopped\n")


def test_an_ignored_ctrl_c_stays_ignored(run):
    """As in the background of a shell."""
    code = (
        "import signal, runpy, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.argv = ['-m', '-h']\n"
        "runpy.run_module('minidl', run_name='__main__')"
    )
    ended, out, err = run(["-c", code], "numpy")
    assert ended == 0 and out.startswith("Usage: minidl") and err == ""


@pytest.mark.parametrize("arguments", [["-c"], ["-c", "x"]], ids=str)
def test_a_program_that_imports_minidl_keeps_its_signals(run, arguments):
    code = (
        "import signal\n"
        "try:\n"
        "    import minidl\n"
        "except KeyboardInterrupt:\n"
        "    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    assert run(["-c", code, *arguments[1:]], "minidl.autograd") == (0, "True\n", "")


def test_a_helper_process_of_the_command_line_is_not_the_command_line(run):
    """`multiprocessing` gives it the other's arguments."""
    code = "import sys; sys.argv = ['/usr/bin/minidl', 'train']\n"
    code += "from minidl import _breaks; print(_breaks._here)"
    assert run(["-c", code], "nothing") == (0, "False\n", "")
