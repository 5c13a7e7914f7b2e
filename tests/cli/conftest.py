"""A small data set, a trained run, and the command line called as a person calls it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minidl
from minidl.cli import main
from oracles.commands import SMALL, Said, environment
from oracles.runs import write_squares


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """The command line sets the number of threads; other tests should not notice."""
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``call("train", folder, "--out", out)`` within this process."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Said]:
    """``shell("train", ...)`` as a process of its own, in the test's folder."""

    def run(*arguments: object, **variables: str) -> Said:
        command = [sys.executable, "-m", "minidl", *map(str, arguments)]
        env = {**environment(), **variables}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """6 training, 2 validation, 2 test pictures of 16 x 16 with a bright square each."""
    return write_squares(tmp_path / "data", {"train": 6, "val": 2, "test": 2})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a finished ``run``; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    write_squares(folder / "data", {"train": 6, "val": 2, "test": 2})
    assert main(["train", str(folder / "data"), "--out", str(folder / "run"), *SMALL]) == 0
    minidl.set_num_threads(1)
    return folder
