"""The report of the checks, and the counts for docs/proof.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minidl import testing
from minidl.testing import Report


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0])
def test_one_element_among_many_is_enough(bad):
    wanted = np.ones((20, 30))
    actual = wanted.copy()
    actual[3, 4] = bad
    with pytest.raises(AssertionError, match=r"op: it: element \(3, 4\) .* 1 of 600 elements are off"):
        Report().compare("kind", "it", actual, wanted, atol=0.5)
    with pytest.raises(AssertionError, match=r"element \(3, 4\)"):
        Report().compare("kind", "it", wanted, actual, atol=0.5)


def test_nan_and_infinity_agree_with_themselves_only():
    special = np.array([np.nan, np.inf, -np.inf, 1.0])
    report = Report()
    report.compare("kind", "it", special, special.copy(), atol=0.0)
    assert report.checks["kind"].eps == 0
    with pytest.raises(AssertionError, match="element"):
        report.compare("kind", "it", special, special[[0, 2, 1, 3]], atol=1e300)


def test_the_worst_of_several_comparisons_is_kept_and_reports_add_up():
    report, eps = Report(), 2.0**-52
    for off in (2, 8, 4):
        report.compare("kind", "it", np.array([1.0 + off * eps]), np.array([1.0]), atol=16 * eps)
    other = Report()
    other.count("kind")
    other.skip("more", "because")
    report.add(other)
    assert report.checks["kind"] == testing.Check(cases=4, eps=8.0, share=0.5)
    assert report.left_out == {"more": "because"}


# --- the counts for docs/proof.md ---


def test_a_run_of_the_tests_counts_what_was_checked(root, tmp_path):
    written = tmp_path / "proof" / "counts.json"
    chosen = "tests/ops/test_matmul.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", chosen],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "MINIDL_PROOF": str(written)},
    )
    assert done.returncode == 0, done.stdout
    row = json.loads(written.read_text(encoding="utf-8"))["matmul"]
    assert row["forward"]["configurations"] >= 12 and row["gradcheck"]["configurations"] >= 12
    assert 0 <= row["float32"]["share"] < 1 and row["memory orders"]["eps"] < 1e4
