"""One writer of a folder at a time: a lock that dies with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from minidl.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: The file that is locked, there as long as someone writes. A folder itself cannot be locked on NFS.
NAME = ".minidl-lock"

#: Someone who only looks holds the lock for a moment (:func:`check_free`): ask again before refusing.
_ATTEMPTS, _PAUSE = 5, 0.02

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_said: set[str] = set()


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Hold the lock of a folder that is there; nobody else, in this process or another, can hold it.

    Where that is not possible (some network file systems, Windows), ``say`` is told so, once for a folder.

    Raises:
        InputError: it is held; the line names the process. Or the folder cannot be written.
    """
    descriptor = _acquire(folder, say)
    try:
        yield
    finally:
        if fcntl is None:
            os.close(descriptor)  # Windows does not remove what is open
        # The name goes while the lock is held: whoever opened it meanwhile sees that it is gone (_acquire).
        with contextlib.suppress(OSError):
            (folder / NAME).unlink()
        if fcntl is not None:
            os.close(descriptor)


def check_free(folder: Path) -> None:
    """Refuse early, before minutes of work, what :func:`locked` would refuse.

    Raises:
        InputError: somebody writes to this folder.
    """
    if fcntl is None:
        return
    try:
        descriptor = _open(folder, os.O_RDONLY)
    except OSError:
        return  # no lock file: nobody; another trouble is told when the lock is taken
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise InputError(_held(folder, descriptor)) from None
    finally:
        os.close(descriptor)


def _acquire(folder: Path, say: Callable[[str], None]) -> int:
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = _open_or_make(folder)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{folder / NAME}: cannot be written ({reason}); give another folder") from None
        try:
            if _take(folder, descriptor, say, last=attempt == _ATTEMPTS - 1):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_PAUSE)
    raise InputError(f"{folder}: others begin and end here all the time; give another folder")


def _take(folder: Path, descriptor: int, say: Callable[[str], None], last: bool) -> bool:
    """Lock the open file. False: try again."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no flock")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            if last:
                raise InputError(_held(folder, descriptor)) from None
            return False
        if str(folder) not in _said:
            _said.add(str(folder))
            reason = error.strerror or error
            say(f"note: {folder} cannot be locked ({reason}): take care that nothing else writes to it")
        return True
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(folder / NAME, follow_symlinks=False))
    return False  # its holder has ended and taken it away since it was opened


def _open_or_make(folder: Path) -> int:
    try:
        return _open(folder, os.O_RDWR | os.O_CREAT)
    except PermissionError:
        return _open(folder, os.O_RDONLY)  # what another user's killed process has left can be locked, too


def _open(folder: Path, flags: int) -> int:
    """The lock file, if it is a file: never through a link, never waiting for the other end of a pipe."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(folder / NAME, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file")
    return descriptor


def _sign(descriptor: int) -> None:
    """Who holds it, for the line that others get. Not worth a failure: the disk may be full."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _held(folder: Path, descriptor: int) -> str:
    who = "another process"
    with contextlib.suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 200).decode("ascii", "replace")
        if match := re.match(r"process \d+ on [\w.-]+\n", text):
            who = match[0].strip()
    return f"{folder}: {who} is writing to this folder; wait for it, stop it, or give another folder"
