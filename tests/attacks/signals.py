"""SIGINT, SIGTERM and SIGHUP at random moments, also twice, also while Python starts"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

from attacks.bench import Bench, Ended, complaint
from oracles.commands import SMALL, environment
from oracles.runs import contents

MEANS = "it ends as asked, without a traceback, and the same command, or --resume, finishes the work"
COUNT = 30

_TRAINING = ["--steps", "40", "--eval-every", "4", *SMALL[4:]]
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Stop a command, and then let it finish."""
    out = bench.folder / "out"
    train = ("train", bench.data, "--out", out, *_TRAINING)
    predict = ("predict", bench.run, bench.data / "train/images", "--out", out)
    seconds = _duration(bench, train)
    shutil.rmtree(out)
    for number in range(count):
        arguments = train if number % 4 else predict
        # Predictions are quick: most of their time Python starts.
        delay = rng.uniform(0, 1.2 * seconds if number % 3 else 0.4 * seconds)
        first, again = rng.choice(_NUMBERS), rng.random() < 0.3
        name = f"{arguments[0]}, {first.name}{' twice' if again else ''} after {delay:.2f} s"
        bench.judge(name, _stopped(bench, arguments, first, delay, rng.uniform(0, 0.05) if again else None))
        there = (out / "last.safetensors").exists()
        if there and contents(out).step == int(_TRAINING[1]):
            shutil.rmtree(out)
            continue
        on = ("train", bench.data, "--out", out, "--resume") if there else arguments
        bench.call(f"{name}; then to the end", *on, codes=[0], writes=[out])
        shutil.rmtree(out)


def _duration(bench: Bench, arguments: tuple[object, ...]) -> float:
    began = time.monotonic()
    ended = bench.process("without a signal", *arguments, codes=[0], writes=[bench.folder / "out"])
    assert ended.code == 0, ended
    return time.monotonic() - began


def _stopped(
    bench: Bench, arguments: tuple[object, ...], number: int, delay: float, again: float | None
) -> str:
    """What is wrong with how it ended; "" if nothing is."""
    command = [sys.executable, *bench.program, *map(str, arguments)]
    # As in the foreground of a shell, whatever ignores signals here.
    process = subprocess.Popen(
        command, cwd=bench.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=_heed,
    )  # fmt: skip
    try:
        time.sleep(delay)
        process.send_signal(number)
        if again is not None:
            time.sleep(again)
            process.send_signal(number)
        out, err = (
            text.decode("utf-8", "replace") for text in process.communicate(timeout=4 * bench.seconds)
        )
    except subprocess.TimeoutExpired:
        return "does not end"
    finally:
        process.kill()
        process.wait()
    # Before minidl hears signals, and at the second one, they act as they do by themselves: with a minus.
    why = complaint(Ended(process.returncode, out, err), (0, 128 + number, -number))
    left = [
        p.name for p in bench.folder.rglob("*") if p.name.endswith(".minidl-tmp") or p.name == ".minidl-lock"
    ]
    # A process that is ended at once by the second signal leaves what a killed one leaves.
    return why or (f"left behind: {left}" if left and process.returncode >= 0 else "")


def _heed() -> None:
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
