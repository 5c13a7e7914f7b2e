"""Compiled code on disk: folders that nobody else can have put anything into, and files that are whole.

What lies in a cache is run: a ``.so`` is loaded, and Numba's code is found through pickles, which may call
anything. So a folder is used only if it, and every folder above it, belongs to this user or to the superuser
and can be written by nobody else (:func:`trusted`); else there is a folder for this process alone, and a note
says why. Files are written under another name and renamed, so several processes may write the same one, and
end with a checksum: what is damaged, cut off or somebody else's counts as missing (:func:`read`). A cache
saves time. Whatever is wrong with one, the work goes on without it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

_CHECKSUM = hashlib.sha256().digest_size
_said: set[str] = set()


def note(text: str) -> None:
    """Say something once in this process: a warning of the logger ``minidl``, by default a line on stderr."""
    if text in _said:
        return
    _said.add(text)
    import logging

    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)  # a path may hold anything
    logging.getLogger("minidl").warning("minidl: note: %s", shown)


def in_users_folder(*names: str) -> str | None:
    """A path in the user's own cache folder; None where there is no telling which that is."""
    home = os.environ.get("XDG_CACHE_HOME")
    if not home:
        with_home = os.environ.get("HOME") != ""  # expanduser would take the root folder for an empty one
        home = os.path.expanduser("~/.cache") if with_home else "~"
    return None if home.startswith("~") else os.path.join(home, "minidl", *names)


@functools.cache
def trusted(wanted: str | None) -> Path:
    """The folder, made if need be, with a path that holds in any working directory.

    One of this process alone, which is removed at its end, where that cannot be written to, or where another
    user could have put a file there. Looked at once for each folder.

    Raises:
        OSError: there is no place for temporary files either.
    """
    try:
        if wanted is None:
            raise OSError("no home folder is known (HOME is not set)")
        path = os.path.abspath(wanted)
        _make(path)
        real = os.path.realpath(path)
        _check(real, own=True)
        with tempfile.TemporaryFile(dir=real):
            return Path(real)
    except OSError as error:
        why = f"{error.filename or wanted}: {error.strerror}" if error.strerror else str(error)
        note(f"compiled code is kept for this process only: {why}")
        return private()


def _make(path: str) -> None:
    """Make the levels that are missing, and none below a folder that others can write to."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    _check(os.path.realpath(path))
    for level in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.mkdir(level, 0o700)


def _check(folder: str, own: bool = False) -> None:
    """See that no other user can change what lies there, nor exchange a folder above it.

    In a folder with the sticky bit (``/tmp``) all may write, but remove only what is theirs.

    Args:
        folder: a path without symbolic links.
        own: it is to be the cache itself: this user's, and not even sticky.

    Raises:
        OSError: others can, or it is no folder.
    """
    if not hasattr(os, "geteuid"):
        return  # the permissions of Windows are others
    user = os.geteuid()
    for level in (Path(folder), *Path(folder).parents):
        info = os.lstat(level)
        if not stat.S_ISDIR(info.st_mode):
            raise NotADirectoryError(f"{level}: is no folder")
        cache = own and level == Path(folder)
        if info.st_uid not in ((user,) if cache else (user, 0)):
            raise PermissionError(f"{level}: belongs to another user")
        if info.st_mode & 0o022 and (cache or not info.st_mode & stat.S_ISVTX):
            raise PermissionError(f"{level}: others may write there (chmod go-w makes it yours alone)")


@functools.cache
def private() -> Path:
    """A temporary folder of this process and its forked children.

    Raises:
        OSError: there is no place for one.
    """
    folder = tempfile.mkdtemp(prefix="minidl-")  # 0700
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child uses its parent's
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


def _mine(info: os.stat_result) -> bool:
    """Whether it is a regular file of this user's that nobody else may write."""
    if not stat.S_ISREG(info.st_mode):
        return False
    return not hasattr(os, "geteuid") or (info.st_uid == os.geteuid() and not info.st_mode & 0o022)


def read(path: Path) -> bytes | None:
    """What :func:`write` was given; None where there is no such file, or it is not whole or not ours."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            data = file.read() if _mine(os.fstat(file.fileno())) else b""
    except FileNotFoundError:
        return None
    except OSError:  # a symbolic link, a folder, no permission, a disk that fails
        data = b""
    contents, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if len(checksum) == _CHECKSUM and hashlib.sha256(contents).digest() == checksum:
        return contents
    damaged(path)
    return None


def damaged(path: Path) -> None:
    """Say, once for a folder, that something there is of no use."""
    note(f"{path.parent}: files there are damaged, or not yours alone; what they held is compiled anew")


def write(path: Path, contents: bytes) -> bool:
    """Write a file with its checksum, whole or not at all; False and a note where that cannot be done."""
    part = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with open(os.open(part, flags, 0o600), "wb") as file:
                file.write(contents + hashlib.sha256(contents).digest())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        note(f"{path.parent}: {error.strerror or error}; compiled code is not kept there")
        return False
    return True
