"""Write files so that a reader sees the old contents or the new, never a part. All output goes this way."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from minidl.errors import InputError

#: What a temporary file is called: hidden, with an ending of our own, and a part that is drawn, so that two
#: writers of one path cannot meet in one file. A long name is cut: a name with 255 bytes is a good one, with
#: more around it it would not be.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.minidl-tmp", re.DOTALL)
_KEPT = 60

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
}


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    The data go to a new file in the same folder, are flushed to the disk (fsync), and take the place of
    ``path`` in one step (``os.replace``, atomic on POSIX and Windows). When anything fails, or the process is
    killed, the old file is untouched. A link stays one: the file that it leads to is written. A file that is
    replaced passes its permissions on.

    Args:
        path: the file to write; its folder must exist.
        data: bytes, or text that is written as UTF-8 with its line ends unchanged.

    Raises:
        InputError: the folder is missing or not writable, the disk is full, or ``path`` is there already and
            no regular file: a folder, a device, a pipe, a socket.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder) / "loss.csv", "step,loss\\n1,0.5\\n")
    ...     (Path(folder) / "loss.csv").read_text(), len(list(Path(folder).iterdir()))
    ('step,loss\\n1,0.5\\n', 1)
    """
    contents = data.encode("utf-8") if isinstance(data, str) else data
    target = destination(path)
    temporary = target.with_name(f".{target.name[:_KEPT]}.{secrets.token_hex(4)}.minidl-tmp")
    try:
        try:
            # "x" makes the file with the permissions that any new file gets (tempfile would make it private).
            with open(temporary, "xb") as file:
                file.write(contents)
                file.flush()
                _as_before(target, file.fileno())
                os.fsync(file.fileno())
            destination(target)  # has it become something else meanwhile?
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); give another path"
        ) from error


def destination(path: str | os.PathLike[str]) -> Path:
    """The file that a write to ``path`` would replace or make: the end of its links.

    Raises:
        InputError: what is there is no regular file, or may not be written.

    >>> destination("/dev/null")
    Traceback (most recent call last):
    minidl.errors.InputError: /dev/null: is a device, not a file; give another path
    """
    try:
        target = Path(os.path.realpath(path) if os.path.islink(path) else path)
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return target
    except (OSError, ValueError) as error:  # ValueError: a zero byte within the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written ({reason}); give another path") from None
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"{path}: is {kind}, not a file; give another path")
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: is write-protected; give another path, or permit it (chmod u+w)")
    return target


def remove_leftovers(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Remove what writers of the files ``names`` left in ``folder`` when they were killed in the middle.

    For a folder that has one writer: the file that another process is writing at this moment would go, too.
    What does not have a name as :func:`atomic_write` gives them stays, whoever made it.
    """
    beginnings = {name[:_KEPT] for name in names}
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            match = _TEMPORARY.fullmatch(path.name)
            if match and match[1] in beginnings and path.is_file() and not path.is_symlink():
                path.unlink()


def _as_before(target: Path, descriptor: int) -> None:
    """Owner and permissions of the file that will be replaced, as far as the system lets us."""
    with contextlib.suppress(OSError, AttributeError):  # AttributeError: Windows
        old, new = os.stat(target), os.fstat(descriptor)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can sync a folder (Windows cannot)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
