"""``minidl train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np

from minidl import _outputs
from minidl.cli.numbers import CHANNELS, EPOCHS, IMAGES, RATE, SEED, SIDE, STEPS, Real, Whole
from minidl.cli.options import (
    DATA_OPTIONS,
    as_in_training,
    data_options,
    device_option,
    note,
    on_command_line,
    overwrite_option,
    picture_memory_option,
    read_data,
    to_keep,
    where,
)
from minidl.cli.progress import Progress
from minidl.cli.report import write_overlays
from minidl.cli.screen import echo
from minidl.cli.stopping import stop_on_signals, train_or_stop
from minidl.cli.threads import common_options
from minidl.errors import InputError
from minidl.models import NETWORKS
from minidl.train import run_folder
from minidl.train.checkpoint import load as load_checkpoint
from minidl.train.config import CLASS_WEIGHTS, HEAD_INITS, OPTIMIZERS, SCHEDULES, TrainConfig
from minidl.train.trainer import Trainer

#: The names that --network takes: what each sets of the network's options.
_NETWORKS: dict[str, dict[str, Any]] = {"unet": {}, **NETWORKS}
#: Of these options those that may be given beside a name all the same.
_BESIDE_A_NAME = ("padding",)


@click.command(
    "train",
    epilog="""\b
Examples:
  minidl train cells --out run1
  minidl train isbi2012 --out run2 --val '2[4-9]' --steps 300 --batch-size 4
  minidl train camvid --out run3 --ignore-index 11 --class-weights balanced --epochs 30
  minidl train cells --out run1 --resume
""",
)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for checkpoints, history and pictures.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its own options.")
@data_options
@click.option(
    "--epochs",
    type=Whole(1, EPOCHS),
    default=40,
    show_default=True,
    help="Passes over the training images.",
)
@click.option("--steps", type=Whole(1, STEPS), help="Optimizer steps in all, instead of --epochs.")
@click.option("--batch-size", type=Whole(1, IMAGES), default=8, show_default=True, help="Images in a step.")
@click.option(
    "--crop", type=Whole(1, SIDE), help="Side of the random crops [default: the images', at most 256]."
)
@click.option("--lr", type=Real(0, RATE, above=True), default=1e-3, show_default=True, help="Learning rate.")
@click.option(
    "--optimizer", type=click.Choice(OPTIMIZERS), default="adam", show_default=True, help="Rule of the steps."
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default="cosine",
    show_default=True,
    help="Course of the learning rate.",
)
@click.option(
    "--warmup",
    type=Whole(0, STEPS),
    default=0,
    show_default=True,
    help="Steps in which the learning rate rises.",
)
@click.option(
    "--weight-decay",
    type=Real(0, RATE),
    default=0.0,
    show_default=True,
    help="L2 penalty of the weights.",
)
@click.option("--momentum", type=Real(0, 1), default=0.9, show_default=True, help="Of --optimizer sgd.")
@click.option(
    "--clip-grad-norm",
    type=Real(0, 1e12, above=True),
    help="Largest norm of a step's gradients, all together [default: none].",
)
@click.option(
    "--class-weights",
    type=click.Choice(CLASS_WEIGHTS),
    default="none",
    show_default=True,
    help="'balanced': rare classes weigh more.",
)
@click.option(
    "--head-init",
    type=click.Choice(HEAD_INITS),
    default="prior",
    show_default=True,
    help="Where the last layer starts: at the classes' shares of the training masks ('prior'), or at random "
    "weights ('network').",
)
@click.option(
    "--network",
    type=click.Choice(list(_NETWORKS)),
    default="unet",
    show_default=True,
    help="'unet-documents' and 'unet-paper' set the six options below. --padding may be given beside them; "
    "unet-paper's is 'valid'.",
)
@click.option(
    "--base", type=Whole(1, CHANNELS), default=16, show_default=True, help="Channels of the first block."
)
@click.option("--depth", type=Whole(1, 8), default=4, show_default=True, help="Number of poolings.")
@click.option(
    "--norm",
    type=click.Choice(["none", "batch", "group"]),
    default="batch",
    show_default=True,
    help="Normalisation.",
)
@click.option(
    "--up",
    type=click.Choice(["nearest", "bilinear", "transpose"]),
    default="nearest",
    show_default=True,
    help="Upsampling.",
)
@click.option(
    "--dropout",
    type=Real(0, 1, below=True),
    default=0.0,
    show_default=True,
    help="Probability, in the deepest blocks.",
)
@click.option(
    "--padding",
    type=click.Choice(["same", "valid"]),
    default="same",
    show_default=True,
    help="Of the 3x3 convolutions.",
)
@click.option("--flip/--no-flip", default=True, show_default=True, help="Augment by flips.")
@click.option(
    "--rotate90/--no-rotate90",
    default=None,
    help="Augment by quarter turns [default: where crops are square].",
)
@click.option(
    "--brightness",
    type=Real(0, 1),
    default=0.1,
    show_default=True,
    help="Augment by changes of brightness.",
)
@click.option(
    "--contrast",
    type=Real(0, 1),
    default=0.1,
    show_default=True,
    help="Augment by changes of contrast.",
)
@click.option(
    "--eval-every",
    type=Whole(1, STEPS),
    help="Steps between validations [default: an epoch, at least 25].",
)
@click.option(
    "--workers",
    type=Whole(0, 64),
    default=1,
    show_default=True,
    help="Threads that prepare batches ahead; any number gives the same result.",
)
@picture_memory_option
@device_option
@click.option(
    "--seed",
    type=Whole(0, SEED),
    default=0,
    show_default=True,
    help="One seed gives one result, bit for bit.",
)
@common_options
@overwrite_option
@click.pass_context
def command(ctx: click.Context, data: Path, out: Path, resume: bool, overwrite: bool, **options: Any) -> int:
    """Train a U-Net on DATA, a folder with images/ and labels/ (or masks/) of the same names.

    DATA may have train/, val/ and test/ folders, each with these two; otherwise the last fifth of the images
    by name is used for validation. A dataset.toml in DATA can give class names, colours and what mask values
    mean.

    Ctrl-C saves and says how to go on.
    """
    if resume:
        _refuse_options_with_resume(ctx)
    config = _config(ctx, options)
    run_folder.check(out, resume, overwrite, data=data)
    reading = {name: options[name] for name in DATA_OPTIONS}
    if resume:
        reading = as_in_training(data, reading, load_checkpoint(out / "last.safetensors").data)
    with Progress() as progress:
        found = read_data(data, progress, reading, options["picture_memory"])
        more = options["workers"], options["device"]
        trainer = Trainer(found, config, out, resume, progress, to_keep(reading), *more, overwrite)
        progress.images_per_step = trainer.config.batch_size
        parameters = sum(p.numel() for p in trainer.model.parameters())
        echo(
            f"U-Net with {parameters:,} parameters; steps {trainer.step} to {trainer.total};"
            f" results go to {out}"
        )
        with stop_on_signals() as stop:
            go_on = ["minidl", "train", str(data), "--out", str(out), "--resume", *where(options["device"])]
            if not train_or_stop(trainer, stop, go_on, progress):
                return stop.exit_code
        with _outputs.writing(out, [run_folder.PICTURES], overwrite, note):
            write_overlays(out, found, "val", progress)
    best = f"{trainer.best:.4f}" if np.isfinite(trainer.best) else "-"
    echo(f"best validation IoU {best}; weights in {out / 'best.safetensors'}; pictures in {out / 'val.png'}")
    command_line = shlex.join(["minidl", "evaluate", str(out), str(data)])
    echo(f"scores of each class: {command_line}")
    return 0


def _config(ctx: click.Context, options: dict[str, Any]) -> TrainConfig:
    if options["steps"] is not None and on_command_line(ctx, "epochs"):
        raise InputError("--epochs: --steps is given, too; leave out one of them")
    names = ("base", "depth", "norm", "up", "dropout", "padding")
    model = {name: options[name] for name in names}
    for name, value in _NETWORKS[options["network"]].items():
        given = name in options and on_command_line(ctx, name)
        if given and name not in _BESIDE_A_NAME:
            raise InputError(
                f"--{name}: {options['network']} has its own; leave out --{name} or use --network unet"
            )
        if not given:
            model[name] = value
    augmentation = {name: options[name] for name in ("flip", "brightness", "contrast")}
    if options["crop"] is not None:
        augmentation["crop"] = options["crop"]
    if options["rotate90"] is not None:
        augmentation["rotate90"] = options["rotate90"]
    more = {
        name: options[name]
        for name in (
            *("steps", "epochs", "batch_size", "optimizer", "lr", "weight_decay", "momentum", "schedule"),
            *("clip_grad_norm", "warmup", "class_weights", "head_init", "eval_every", "seed"),
        )
    }
    return TrainConfig(model=model, augmentation=augmentation, **more)


def _refuse_options_with_resume(ctx: click.Context) -> None:
    allowed = {"data", "out", "resume", "workers", "picture_memory", "device", "overwrite", *DATA_OPTIONS}
    for name in ctx.params:
        if name not in allowed and on_command_line(ctx, name):
            raise InputError(f"--{name.replace('_', '-')}: a resumed run keeps its own options; leave it out")
