"""With MINIDL_CI=1 a skip is a failure, except where the machine can have no remedy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest

def test_gpu():
    pytest.skip("no GPU: nothing that CUDA can run on")

def test_data(real_data):
    real_data("a data set that nobody has")

def test_passes():
    assert True

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    assert False

{rest}
"""
BY_CALL_AND_MARK = """
def test_peer():
    pytest.importorskip("no_such_peer")

@pytest.mark.skipif(True, reason="no compiler")
def test_compiler():
    pass
"""
WHOLE_MODULE = "pytest.importorskip('no_such_peer')"


def outcome(root: Path, folder: Path, rest: str, ci: str) -> tuple[int, str]:
    """Run a small suite under the project's own conftest.py in a folder laid out like the checkout."""
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(root / "tests" / "conftest.py", tests)
    (tests / "test_suite.py").write_text(SUITE.format(rest=rest))
    (tests.parent / "pytest.ini").write_text(f"[pytest]\npythonpath = '{root}' '{root / 'tests'}'\n")
    environment = {**os.environ, "MINIDL_CI": ci}
    command = [sys.executable, "-m", "pytest", "-q", "-rsf", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tests.parent, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_other_skips_are_skips_at_home(root: Path, tmp_path: Path) -> None:
    code, text = outcome(root, tmp_path, BY_CALL_AND_MARK, ci="0")
    assert code == 0, text
    assert "1 passed, 4 skipped, 1 xfailed" in text


def test_other_skips_are_failures_in_ci(root: Path, tmp_path: Path) -> None:
    code, text = outcome(root, tmp_path, BY_CALL_AND_MARK, ci="1")
    assert code == 1, text
    assert "1 failed, 1 passed, 2 skipped, 1 xfailed, 1 error" in text
    assert "skipped, which MINIDL_CI=1 forbids: could not import 'no_such_peer'" in text
    assert "skipped, which MINIDL_CI=1 forbids: no compiler" in text


def test_a_skipped_module_is_a_failure_in_ci(root: Path, tmp_path: Path) -> None:
    code, text = outcome(root, tmp_path, WHOLE_MODULE, ci="1")
    assert code == 2, text
    assert "skipped, which MINIDL_CI=1 forbids: could not import 'no_such_peer'" in text


def test_allowed_skips_stay_skips(root: Path, tmp_path: Path) -> None:
    code, text = outcome(root, tmp_path, "", ci="1")
    assert code == 0, text
    assert "1 passed, 2 skipped, 1 xfailed" in text
    assert "real data absent: no folder a data set that nobody has in ../shared/data" in text
