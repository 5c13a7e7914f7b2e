"""A training that is killed again and again is, bit for bit, the training that was not.

``make soak`` (``PYTHONPATH=.:tests python -m soak.kills --report docs/proof/soak.json``): one uninterrupted
run of the command line and one that is killed with SIGKILL at 20 random moments and resumed each time, with
augmentation, worker threads, dropout and batch normalisation. Then every tensor of the checkpoints (weights,
running statistics, optimizer moments), everything else in them (random state, schedule, history) and every
byte of the other files are compared. `tests/soak/test_kills.py` does the same with a few kills.

Half of the kills come from outside, at a random time between two validations; the others from within, in
the middle of writing a file (see `soak.victim`), which a random time would seldom meet. The moments depend on
``--seed``; where exactly a time falls also depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from minidl.train.checkpoint import load
from oracles.commands import ROOT, environment
from oracles.runs import assert_same_checkpoint, contents, history_of, write_squares
from soak.victim import MOMENTS

EVERY = 5  # steps between validations
WORKERS = 3  # at most
FILES = (
    "best.safetensors",
    "last.safetensors",
    "config.json",
    "history.csv",
    "history.png",
    "val.png",
    ".minidl",
)


def options(steps: int) -> list[str]:
    """Everything that draws numbers, counts steps or keeps statistics."""
    text = (
        f"--steps {steps} --eval-every {EVERY} --batch-size 4 --crop 24 --brightness 0.2 --contrast 0.2"
        " --flip --rotate90 --base 4 --depth 2 --norm batch --dropout 0.3 --warmup 10 --lr 0.01 --seed 7"
    )
    return text.split()


def command(folder: Path, name: str, steps: int, workers: int) -> list[str]:
    """Begin the run, or go on with it, as a person would."""
    given = ["train", "data", "--out", name, "--workers", str(workers)]
    resume = (folder / name / "last.safetensors").exists()
    return [*given, *(["--resume"] if resume else options(steps))]


def start(folder: Path, program: list[str], arguments: list[str]) -> subprocess.Popen[bytes]:
    with open(folder / "errors.txt", "ab") as errors:
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def saved_step(run: Path) -> int:
    """Step of the checkpoint that the next session goes on from; load() checks its sum. 0: there is none."""
    path = run / "last.safetensors"
    return load(path).step if path.exists() else 0


def kill_from_outside(folder: Path, arguments: list[str], target: int, delay: float) -> dict[str, Any]:
    """SIGKILL so many seconds after the history has a row for step ``target`` (0: after the start)."""
    process = start(folder, ["-m", "minidl"], arguments)
    end = time.monotonic() + 120
    while process.poll() is None and target > 0:
        assert time.monotonic() < end, "nothing happened"
        path = folder / "killed" / "history.csv"
        if path.exists() and any(int(row["step"]) >= target for row in history_of(folder / "killed")):
            break
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    code = process.wait()
    return {"moment": f"{delay * 1000:.0f} ms after the row of step {target}", "code": code}


def kill_while_writing(folder: Path, arguments: list[str], moment: str, count: int) -> dict[str, Any]:
    """SIGKILL in the middle of the process's ``count``-th write."""
    victim = str(Path(__file__).with_name("victim.py"))
    code = start(folder, [victim, moment, str(count)], arguments).wait(timeout=120)
    return {"moment": f"write {count}: {moment}", "code": code}


def uninterrupted(folder: Path, steps: int) -> float:
    """The run without kills; seconds from one validation to the next."""
    process = start(folder, ["-m", "minidl"], command(folder, "whole", steps, workers=1))
    while process.poll() is None and not (folder / "whole" / "config.json").exists():
        time.sleep(0.002)
    began = time.monotonic()
    assert process.wait(timeout=600) == 0, (folder / "errors.txt").read_text()
    return (time.monotonic() - began) / (steps / EVERY)


def soak(folder: Path, kills: int, seed: int, steps: int) -> dict[str, Any]:
    """Both runs and their comparison; what was found, JSON-able.

    Raises:
        AssertionError: something differs, or a session did not end as it should.
    """
    rng = random.Random(seed)
    write_squares(folder / "data", {"train": 10, "val": 2}, size=32)
    interval = uninterrupted(folder, steps)
    sessions = []
    for number in range(kills):
        arguments = command(folder, "killed", steps, workers=rng.randint(1, WORKERS))
        before = saved_step(folder / "killed")
        if number % 2:
            # config.json is the first write; a validation makes 3, or 4 if its checkpoint is the best so far
            end = kill_while_writing(folder, arguments, rng.choice(MOMENTS), rng.randint(1, 9))
        else:
            planned = EVERY * round(steps * number / (kills + 1) / EVERY)
            target = max(planned, before + EVERY) if number else 0
            end = kill_from_outside(folder, arguments, target, rng.uniform(0, interval if target else 2))
        assert end["code"] == -signal.SIGKILL, (end, (folder / "errors.txt").read_text())
        end.update(began_at=before, saved=saved_step(folder / "killed"))
        end["left"] = sorted(p.name for p in (folder / "killed").glob(".*.minidl-tmp"))
        sessions.append(end)
    last = start(folder, ["-m", "minidl"], command(folder, "killed", steps, workers=2))
    assert last.wait(timeout=600) == 0, (folder / "errors.txt").read_text()
    return {"kills": sessions, **compare(folder / "whole", folder / "killed", steps)}


def compare(whole: Path, killed: Path, steps: int) -> dict[str, Any]:
    """Everything that the two runs left behind, bit by bit."""
    tensors = 0
    for name in ("best", "last"):
        a, b = contents(whole, name), contents(killed, name)
        assert_same_checkpoint(a, b)
        moments = [v for values in a.optimizer["state"].values() for v in values.values()]
        tensors += len(a.model) + sum(hasattr(v, "shape") for v in moments)
    assert contents(killed).step == steps
    rows = history_of(killed)
    assert rows == history_of(whole) and len(rows) == steps // EVERY
    assert sorted(p.name for p in whole.iterdir()) == sorted(FILES)
    assert sorted(p.name for p in killed.iterdir()) == sorted(FILES), "something was left behind"
    for name in FILES:
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    return {"tensors equal": tensors, "history rows equal": len(rows), "files equal byte by byte": len(FILES)}


def main() -> None:
    """Run it; write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        found = soak(Path(name), given.kills, given.seed, given.steps)
    report = {
        "command": "make soak",
        "what": f"minidl train {' '.join(options(given.steps))}, 1 to {WORKERS} workers, killed with SIGKILL"
        " and resumed, beside the uninterrupted run: every bit of every file",
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        **found,
    }
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if given.report:
        (ROOT / given.report).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
