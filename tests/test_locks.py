"""One writer at a time: the lock on a folder that results go to."""

import errno
import os
import socket
import subprocess
import sys
import threading

import pytest

from minidl import _lock
from minidl._atomic import atomic_write
from minidl._lock import check_free, locked
from minidl._marks import MARK
from minidl._outputs import check, writing
from minidl.errors import InputError
from oracles.commands import environment, tree
from oracles.runs import refusal
from oracles.targets import device, fifo, folder, loop

posix = pytest.mark.skipif(os.name != "posix", reason="kinds of files of POSIX")


HOLD = """
import sys, pathlib
from minidl._lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to the folder."""
    if _lock.fcntl is None:
        pytest.skip("no flock")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(), **pipes)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_the_folder_and_the_process(tmp_path, holder):
    for action in (
        lambda: check_free(tmp_path),
        lambda: check(tmp_path, ["a"]),
        lambda: locked(tmp_path).__enter__(),
        lambda: writing(tmp_path, ["a"]).__enter__(),
    ):
        refusal(action, str(tmp_path), f"process {holder.pid} on {socket.gethostname()}")
    holder.communicate("")
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_dies_with_its_process(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / _lock.NAME).exists()
    check_free(tmp_path)
    with writing(tmp_path, ["a"]):
        atomic_write(tmp_path / "a", "x")
    assert tree(tmp_path).keys() == {MARK, "a"}


def test_two_threads_are_two_writers(tmp_path):
    refused = []

    def other():
        with pytest.raises(InputError) as error, locked(tmp_path):
            pass
        refused.append(str(error.value))

    with locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} on" in refused[0]


def test_of_many_threads_one_writes_at_a_time(tmp_path):
    inside, most, done = [], [], []

    def work():
        for _ in range(20):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    done.append(1)
            except InputError:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done and max(most) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_where_nothing_can_be_locked_it_is_said_once_and_goes_on(tmp_path, monkeypatch, number):
    if _lock.fcntl is None:
        pytest.skip("no flock")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_lock.fcntl, "flock", flock)
    said = []
    for _ in range(3):
        with locked(tmp_path, said.append):
            check_free(tmp_path)
    assert len(said) == 1 and str(tmp_path) in said[0] and os.strerror(number) in said[0]


def test_without_flock_at_all_it_is_said_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "fcntl", None)
    said = []
    with writing(tmp_path / "out", ["a"], say=said.append):
        atomic_write(tmp_path / "out/a", "x")
    assert len(said) == 1 and "cannot be locked" in said[0]


@posix
@pytest.mark.parametrize("make", [fifo, folder, device, loop])
def test_a_lock_file_that_is_none_is_one_line(tmp_path, make):
    make(tmp_path / _lock.NAME)
    refusal(lambda: locked(tmp_path).__enter__(), _lock.NAME)
    check_free(tmp_path)


def test_what_stands_in_a_lock_file_does_not_reach_the_screen(tmp_path):
    with locked(tmp_path):
        (tmp_path / _lock.NAME).write_bytes(b"\x1b[31mprocess 1 on \x1b]0;x\n" * 10)
        said = refusal(lambda: check_free(tmp_path), "another process")
    assert "\x1b" not in said
