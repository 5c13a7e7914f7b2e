"""Importing minidl leaves Python's garbage collector as it was."""

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
