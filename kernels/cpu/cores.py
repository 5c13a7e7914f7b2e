"""On which core does a thread run? Two that work together must not share one while another is idle.

Linux wakes a thread where it ran last, or where the one runs that wakes it, and looks for an idle core only
where there are enough of them for looking to pay: with two cores it often does not look. So it happens that
caller and helper take turns on one core while the other one sleeps; and since each of them sleeps while the
other works, nothing ever seems out of balance, and it stays so for seconds (seen: a pooling in 600 instead of
60 µs). A caller that wakes a helper therefore forbids it the core that it is on itself.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

#: What :func:`current_core` gives where the system does not say.
UNKNOWN = -1


@functools.cache
def _asking() -> Callable[[], int]:
    """C's ``sched_getcpu``; Linux has it."""
    try:
        # PyDLL does not let go of Python's lock, which would take longer than the call.
        return ctypes.PyDLL(None).sched_getcpu
    except (AttributeError, OSError, TypeError):
        return lambda: UNKNOWN


def current_core() -> int:
    """The core that the calling thread runs on at the moment, or :data:`UNKNOWN`."""
    return _asking()()


def keep_away(thread: int, core: int) -> bool:
    """Let a thread run on every core that the caller may use but this one.

    Args:
        thread: its number in the system (``threading.Thread.native_id``).
        core: as :func:`current_core` gives it; nothing is done for :data:`UNKNOWN`.

    Returns:
        Whether that was possible: there is another core, and the system lets threads be placed.
    """
    if core == UNKNOWN:
        return False
    others = os.sched_getaffinity(0) - {core}
    try:
        os.sched_setaffinity(thread, others)  # an error for the empty set, too
    except OSError:
        return False
    return True
