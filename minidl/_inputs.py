"""The one place where files that a person gives are opened for reading.

A path may name anything: a pipe that nobody writes to (reading waits for ever), a device without an end
(``/dev/zero`` fills the memory), a link that leads nowhere, a terabyte. So a file is looked at before
it is opened, opened without waiting, must be a regular one, and has a size that what is in it can need; and
text in it must not be nested deeper than anyone would write it.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from minidl._text import one_line
from minidl.errors import InputError

PathLike = str | os.PathLike[str]

#: Of a file of text: a dataset.toml with names and colours of 65536 classes has 3 MiB.
TEXT_BYTES = 4 * 2**20
#: Brackets within brackets, and parts of a dotted key, of TOML and JSON.
NESTING = 32
#: Characters of a glob: the time to read one grows with their square.
GLOB = 1000

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Never wait for another process, never become the terminal's owner; where the system knows these.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)

# What is skipped, one alternative each: strings (also without their end, which is for the parser to say), and
# comments. Every alternative matches wherever it begins and gives nothing back, so the time is linear.
_STRINGS = r'"(?:[^"\\\n]|\\.)*+"?'
_JSON = re.compile(rf"{_STRINGS}|[\[{{]|[\]}}]", re.DOTALL)
_TOML = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}+(?!"))*+(?:"{3,5}+)?'
    r"|'''(?:[^']|'{1,2}+(?!'))*+(?:'{3,5}+)?"
    rf"|{_STRINGS}|'[^'\n]*+'?|\#[^\n]*+|[\[{{]|[\]}}]|[.=,\n]",
    re.DOTALL,
)


def is_there(path: PathLike) -> bool:
    """Whether anything has this name.

    Raises:
        InputError: a link whose target is missing, or that leads back to itself: to take it for nothing would
            quietly change what the other files mean.

    >>> is_there("no-such-file")
    False
    """
    try:
        os.stat(path)
        return True
    except FileNotFoundError:
        if os.path.islink(path):
            raise _unreachable(path, "") from None
        return False
    except NotADirectoryError:
        return False
    except (OSError, ValueError) as error:
        raise _refused(path, error, "") from error


def is_folder(path: PathLike) -> bool:
    """Whether it is a folder; raises InputError as :func:`is_there`."""
    return is_there(path) and os.path.isdir(path)


def check_regular(path: PathLike, what: str, remedy: str) -> os.stat_result:
    """What the system says of a file that is to be read, without opening it.

    Args:
        path: the file.
        what: it should be, as "an image file".
        remedy: what to give instead, as "give a PNG file".

    Raises:
        InputError: nothing has this name, or it is not a regular file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _refused(path, error, remedy) from error
    _check_kind(path, found, what, remedy)
    return found


@contextmanager
def opened(path: PathLike, what: str, remedy: str, most: int) -> Iterator[IO[bytes]]:
    """A file of at most ``most`` bytes, open for reading; the other arguments as `check_regular` takes them.

    Raises:
        InputError: it is not there, no regular file, too large, or may not be read.
    """
    check_regular(path, what, remedy)
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise _refused(path, error, remedy) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)  # once more: another may have taken its place
        _check_kind(path, found, what, remedy)
        if found.st_size > most:
            raise _too_large(path, found.st_size, what, most)
        yield file


def read_text(path: PathLike, what: str, remedy: str, most: int = TEXT_BYTES) -> str:
    """The text of a file: UTF-8, or UTF-16 or UTF-32; with a byte order mark or without; lines end in LF.

    Editors of other systems write all of these, and end lines with CR LF, or CR.

    Raises:
        InputError: as `opened`; also text in another encoding.
    """
    with opened(path, what, remedy, most) as file:
        try:
            data = file.read(most + 1)  # files of the system's own say that they have 0 bytes
        except OSError as error:
            raise _refused(path, error, remedy) from error
    if len(data) > most:
        raise _too_large(path, len(data), what, most)
    try:
        # UTF-16 without a mark is known by its zero bytes: the files that are read so begin in ASCII.
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{os.fspath(path)}: not text in UTF-8 (at byte {error.start + 1}); save it as UTF-8, an encoding"
            " that every editor offers"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: PathLike, remedy: str = "give a TOML file") -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        InputError: it cannot be read, is not TOML, is nested too deeply, or holds a number that TOML does not
            have.
    """
    try:
        text = read_text(path, "a TOML file", remedy)
        _check_nesting(text, _TOML)
        table = tomllib.loads(text)
        _check_numbers(table)
        return table
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # TOMLDecodeError
        raise InputError(
            f"{os.fspath(path)}: not valid TOML ({one_line(error)}); correct it there"
        ) from error


def matches(glob: str, name: str, what: str) -> bool:
    """Whether a name is one of those that a glob such as ``2[4-9]`` stands for; case counts.

    Raises:
        InputError: a glob that nobody writes by hand; ``what`` says where it was given.

    >>> matches("2[4-9]", "27", "--val")
    True
    """
    if len(glob) > GLOB:
        raise InputError(f"{what}: has {len(glob):,} characters; give a glob of at most {GLOB}")
    return fnmatch.fnmatchcase(name, glob)


def parse_json(text: str) -> Any:
    """A value of JSON text from a file.

    Raises:
        ValueError: it is not JSON, or nested too deeply.

    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json("[" * 100 + "]" * 100)
    Traceback (most recent call last):
    ValueError: nested more than 32 levels deep
    """
    _check_nesting(text, _JSON)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _check_nesting(text: str, tokens: re.Pattern[str]) -> None:
    """Before a parser sees it: parsers call themselves for every level, and copy keys for every part."""
    depth = dots = 0
    for match in tokens.finditer(text):
        token = match[0]
        if token in "[{":
            depth, dots = depth + 1, 0
        elif token in "]}":
            depth, dots = depth - 1, 0
        elif token == ".":
            dots += 1
        elif token in "=,\n":
            dots = 0
        if max(depth, dots) > NESTING:
            raise ValueError(f"nested more than {NESTING} levels deep")


def _check_numbers(value: Any) -> None:
    """Whole numbers in TOML have 64 bits; Python's parser reads more, which not even Python can print."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            _check_numbers(entry)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")


def _check_kind(path: PathLike, found: os.stat_result, what: str, remedy: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
        raise InputError(f"{os.fspath(path)}: {kind}, not {what}; {remedy}")


def _too_large(path: PathLike, size: int, what: str, most: int) -> InputError:
    return InputError(
        f"{os.fspath(path)}: has {size:,} bytes, and {what} may have {most:,} here; is it the right file?"
    )


def _refused(path: PathLike, error: OSError | ValueError, remedy: str) -> InputError:
    """What the system's error means for the person who gave the path."""
    name = os.fspath(path)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ELOOP) and os.path.islink(path):
        return _unreachable(path, remedy)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return InputError(f"{name}: no such file; check the path")
    if number in (errno.EACCES, errno.EPERM):
        return InputError(f"{name}: no permission to read it; change its permissions")
    if number is None or number == errno.ENAMETOOLONG:
        return InputError(f"{name}: no file can have this name; check the path")
    reason = error.strerror if isinstance(error, OSError) else None
    return InputError(f"{name}: cannot be read ({reason or error}); check the path and the disk")


def _unreachable(path: PathLike, remedy: str) -> InputError:
    target = Path(path).readlink()
    return InputError(
        f"{os.fspath(path)}: a link to {target}, which leads nowhere; "
        + (f"correct the link, or {remedy}" if remedy else "correct or remove the link")
    )
