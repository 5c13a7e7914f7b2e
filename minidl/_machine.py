"""What the machine has: bounds for what may be asked of it."""

from __future__ import annotations

import os
from pathlib import Path


def memory() -> int:
    """Bytes of memory that this process could use at all: the machine's, or what its container allows.

    >>> memory() > 2**20
    True
    """
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        found = 2**40
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isascii() and text.isdigit():  # else "max"
            found = min(found, int(text))
    return found
