"""A disk that becomes full, at every call of the system that needs room"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from unittest.mock import patch

from attacks.bench import Bench, Ended
from oracles.commands import SMALL
from oracles.disk import NO_SPACE, Disk, filling

MEANS = "one line that says so, every file is the old one or the new one, and with room the command works"
COUNT = 250


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Every command that writes, with room for 0, 1, 2, ... calls; again and again with new folders."""
    patch("minidl.train.history.write_plot", lambda *_: None).start()
    out = bench.folder / "out"
    commands = {
        "train": ("train", bench.data, "--out", out, *SMALL),
        "predict": ("predict", bench.run, bench.data / "test/images", "--out", out),
        "evaluate": ("evaluate", bench.run, bench.data, "--out", out),
        "plan": ("plan", "--size", "16", "--batch-size", "1", "--json", bench.folder / "plan.json"),
    }

    def again() -> None:
        shutil.rmtree(out, ignore_errors=True)
        (bench.folder / "plan.json").unlink(missing_ok=True)

    calls = {}
    for name, arguments in commands.items():
        with filling(Disk()) as disk:
            bench.prepare(*arguments)
        calls[name] = disk.calls
        again()
    cases = [(name, room) for name in commands for room in range(calls[name])]
    for number in range(count):
        name, room = cases[number] if number < len(cases) and count >= len(cases) else rng.choice(cases)
        if rng.random() < 0.5:  # over the results of before
            bench.within(commands[name] if name != "train" else (*commands[name][:4], *SMALL, "--steps", 2))
        _try(bench, f"{name}, room for {room}", commands[name], room)
        again()


def _try(bench: Bench, name: str, arguments: tuple[object, ...], room: int) -> None:
    def expect(ended: Ended) -> str:
        known = (NO_SPACE, "holds a run already")
        return "" if ended.code == 0 or any(k in ended.error for k in known) else f"says: {ended.error}"

    run: Callable[..., Ended] = bench.call
    with filling(Disk(room)):
        # Whole files may have been written before the one for which there is no room.
        ended = bench.within(arguments)
    from attacks.bench import complaint

    why = complaint(ended, (0, 2)) or expect(ended)
    left = [
        p.name for p in bench.folder.rglob("*") if p.name.endswith(".minidl-tmp") or p.name == ".minidl-lock"
    ]
    bench.judge(name, why or (f"left behind: {left}" if left else ""))
    run(f"{name}; with room again", *arguments, writes=[bench.folder / "out", bench.folder / "plan.json"])
