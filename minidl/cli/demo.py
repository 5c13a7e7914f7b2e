"""``minidl demo``: the whole way, from generated pictures to a measured segmenter, in a few minutes."""

from __future__ import annotations

import time
from pathlib import Path

import click

from minidl.cli.options import check_writable, make_folder, read_data
from minidl.cli.progress import Progress
from minidl.cli.report import Sheet, write_json
from minidl.cli.stopping import stop_on_signals, train_or_stop
from minidl.errors import InputError
from minidl.train.config import TrainConfig
from minidl.train.inference import evaluate_samples, load_run
from minidl.train.trainer import Trainer

#: Small enough for a few minutes on two cores, large enough to see the cells' context.
MODEL = {"base": 12, "depth": 3, "norm": "batch", "up": "nearest"}
STEPS, BATCH, RATE = 140, 8, 1e-2


@click.command("demo", epilog="\b\nExample:\n  minidl demo --out demo-run\n")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("minidl-demo"),
    show_default=True,
    help="A new folder for everything.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=STEPS, show_default=True, help="Optimizer steps."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of pictures and training."
)
def command(out: Path, steps: int, seed: int) -> int:
    """Generate pictures of touching cells, train a small U-Net on them, and measure it on pictures that it
    has not seen.

    Writes data/, the run's checkpoints and history, metrics.json (mean_iou and each class) and test.png to
    look at.
    """
    from minidl.segmentation.synthetic import write_folder

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists already; give another --out, or remove it")
    config = TrainConfig(
        model=MODEL,
        steps=steps,
        batch_size=BATCH,
        lr=RATE,
        warmup=min(30, steps // 4),
        augmentation={"brightness": 0.0, "contrast": 0.0},  # in so short a run they only slow it down
        seed=seed,
        eval_every=30,
    )
    check_writable(out)
    began = time.monotonic()
    click.echo("generating 200 pictures of touching cells with exact masks ...")
    make_folder(out)
    write_folder(out / "data", seed=seed)
    with Progress(BATCH) as progress:
        data = read_data(out / "data", progress)
        trainer = Trainer(data, config, out, reporter=progress)
        with stop_on_signals() as stop:
            if not train_or_stop(trainer, stop, out / "data", progress):
                return stop.exit_code
        run = load_run(out)
        sheet, samples = Sheet(data, "test"), data.samples("test")
        progress.phase("evaluating", len(samples))
        result = evaluate_samples(
            run.model, run.normalisation, data, samples, progress.advance, keep=sheet.keep
        )
    seconds = time.monotonic() - began
    figures = {"split": "test", "images": len(samples), "step": run.step, "seconds": round(seconds, 1)}
    write_json(out / "metrics.json", {**figures, **result.to_dict(list(data.classes))})
    sheet.write(out / "test.png")
    click.echo(result.scores.table(data.classes))
    click.echo(
        f"mean IoU {result.scores.mean_iou:.4f} on {len(samples)} held-out pictures, after {seconds:.0f} s"
    )
    click.echo(f"look at {out / 'test.png'} and {out / 'history.png'}; try your own: minidl train --help")
    return 0
