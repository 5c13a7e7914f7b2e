"""Importing minidl leaves Python's garbage collector as it was, and what it leaves for later comes."""

import subprocess
import sys

import pytest


def printed(root, code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("call", ["enable", "disable"])
def test_the_collector_is_on_or_off_as_before(root, call):
    before, after = printed(
        root, f"import gc; gc.{call}(); print(gc.isenabled()); import minidl; print(gc.isenabled())"
    )
    assert before == after == str(call == "enable")


def test_what_was_frozen_stays_frozen_and_nothing_else_is(root):
    code = "import gc; {} a = gc.get_freeze_count(); import minidl; print(a, gc.get_freeze_count())"
    assert printed(root, code.format("")) == ["0", "0"]
    before, after = (int(count) for count in printed(root, code.format("gc.freeze();")))
    assert 0.9 * before < after <= before, "a few are freed as the interpreter goes on"


def test_garbage_made_before_is_still_found(root):
    code = """
import gc, weakref
class Ring: pass
a = Ring(); a.self = a; seen = weakref.ref(a); del a
import minidl
gc.collect(); print(seen() is None)
"""
    assert printed(root, code) == ["True"]


def test_the_first_operation_may_come_from_several_threads_at_once(root):
    code = """
import sys, threading, minidl
assert "minidl.ops" not in sys.modules
start, sums = threading.Barrier(8), []
def work():
    start.wait()
    sums.append(float((minidl.ones(2) + 1).sum()))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*sums)
"""
    assert printed(root, code) == ["4.0"] * 8


LATE = ["GradcheckError", "cat", "fuse", "gradcheck", "gradgradcheck"]
LATE += ["cuda", "errors", "models", "nn", "ops", "optim", "segmentation", "testing", "train"]


@pytest.mark.parametrize("name", LATE)
def test_names_that_are_imported_late_are_listed_and_are_what_their_modules_have(root, name):
    code = f"import minidl; print('{name}' in dir(minidl)); a = minidl.{name}"
    assert printed(root, f"{code}; from minidl import {name}; print(a is {name})") == ["True", "True"]
