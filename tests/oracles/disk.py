"""A disk that becomes full: the n-th call of the system that needs room fails, and every one after it."""

from __future__ import annotations

import builtins
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import minidl._atomic

NO_SPACE = os.strerror(errno.ENOSPC)


def full(*_: Any, **__: Any) -> Any:
    """What the system says."""
    raise OSError(errno.ENOSPC, NO_SPACE)


class Disk:
    """Counts the calls that need room: new file, first half of its bytes, second half, fsync, new name.

    The bytes go in two halves, so that a file is also left with a part of its contents.
    """

    def __init__(self, room: float = float("inf")) -> None:
        self.calls, self.room = 0, room

    def need_room(self) -> None:
        """One more call."""
        self.calls += 1
        if self.calls > self.room:
            full()

    def open(self, path: Path, mode: str) -> Any:
        """Of a new file."""
        assert mode == "xb", "minidl._atomic writes new files only"
        self.need_room()
        return _File(builtins.open(path, mode, buffering=0), self)  # the caller closes it

    def fsync(self, descriptor: int) -> None:
        """The blocks that a file system only promised may be refused here; a folder has its block by then."""
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.need_room()

    def replace(self, source: Any, target: Any) -> None:
        """A folder may need a block for a name."""
        self.need_room()
        _replace(source, target)


_replace = os.replace


class _File:
    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        for part in (data[:half], data[half:]):
            self.disk.need_room()
            self.file.write(part)

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return int(self.file.fileno())


@contextmanager
def filling(disk: Disk) -> Iterator[Disk]:
    """Everything that minidl writes goes to this disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minidl._atomic, "open", disk.open, raising=False)
        patch.setattr(os, "fsync", disk.fsync)
        patch.setattr(os, "replace", disk.replace)
        yield disk
