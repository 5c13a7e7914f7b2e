"""Write files so that a reader sees the old contents or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from minidl.errors import InputError

#: What a temporary file is called: hidden, and with a part of its own, so that two writers of one path cannot
#: meet in one file.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    The data go to a new file in the same folder, are flushed to the disk (fsync), and take the place of
    ``path`` in one step (``os.replace``, atomic on POSIX and Windows). When anything fails, or the process is
    killed, the old file is untouched.

    Args:
        path: the file to write; its folder must exist.
        data: bytes, or text that is written as UTF-8 with its line ends unchanged.

    Raises:
        InputError: the folder is missing or not writable, the disk is full, or ``path`` is a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder) / "loss.csv", "step,loss\\n1,0.5\\n")
    ...     (Path(folder) / "loss.csv").read_text(), len(list(Path(folder).iterdir()))
    ('step,loss\\n1,0.5\\n', 1)
    """
    target = Path(path)
    contents = data.encode("utf-8") if isinstance(data, str) else data
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            # "x" makes the file with the permissions that any new file gets (tempfile would make it private).
            with open(temporary, "xb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error.strerror or error}); give another path"
        ) from error


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove what writers left in ``folder`` that were killed in the middle (SIGKILL, a power cut).

    For a folder that has one writer: the file that another process is writing at this moment would go, too.
    """
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can sync a folder (Windows cannot)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
