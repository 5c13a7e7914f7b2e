"""Options that several commands share: one name and one meaning everywhere."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from minidl._device import Device
from minidl._text import listed, one_line, shown
from minidl.cli import threads
from minidl.cli.numbers import CLASSES, Whole
from minidl.cli.progress import Progress
from minidl.cli.screen import echo
from minidl.errors import InputError
from minidl.kernels.cuda.errors import DeviceUnavailable
from minidl.segmentation.folder import DataSet, scan
from minidl.segmentation.memory import MEMORY

Command = TypeVar("Command", bound=Callable[..., Any])

DATA_OPTIONS = ("dataset_toml", "val", "num_classes", "ignore_index")


def data_options(command: Command) -> Command:
    """What scanning a data set takes."""
    for option in reversed(
        (
            click.option(
                "--dataset-toml",
                type=click.Path(path_type=Path),
                help="A dataset.toml that lies elsewhere than in DATA.",
            ),
            click.option(
                "--val",
                metavar="GLOB",
                help="Use the images whose stem matches for validation, e.g. '2[4-9]'.",
            ),
            click.option(
                "--num-classes",
                type=Whole(2, CLASSES),
                help="Number of classes, if masks and dataset.toml do not tell.",
            ),
            click.option(
                "--ignore-index",
                type=Whole(-(2**31), 2**31 - 1),
                help="Mask value of pixels without a label [default: dataset.toml's, or 255].",
            ),
        )
    ):
        command = option(command)
    return command


def picture_memory_option(command: Command) -> Command:
    """``--picture-memory``, given on as bytes."""
    return click.option(
        "--picture-memory",
        metavar="MIB",
        type=Whole(1, 2**30),
        default=MEMORY // 2**20,
        show_default=True,
        callback=lambda ctx, option, mebibytes: mebibytes * 2**20,
        help="MiB that the pictures may take that are read at one time; larger ones are refused.",
    )(command)


def device_option(command: Command) -> Command:
    """``--device``: one name and one meaning in every command that computes."""
    return click.option(
        "--device",
        default="cpu",
        show_default=True,
        metavar="NAME",
        callback=_device,
        help="Where to compute: cpu; cuda or cuda:N, a GPU; cuda_sim, CUDA kernels on the CPU, slowly.",
    )(command)


def _device(ctx: click.Context, option: click.Parameter, name: str) -> Device:
    try:
        device = Device(name).check()
    except (ValueError, DeviceUnavailable) as error:
        raise InputError(f"--device: {one_line(error)}") from None
    if device.index is not None:
        device.context().use()
    return device


def where(device: Device) -> list[str]:
    """Device and threads as they must be given again, for a command that is printed.

    The number of threads decides the order of sums: a run that goes on with another one ends with other bits.
    """
    return [*([] if device.index is None else ["--device", str(device)]), *threads.again()]


def as_in_training(root: Path, given: dict[str, Any], trained_on: dict[str, Any]) -> dict[str, Any]:
    """Data options that are not given are those of the training, if ``root`` is what it was trained on."""
    if os.path.realpath(root) != trained_on.get("root"):
        return given
    taken = {
        name: value
        for name, value in trained_on.get("options", {}).items()
        if value is not None and given.get(name) is None
    }
    if taken:
        given_then = (f"--{name.replace('_', '-')} {shlex.quote(shown(v))}" for name, v in taken.items())
        echo(f"note: as in training: {' '.join(given_then)}")
    return {**given, **taken}


def to_keep(options: dict[str, Any]) -> dict[str, Any]:
    """The data options as checkpoints keep them: JSON-able, and good in any working directory."""
    toml = options.get("dataset_toml")
    return {**options, "dataset_toml": None if toml is None else os.path.realpath(toml)}


def read_data(
    root: Path, progress: Progress, options: dict[str, Any] | None = None, memory: int = MEMORY
) -> DataSet:
    """Scan a data set with a progress bar, and say what was found."""
    given = dict(options or {})
    config, counter = given.pop("dataset_toml", None), progress.counter("checking")
    data = scan(root, config=config, **given, progress=counter, memory=memory)
    progress.close()
    splits = ", ".join(f"{len(samples)} {name}" for name, samples in data.splits.items())
    echo(f"{root}: {splits} images; {data.num_classes} classes: {listed(data.classes)}")
    for note in data.notes:
        echo(f"note: {note}")
    return data


def overwrite_option(command: Command) -> Command:
    """``--overwrite``: one name and one meaning in every command that writes."""
    return click.option(
        "--overwrite",
        is_flag=True,
        help="Replace files of the same names that minidl has not written (never a run, never an input).",
    )(command)


def note(line: str) -> None:
    """A line about something that is no error, beside the results."""
    echo(line, err=True)


def on_command_line(ctx: click.Context, name: str) -> bool:
    """Whether the person gave this option, rather than leave it at its default."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
