"""How much memory the pictures may take that are being read at one time, by however many threads.

A file of a few hundred bytes can claim to hold a picture of gigabytes. So what a picture will take is worked
out from its header, before anything of it is decoded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minidl.kernels import forks

#: Bytes, where nobody says otherwise: colour pictures of 11,500 x 11,500.
MEMORY = 2 * 2**30

# Bytes for a pixel while it is read. Gray: decoded, copied, as float32. Others: what the decoder needs beside
# the result (JPEG keeps coefficients), turned upright, converted to RGB, three float32.
_GRAY_MODES = ("1", "L", "I;16", "I;16L", "I;16B")
_GRAY, _OTHER = 8, 16
_WEBP = 24  # its decoder keeps three pictures


def bytes_needed(mode: str, width: int, height: int, kind: str | None = None) -> int:
    """Bytes that reading a picture takes, at most; ``kind`` is its format.

    >>> bytes_needed("L", 1000, 1000), bytes_needed("RGB", 1000, 1000)
    (8000000, 16000000)
    """
    if kind == "WEBP":
        return width * height * _WEBP
    return width * height * (_GRAY if mode in _GRAY_MODES else _OTHER)


class Room:
    """Memory that is lent: who asks for more than is left waits until others have given theirs back."""

    def __init__(self) -> None:
        self._lent = 0
        self._changed = threading.Condition(forks.guarded(threading.Lock()))

    @contextmanager
    def lend(self, amount: int, limit: int) -> Iterator[None]:
        """``amount`` bytes, at most ``limit``: a single one always gets them when nobody else has any."""
        with self._changed:
            self._changed.wait_for(lambda: self._lent == 0 or self._lent + amount <= limit)
            self._lent += amount
        try:
            yield
        finally:
            with self._changed:
                self._lent -= amount
                self._changed.notify_all()

    def forget(self) -> None:
        """In a forked child: the threads that have borrowed are not there."""
        self._lent = 0


ROOM = Room()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ROOM.forget)
