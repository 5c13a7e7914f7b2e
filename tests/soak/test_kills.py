"""The quick version of ``make soak``: three kills of a short run."""

import os

import pytest

from soak.kills import EVERY, soak

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a signal of POSIX")


@pytest.mark.slow
def test_a_killed_run_ends_as_the_run_that_was_not(tmp_path):
    found = soak(tmp_path, kills=3, seed=3, steps=8 * EVERY)
    assert len(found["kills"]) == 3
    assert max(end["saved"] for end in found["kills"]) > 0, "no session went on from a checkpoint"
    assert found["tensors equal"] > 200 and found["history rows equal"] == 8
