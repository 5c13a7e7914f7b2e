"""What may be written: results go where nothing of anybody else's is, and never among what is read.

A folder of results carries a mark (`minidl._marks`) with the names and sums of what minidl has written there.
That may be replaced; other files, and what was changed since (a mask corrected by hand), are somebody's, and
refused unless ``overwrite`` is given. Inputs are never written over, whatever is given. All of it is asked
before the first file is written.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minidl._atomic import destination, remove_leftovers
from minidl._lock import check_free, locked
from minidl._marks import MARK, Sums, is_marked, mark, marked, may_replace, seal
from minidl._recognise import read_json
from minidl.errors import InputError

#: The folders of a data set: nothing is written into one that lies beside another (images/ and masks/).
_IMAGES, _MASKS, _SPLITS = "images", ("labels", "masks"), ("", "train", "val", "test")


def check(
    folder: Path,
    names: Sequence[str],
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    data: Path | None = None,
    option: str = "--out",
) -> None:
    """Refuse early, before minutes of work, files that cannot or should not be written.

    Args:
        folder: of the results; it need not be there yet.
        names: of all files that will be written into it.
        overwrite: replace files that minidl has not written.
        inputs: folders and files that are read: nothing is written into them, or over them.
        data: the folder of the data set that is read; no new folder of results is made in it.
        option: that gave the folder, for the message.

    Raises:
        InputError: the folder cannot be made or written to, a name is too long, something else than a file
            has it, a file of somebody's has it, it is an input, or another process is writing there.
    """
    place = _nearest(folder, option)
    missing = folder.absolute().relative_to(place).parts if place in folder.absolute().parents else ()
    _check_names(folder, place, [*missing, *names], names, option)
    kinds = [data / split / kind for split in _SPLITS for kind in (_IMAGES, *_MASKS)] if data else []
    refuse_inputs([folder / name for name in names], [*inputs, *kinds], option)
    if data is not None:
        _refuse_within(folder, data, option)
    if _is_data(folder) and not is_marked(folder):
        raise InputError(f"{folder}: holds a data set; give another {option}")
    if missing:
        return
    _refuse_foreign(folder, names, overwrite, option)
    check_free(folder)


def check_file(
    path: Path, keys: set[str] | None, overwrite: bool, option: str, inputs: Iterable[Path] = ()
) -> None:
    """The same for a single file, in a folder that is there and gets no mark.

    ``keys``: what a JSON file of ours holds, so that it may be replaced.

    Raises:
        InputError: as :func:`check`.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: not a file in a folder that is there; give another path")
    refuse_inputs([path], inputs, option)
    try:
        target = destination(path)
    except InputError as error:
        raise InputError(f"{option} {error}") from None
    if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: no permission to write in its folder; give another path")
    if os.path.exists(path) and not overwrite:
        found = read_json(path) if keys else None
        if not (isinstance(found, dict) and keys and found.keys() >= keys):
            raise InputError(_foreign([path], option))


@contextmanager
def writing(
    folder: Path,
    names: Sequence[str],
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
    worth: str | None = None,
) -> Iterator[None]:
    """A folder of results while something writes to it: made, checked, locked and marked.

    If the block fails and nothing came of it (none of ``names`` is there, or not ``worth``), then what was
    made is taken away again. What was there before stays.

    Raises:
        InputError: as :func:`check`.
    """
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot create this folder ({error.strerror}); give another --out"
            ) from None
        with locked(folder, say):
            new = [path for path in (folder / name for name in (*names, MARK)) if not os.path.lexists(path)]
            try:
                _begin(folder, names, overwrite)
                # (The files of a run say themselves whose they are.)
                try:
                    yield
                except BaseException:  # of which a line is on its way
                    if worth is None:
                        seal(folder, names, lambda line: None)
                    raise
                if worth is None:
                    seal(folder, names, say)
            except BaseException:
                results = [folder / worth] if worth else [folder / name for name in names]
                if not any(path.exists() for path in results):
                    for path in new:
                        path.unlink(missing_ok=True)
                raise
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()  # refused where something is in it
        raise


def refuse_inputs(targets: Iterable[Path], inputs: Iterable[Path], option: str = "--out") -> None:
    """Results lie in no folder that is read, by whatever path, and are no file that is read.

    Raises:
        InputError: one does.
    """
    read: dict[tuple[int, int] | None, Path] = {
        identity: path for path in inputs if (identity := _identity(path))
    }
    asked: set[Path] = set()
    for target in targets:
        identity = _identity(target)
        if identity in read:
            raise InputError(f"{target}: would be written over {read[identity]}; give another {option}")
        for end in {Path(os.path.realpath(target.parent)), Path(os.path.realpath(target)).parent} - asked:
            asked.add(end)
            for place in (end, *end.parents):
                within = _within(place, read)
                if within is not None:
                    raise InputError(
                        f"{target.parent}: lies in {within}, which holds pictures or masks to read;"
                        f" give another {option}"
                    )


def _refuse_within(folder: Path, data: Path, option: str) -> None:
    """A folder in a data set would be read with it some day. One that is there and ours may go on."""
    real = Path(os.path.realpath(folder))
    for place in (real, *real.parents):
        if is_marked(place):
            return
        with contextlib.suppress(OSError):
            if os.path.samefile(place, data):
                raise InputError(f"{folder}: lies in the data set {data}; give another {option}")


def _within(place: Path, read: dict[tuple[int, int] | None, Path]) -> Path | None:
    """The folder that is read, if this is one: it was given, or is a data set's."""
    identity = _identity(place)
    if identity in read:
        return read[identity]
    return place if place.name in (_IMAGES, *_MASKS) and _is_data(place.parent) else None


def _is_data(folder: Path) -> bool:
    """Whether pictures and their masks lie side by side in it."""
    return (folder / _IMAGES).is_dir() and any((folder / kind).is_dir() for kind in _MASKS)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for all paths to one file; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _nearest(folder: Path, option: str) -> Path:
    """The folder itself, or the nearest above it that is there; it must be one that can be written to."""
    for place in (folder.absolute(), *folder.absolute().parents):
        try:
            mode = os.stat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(place):
                raise InputError(
                    f"{folder}: {place} is a link to a folder that is not there; give another {option}"
                ) from None
            continue
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{folder}: cannot be used ({reason}); give another {option}") from None
        if not stat.S_ISDIR(mode):
            raise InputError(f"{folder}: {place} is a file, not a folder; give another {option}")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: no permission to write in {place}; give another {option}")
        return place
    raise InputError(f"{folder}: no such place; give another {option}")


def _check_names(folder: Path, place: Path, parts: list[str], names: Sequence[str], option: str) -> None:
    """The system itself says whether a name, or the whole path, is too long."""
    for path in (*(place / part for part in parts), *(folder.absolute() / name for name in names)):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            short = path.name if len(path.name) <= 60 else f"{path.name[:40]}...{path.name[-15:]}"
            raise InputError(
                f"{short}: cannot be written in {str(folder)[:200]} ({reason}); give another {option}, or"
                " shorter names"
            ) from None


def _refuse_foreign(folder: Path, names: Sequence[str], overwrite: bool, option: str) -> Sums:
    """Targets are files, and ours. Returns the names in the mark."""
    owned, foreign = marked(folder), []
    for path in (folder / name for name in (MARK, *names)):
        if os.path.lexists(path):
            destination(path)
            if not overwrite and path.exists() and not may_replace(path, owned):
                foreign.append(path)
    if foreign:
        raise InputError(_foreign(foreign, option))
    return owned


def _foreign(paths: list[Path], option: str) -> str:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return (
        f"{paths[0]}{more}: is there already, and minidl has not written it, or it was changed since;"
        f" give another {option}, or --overwrite to replace it"
    )


def _begin(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Ask again, now that nobody else writes here, and note what will be written before it is."""
    owned = _refuse_foreign(folder, names, overwrite, "--out")
    remove_leftovers(folder, {MARK, *owned, *names})
    begun = {**owned, **dict.fromkeys((MARK, *names))}  # without sums: a kill may leave any of them
    if begun != owned:
        mark(folder, begun)
