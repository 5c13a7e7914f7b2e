"""Crafted checkpoints with a right checksum: each value in turn is something else (Adam, AdamW, SGD)"""

from __future__ import annotations

import random
import shutil
from unittest.mock import patch

from attacks.bench import Bench, drawn, limited, stopping_after
from oracles.commands import SMALL
from oracles.crafted import crafted, write

MEANS = "predicted and trained on with it, or refused by both in a line that names the file"
COUNT = 3000
OPTIMIZERS = ("adam", "adamw", "sgd")


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Predict with each file, and resume from it."""
    patch("minidl.train.history.write_plot", lambda *_: None).start()  # a plot takes longer than a run
    picture = bench.data / "test/images/00.png"
    for optimizer in OPTIMIZERS:
        run, out = bench.folder / optimizer, bench.folder / "out"
        given = ("--optimizer", optimizer, "--dropout", 0.2, "--warmup", 2)
        with stopping_after(5):
            bench.prepare("train", bench.data, "--out", run, *SMALL, "--steps", 6, *given, code=130)
        path = run / "last.safetensors"
        whole = path.read_bytes()
        for what, text, tensors in drawn(rng, list(crafted(path)), -(-count // (2 * len(OPTIMIZERS)))):
            write(path, text, tensors)
            bench.call(f"{optimizer}, {what}: predict", "predict", path, picture, "--out", out,
                       *limited("predict"), writes=[out])  # fmt: skip
            with stopping_after(2):  # a crafted configuration may ask for a million steps
                bench.call(f"{optimizer}, {what}: resume", "train", bench.data, "--out", run, "--resume",
                           codes=(0, 2, 130), writes=[run])  # fmt: skip
            shutil.rmtree(out, ignore_errors=True)
        path.write_bytes(whole)
