"""Ctrl-C from the clock, in the middle of whatever is computed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any


def interrupted(work: Callable[[], Any], times: int, seed: int = 0) -> int:
    """Do the work until Ctrl-C has come so often, from the clock, at random moments; how often it came."""
    begun = time.perf_counter()
    work()
    most = 1.2 * (time.perf_counter() - begun) + 1e-4
    stopped = 0
    moments = random.Random(seed)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(50 * times):
            if stopped == times:
                break
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, most))
                work()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                stopped += 1
            except RuntimeError as error:  # Python's own locks do so when a thread was just being started
                if not isinstance(error.__context__, KeyboardInterrupt):
                    raise
                stopped += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    return stopped
