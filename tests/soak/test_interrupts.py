"""The quick version of ``python -m soak.interrupts``."""

import signal

import pytest

from soak.interrupts import SHAPES, faults, soak

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such clock on this system")


@pytest.mark.slow
def test_interruptions_leave_no_memory_no_thread_and_no_hold():
    found = soak(times=12)
    assert faults(found) == []
    assert set(found["interrupts"]) == set(SHAPES)
    assert all(count > 3 for count in found["interrupts"].values()), found
