"""What a folder of results holds and is read back: its mark, lock, configuration and history, mutated"""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import Any

from attacks.bench import Bench
from attacks.mutation import mutated
from oracles.crafted import VALUES

MEANS = "results are written or refused in a line, and somebody's files stay"
COUNT = 800

_FILES = (".minidl", "config.json", "history.csv", ".minidl-lock", "metrics.json")
_NESTED = (
    "[" * 100_000,
    '{"files":' * 100_000,
    '{"files": ' + "[" * 50_000 + "]" * 50_000 + "}",
    '"' * 1000,
    "\xff",
    "",
)


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Predict, evaluate, resume and train into such folders."""
    whole = bench.folder / "whole"
    shutil.copytree(bench.run, whole)
    bench.prepare("evaluate", bench.run, bench.data, "--out", whole)
    for _ in range(count):
        out = bench.folder / "out"
        shutil.copytree(whole, out)
        (out / "notes.txt").write_text("mine")
        name = rng.choice(_FILES)
        what = _damage(rng, out / name)
        command: tuple[Any, ...] = rng.choice(
            (
                ("predict", bench.run, bench.data / "test/images", "--out", out),
                ("evaluate", out, bench.data, "--out", out),
                ("train", bench.data, "--out", out, "--resume"),
                ("train", bench.data, "--out", out, "--steps", 4),
                ("plan", out, "--size", "16", "--json", out / "config.json"),
            )
        )
        ours = [
            p
            for p in (
                *out.iterdir(),
                *(
                    out / n
                    for n in (
                        "00.png",
                        "01.png",
                        "00_overlay.png",
                        "01_overlay.png",
                        "val.png",
                        "nowhere",
                        *_FILES,
                    )
                ),
            )
            if p.name != "notes.txt"
        ]
        bench.call(f"{name}, {what}: {command[0]}", *command, writes=ours)
        shutil.rmtree(out)


def _damage(rng: random.Random, path: Any) -> str:
    data = path.read_bytes() if path.exists() else b"{}"
    path.unlink(missing_ok=True)
    how = rng.randrange(5)
    if how == 0:
        kind = rng.choice(("fifo", "/dev/zero", "nowhere", path.name, "folder"))
        os.mkfifo(path) if kind == "fifo" else path.mkdir() if kind == "folder" else path.symlink_to(kind)
        return kind
    if how == 1:
        text = rng.choice(_NESTED)
        path.write_text(text, encoding="latin-1")
        return f"the text {text[:9]!r}"
    if how == 2 or not data.startswith(b"{"):
        what, changed = mutated(rng, data)
        path.write_bytes(changed)
        return what
    table = json.loads(data)
    key, (name, value) = rng.choice([*table, "files"]), rng.choice(list(VALUES.items()))
    if isinstance(table.get(key), dict) and table[key] and how == 3:
        inner = rng.choice(
            [*table[key], "../data/val/masks/00.png", "notes.txt", "/etc/passwd", "\0", "x" * 10**5, ""]
        )
        table[key][inner] = value
        key = f"{key}.{inner[:30]!r}"
    else:
        table[key] = value
    path.write_text(json.dumps(table))
    return f"{key} = {name}"
