"""Outputs that are a device, pipe, socket, link, folder, somebody's file, or within what is read"""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from attacks.bench import Bench, has
from oracles.commands import SMALL

MEANS = "what is there stays, unless it is minidl's own or --overwrite is given, and no input ever changes"
COUNT = 400

_RUN = ("best.safetensors", "last.safetensors", "config.json", "history.csv", "history.png", "val.png")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _file(contents: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(contents)


def _link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


#: What stands where something will be written. None of it is minidl's.
KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a socket": _socket,
    "a link to /dev/null": _link("/dev/null"),
    "a link to /dev/full": _link("/dev/full"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to an input": _link("../data/test/images/00.png"),
    "a link to a mask": _link("../data/val/masks/00.png"),
    "a link to somebody's file": _link("../somebodys/thesis.txt"),
    "a link to somebody's folder": _link("../somebodys"),
    "somebody's text": _file(b"mine"),
    "somebody's JSON": _file(b'{"mine": [1, 2]}'),
    "an empty file": _file(b""),
    "a picture": _file(b"\x89PNG\r\n\x1a\n"),
    "a file of temporary name": lambda path: path.with_name(f".{path.name}.0123abcd.tmp").write_bytes(
        b"mine"
    ),
}


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Each command with each thing in the way."""
    mine = bench.folder / "somebodys"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for _ in range(count):
        kind = rng.choice(list(KINDS))
        place = bench.folder / "out"
        place.mkdir()
        overwrite = rng.random() < 0.3 and "link" not in kind
        rng.choice((_into_a_folder, _as_the_folder, _as_a_file, _within_the_data))(
            bench, rng, kind, place, overwrite
        )
        shutil.rmtree(place)
        for path in (bench.data / "val/run", bench.data / "run"):
            shutil.rmtree(path, ignore_errors=True)


def _extra(command: str, overwrite: bool) -> tuple[str, ...]:
    return ("--overwrite",) if overwrite and has(command, option="--overwrite") else ()


def _into_a_folder(bench: Bench, rng: random.Random, kind: str, place: Path, overwrite: bool) -> None:
    """One of the files that a command writes is there already."""
    commands = {
        "train": (rng.choice(_RUN), ("train", bench.data, "--out", place, *SMALL)),
        "predict": (rng.choice(("00.png", "00_overlay.png", ".minidl", ".minidl-lock")),
                    ("predict", bench.run, bench.data / "test/images", "--out", place)),
        "evaluate": (rng.choice(("metrics.json", "pictures.png", ".minidl", ".minidl-lock")),
                     ("evaluate", bench.run, bench.data, "--out", place)),
    }  # fmt: skip
    name, arguments = commands[rng.choice(list(commands))]
    target = place / name
    KINDS[kind](target)
    replaced = [target] if overwrite and target.is_file() else []
    if name.startswith(".minidl") and target.is_file() and not target.is_symlink():
        replaced = [target]  # the names of minidl's own files
    new = [
        place / n
        for n in (*_RUN, ".minidl", "metrics.json", "pictures.png")
        if not os.path.lexists(place / n)
    ]
    new += [
        place / f"{s}{e}.png"
        for s in ("00", "01")
        for e in ("", "_overlay")
        if not os.path.lexists(place / f"{s}{e}.png")
    ]
    given = _extra(str(arguments[0]), overwrite)
    bench.call(f"{arguments[0]}, {name} is {kind}, {given}", *arguments, *given, writes=[*new, *replaced])


def _as_the_folder(bench: Bench, rng: random.Random, kind: str, place: Path, overwrite: bool) -> None:
    """The folder of results itself is something else."""
    out, somebodys = place / "x", bench.folder / "somebodys"
    KINDS[kind](out)
    deeper = rng.choice((out, out / "y", out / "y/z"))
    results = ("y", *_RUN, ".minidl", *(f"{n}{e}.png" for n in ("00", "01") for e in ("", "_overlay")))
    # A link to a folder is followed: results go into it, beside what is there.
    writes = [out, *(somebodys / n for n in results)] if out.is_dir() or not os.path.lexists(out) else []
    for arguments in (
        ("train", bench.data, "--out", deeper, *SMALL),
        ("predict", bench.run, bench.data / "test/images", "--out", deeper),
        ("demo", "--out", deeper, "--steps", "x"),
    ):
        command = str(arguments[0])
        name = f"{command}, --out {deeper.relative_to(place)}, x is {kind}"
        bench.call(name, *arguments, *_extra(command, overwrite), writes=writes)
        for result in results:
            path = somebodys / result
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _as_a_file(bench: Bench, rng: random.Random, kind: str, place: Path, overwrite: bool) -> None:
    """An option that names a file."""
    target = place / "x.json"
    KINDS[kind](target)
    replaced = [target] if overwrite or not os.path.lexists(target) else []
    given = ("plan", "--size", "16", "--batch-size", "1", "--json", target, *_extra("plan", overwrite))
    bench.call(f"plan --json, {kind}, {overwrite}", *given, writes=replaced)


def _within_the_data(bench: Bench, rng: random.Random, kind: str, place: Path, overwrite: bool) -> None:
    """--out lies in DATA, by whatever path: always refused."""
    (place / "link").symlink_to(bench.data)
    inside = rng.choice(
        ("", "val", "val/masks", "val/images", "test/masks/new", "train/images/../masks", "val/run")
    )
    out = rng.choice((place / "link", bench.data, bench.run / "../data")) / inside
    for arguments in (
        ("train", bench.data, "--out", out, *SMALL),
        ("evaluate", bench.run, bench.data, "--out", out),
        ("predict", bench.run, bench.data / "val/images", "--out", bench.data / "val/images"),
        ("predict", bench.run, bench.data / "val/images/00.png", "--out", bench.data / "val/masks"),
    ):
        bench.call(
            f"{arguments[0]} in the data: {inside}",
            *arguments,
            *_extra(str(arguments[0]), overwrite),
            codes=[2],
        )
