"""``minidl demo``: the whole way, from generated pictures to a measured segmenter, in a few minutes."""

from __future__ import annotations

import time
from pathlib import Path

import click

from minidl import _outputs
from minidl._device import Device
from minidl._lock import check_free
from minidl.cli.numbers import SEED, Whole
from minidl.cli.options import (
    device_option,
    note,
    on_command_line,
    read_data,
    where,
)
from minidl.cli.progress import Progress
from minidl.cli.report import Sheet, write_json
from minidl.cli.screen import echo
from minidl.cli.stopping import stop_on_signals, train_or_stop
from minidl.cli.threads import common_options
from minidl.errors import InputError
from minidl.train import run_folder
from minidl.train.checkpoint import load as load_checkpoint
from minidl.train.config import TrainConfig
from minidl.train.inference import evaluate_samples, load_run
from minidl.train.trainer import Trainer

#: Small enough for a few minutes on two cores, large enough to see the cells' context.
MODEL = {"base": 12, "depth": 3, "norm": "batch", "up": "nearest"}
STEPS, BATCH, RATE = 140, 8, 1e-2
FILES = ("metrics.json", "test.png")


@click.command(
    "demo",
    epilog="\b\nExamples:\n  minidl demo --out demo-run\n  minidl demo --out demo-run --resume\n",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("minidl-demo"),
    show_default=True,
    help="A new folder for everything.",
)
@click.option("--resume", is_flag=True, help="Go on with a demo that was stopped, with its own options.")
@click.option("--steps", type=Whole(1, 10**9), default=STEPS, show_default=True, help="Optimizer steps.")
@click.option("--seed", type=Whole(0, SEED), default=0, show_default=True, help="Of pictures and training.")
@common_options
@device_option
@click.pass_context
def command(ctx: click.Context, out: Path, resume: bool, steps: int, seed: int, device: Device) -> int:
    """Generate pictures of touching cells, train a small U-Net on them, and measure it on pictures that it
    has not seen.

    Writes data/, the run's checkpoints and history, metrics.json (mean_iou and each class) and test.png to
    look at.
    """
    began = time.monotonic()
    if resume:
        for name in ("steps", "seed"):
            if on_command_line(ctx, name):
                raise InputError(f"--{name}: a resumed demo keeps its own options; leave it out")
        run_folder.check(out, resume)
    else:
        _begin(out, seed)
    with Progress(BATCH) as progress:
        data = read_data(out / "data", progress)
        if not (resume and _trained(out)):
            trainer = Trainer(data, _config(steps, seed), out, resume, reporter=progress, device=device)
            with stop_on_signals() as stop:
                go_on = ["minidl", "demo", "--out", str(out), "--resume", *where(device)]
                if not train_or_stop(trainer, stop, go_on, progress):
                    return stop.exit_code
        run = load_run(out, device)
        sheet, samples = Sheet(data, "test"), data.samples("test")
        progress.phase("evaluating", len(samples))
        result = evaluate_samples(
            run.model, run.normalisation, data, samples, progress.advance, keep=sheet.keep
        )
    seconds = time.monotonic() - began
    figures = {"split": "test", "images": len(samples), "step": run.step, "seconds": round(seconds, 1)}
    with _outputs.writing(out, FILES, say=note):
        write_json(out / "metrics.json", {**figures, **result.to_dict(list(data.classes))})
        sheet.write(out / "test.png")
    echo(*result.scores.table(data.classes).split("\n"))
    echo(f"mean IoU {result.scores.mean_iou:.4f} on {len(samples)} held-out pictures, after {seconds:.0f} s")
    echo(f"look at {out / 'test.png'} and {out / 'history.png'}; try your own: minidl train --help")
    return 0


def _begin(out: Path, seed: int) -> None:
    """A new folder with the pictures in it."""
    from minidl.segmentation.synthetic import write_folder

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if out.is_dir():
            check_free(out)
        raise InputError(f"{out}: exists already; give another --out, or remove it")
    _outputs.check(out, (*run_folder.FILES, *FILES))
    echo("generating 200 pictures of touching cells with exact masks ...")
    with _outputs.writing(out, ("data",), say=note):
        write_folder(out / "data", seed=seed)


def _config(steps: int, seed: int) -> TrainConfig:
    return TrainConfig(
        model=MODEL,
        steps=steps,
        batch_size=BATCH,
        lr=RATE,
        warmup=min(30, steps // 4),
        # Its four classes have about equal shares: the prior knows nothing, and costs the first steps.
        head_init="network",
        augmentation={"brightness": 0.0, "contrast": 0.0},  # in so short a run they only slow it down
        seed=seed,
        eval_every=30,
    )


def _trained(out: Path) -> bool:
    """The training is at its end: only the figures are missing."""
    saved = load_checkpoint(out / "last.safetensors")
    return bool(saved.history) and saved.history[-1]["step"] == saved.config["steps"]
