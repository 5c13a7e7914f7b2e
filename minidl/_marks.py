"""The mark of a folder of results: which files in it are minidl's, and what they were when it left them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from minidl._atomic import atomic_write
from minidl._recognise import is_ours, read_json
from minidl.errors import InputError

MARK = ".minidl"

#: Of each file that minidl has written: SHA-256 of its contents; None: it was being written.
Sums = dict[str, str | None]

_ABOUT = "minidl has written these files and may replace them; it replaces no others"


def is_marked(folder: Path) -> bool:
    """Whether minidl has written this folder, as its mark says, or (without one) the files of a run."""
    return bool(marked(folder)) or is_ours(folder / "config.json")


def marked(folder: Path) -> Sums:
    """The names in the folder's mark, and the mark's own; none, if there is none."""
    found = read_json(folder / MARK)
    files = found.get("files") if isinstance(found, dict) and found.get("about") == _ABOUT else None
    return {**files, MARK: None} if isinstance(files, dict) else {}


def mark(folder: Path, sums: Sums) -> None:
    """Write it.

    Raises:
        InputError: the folder cannot be written.
    """
    files = {name: sums[name] for name in sorted(sums) if name != MARK}
    atomic_write(folder / MARK, json.dumps({"about": _ABOUT, "files": files}, indent=0) + "\n")


def seal(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Note the sums of what is written. Not worth a failure, but a line: what has none counts as ours."""
    there = [name for name in names if (folder / name).is_file()]
    try:
        mark(folder, {**marked(folder), **{name: _sum(folder / name) for name in there}})
    except InputError as error:
        say(f"note: {error}; the results are whole, but if you change one, a later run may replace it")


def may_replace(path: Path, owned: Sums) -> bool:
    """Ours by its mark, unless it was changed or a link leads out of the folder; or by what is in it.

    What has a sum in the mark and another one now is not ours, whatever is in it.
    """
    if path.name not in owned:
        return is_ours(path)
    if owned[path.name] is not None:
        return owned[path.name] == _sum(path)
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(path.parent) or is_ours(path)


def _sum(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
