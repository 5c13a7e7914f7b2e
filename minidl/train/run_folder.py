"""The folder of a run: new or resumed, made when training begins, taken away again if nothing came of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from minidl._atomic import atomic_write
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
    """The folder, with ``config.json`` in it. Returns the folders that were not there before.

    Raises:
        InputError: it cannot be created or written to.
    """
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot create this folder ({error.strerror}); give another --out") from None
    atomic_write(out / "config.json", config)
    return created


def remove(out: Path, created: list[Path]) -> None:
    """Undo :func:`create`, unless there is a checkpoint to go on from."""
    if (out / "last.safetensors").exists():
        return
    with contextlib.suppress(OSError):
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        for folder in created:
            folder.rmdir()  # refused where something else has appeared in it
