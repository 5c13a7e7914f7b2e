"""The folder of a run: new or resumed, made when training begins, taken away again if nothing came of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from minidl._atomic import atomic_write, remove_leftovers
from minidl.errors import InputError

FILES = ("last.safetensors", "best.safetensors", "config.json", "history.csv", "history.png")


def check(out: Path, resume: bool) -> None:
    """A run's folder is new, or resumed.

    Raises:
        InputError: it holds a run and should not, or the other way round.
    """
    there = (out / "last.safetensors").exists()
    if there and not resume:
        raise InputError(f"{out}: holds a run already; use --resume to go on with it, or give another --out")
    if resume and not there:
        raise InputError(
            f"{out}: holds no run to go on with (no last.safetensors); leave out --resume, or correct --out"
        )


def create(out: Path, config: str) -> list[Path]:
    """The folder, with ``config.json`` in it. Returns what a run makes and was not there before.

    What a killed process left half written is removed.

    Raises:
        InputError: it cannot be created or written to; then nothing is left behind.
    """
    files = [out / name for name in FILES]
    created = [path for path in (*files, out, *out.parents) if not path.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        atomic_write(out / "config.json", config)
    except BaseException as error:
        remove(out, created)
        if isinstance(error, OSError):
            reason = f"cannot create this folder ({error.strerror}); give another --out"
            raise InputError(f"{out}: {reason}") from None
        raise
    return created


def remove(out: Path, created: list[Path]) -> None:
    """Undo :func:`create`, unless there is a checkpoint to go on from. What was there before stays."""
    with contextlib.suppress(OSError):
        if (out / "last.safetensors").exists():
            return
        for path in created:
            if path.is_dir():
                path.rmdir()  # refused where something else has appeared in it
            else:
                path.unlink(missing_ok=True)
