"""Threads and processes: forks, forks in the middle of loading or compiling, and spawned children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from oracles.thread_numbers import nobody_has_set_a_number  # noqa: F401 - a fixture for every test here

FORK = """
import os, numpy as np, minidl
from minidl import ops
minidl.use("BACKEND")
minidl.set_num_threads(2)
x, w = (minidl.tensor(np.ones(s, np.float32)) for s in ((4, 8, 66, 66), (8, 8, 3, 3)))
before = ops.conv2d(x, w).numpy()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if (ops.conv2d(x, w).numpy() == before).all() else 1)
    children.append(child)
    assert (ops.conv2d(x, w).numpy() == before).all()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""

SPAWN = """
import multiprocessing, numpy as np, minidl
from minidl import ops

def work(seed):
    minidl.use("BACKEND")
    minidl.set_num_threads(2)
    x, w = (minidl.tensor(np.ones(s, np.float32)) for s in ((4, 8, 66, 66), (8, 8, 3, 3)))
    return float(ops.conv2d(x, w).sum())

if __name__ == "__main__":
    here = work(0)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print([there == here for there in pool.map(work, range(3))])
"""


# Another thread compiles a kernel that nobody has (its cache is empty), or imports the kernels: the child
# must be able to do so, too.
FORK_WHILE = """
import faulthandler, os, sys, threading, time, numpy as np, minidl
from minidl import ops
minidl.use("numba")
minidl.set_num_threads(2)
x = np.ones((512, 1024), np.float32)

def work():
    minidl.use("numba")
    return ops.relu(ops.add(minidl.tensor(x), minidl.tensor(x))).numpy()

WAIT
busy = threading.Thread(target=work)
busy.start()
children = []
while busy.is_alive() and len(children) < 3:
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(100, exit=True)  # a child that hangs is ended, and tells where
        os._exit(0 if (work() == work()).all() else 1)
    children.append(child)
    time.sleep(0.1)
busy.join()
results = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(len(children) > 0, set(results))
"""
WAITS = {
    "loads": "",
    "compiles": "work()  # all is imported\nx = x.astype('f8')",
}


@pytest.mark.parametrize("doing", list(WAITS))
def test_a_fork_while_another_thread_loads_or_compiles_kernels(doing, tmp_path, monkeypatch):
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "program.py"
    file.write_text(FORK_WHILE.replace("WAIT", WAITS[doing]))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True {0}", done.stderr


def run(program, backend, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(program.replace("BACKEND", backend))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_forked_children_get_threads_of_their_own(backend, tmp_path):
    """Forked after the parent's threads have worked, and while they do: children and parent go on."""
    assert run(FORK, backend, tmp_path) == "[0, 0, 0]"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_spawned_children_compute(backend, tmp_path):
    assert run(SPAWN, backend, tmp_path) == "[True, True, True]"
