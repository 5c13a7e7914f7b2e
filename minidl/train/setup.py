"""From a configuration to the parts of a training: network, optimizer, schedule, batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minidl import fuse, optim
from minidl._machine import memory
from minidl._text import one_line
from minidl.errors import InputError
from minidl.models import UNet
from minidl.models.unet import convolution_weights
from minidl.optim import lr_scheduler
from minidl.segmentation.augment import Augmentation
from minidl.segmentation.folder import DataSet
from minidl.segmentation.levels import white
from minidl.train.batches import Statistics
from minidl.train.config import TrainConfig
from minidl.train.prior import class_shares, start_at

#: Side of the random crops, where pictures are larger and nothing else is asked for.
DEFAULT_CROP = 256


def check_weights(architecture: dict[str, Any]) -> None:
    """Refuse what the machine has no memory for, before any of it is made.

    Raises:
        InputError: weights, gradients and two moments in float32 do not fit.
    """
    try:
        count = convolution_weights(**architecture)
    except (TypeError, ValueError):
        return  # an option that the network itself refuses, and says why
    if 16 * count > memory():
        raise InputError(
            f"model: {count:,} weights, for whose training this machine has too little memory; give a smaller"
            " --base or --depth"
        )


def check_batch(config: TrainConfig, architecture: dict[str, Any], crop: Any) -> None:
    """As :func:`check_weights`, for the first block's outputs alone, of which a step keeps many more.

    Raises:
        InputError: they do not fit.
    """
    height, width = crop
    channels = architecture.get("base", 32) + architecture["in_channels"]
    if 4 * config.batch_size * height * width * channels > memory():
        raise InputError(
            f"batch_size: {config.batch_size} crops of {height} x {width} are more than this machine has"
            " memory for; give a smaller --batch-size or --crop"
        )


def build_model(architecture: dict[str, Any]) -> UNet:
    """The network, out of fused operations (:func:`minidl.fuse`): parameters and names are the plain one's.

    Raises:
        InputError: an option that it has not, or out of range.
    """
    try:
        return fuse(UNet(**architecture))
    except (TypeError, ValueError) as error:
        raise InputError(f"model: {one_line(error)}; correct this option") from None


def start_head(
    config: TrainConfig, model: UNet, found: Statistics, weights: np.ndarray[Any, Any] | None
) -> None:
    """Let the network begin at the classes' shares, if the configuration says so.

    What is drawn for the other layers does not depend on it.
    """
    if config.head_init == "prior":
        start_at(model.head, class_shares(found.pixels, weights))


def build_optimizer(config: TrainConfig, model: UNet) -> optim.Optimizer:
    """The optimizer of all parameters."""
    parameters = list(model.parameters())
    if config.optimizer == "sgd":
        return optim.SGD(parameters, config.lr, config.momentum, weight_decay=config.weight_decay)
    kind = optim.AdamW if config.optimizer == "adamw" else optim.Adam
    return kind(parameters, config.lr, weight_decay=config.weight_decay)


def build_schedule(config: TrainConfig, optimizer: optim.Optimizer, total: int) -> lr_scheduler.LambdaLR:
    """The rate of step t = 0, 1, ...: a linear warm-up, then the schedule over the steps that are left."""
    warm = min(config.warmup, total - 1)
    left = max(1, total - warm)

    def factor(t: int) -> float:
        if t < warm:
            return 0.1 + 0.9 * t / warm
        share = min(1.0, (t - warm) / left)
        if config.schedule == "cosine":
            return float((1 + np.cos(np.pi * share)) / 2)
        return float((1 - share) ** 0.9) if config.schedule == "poly" else 1.0

    return lr_scheduler.LambdaLR(optimizer, factor)


def build_augmentation(
    config: TrainConfig, model: UNet, data: DataSet, found: Statistics
) -> tuple[Augmentation, int]:
    """The augmentation, and by how much pictures are continued at each side (see `Batches`).

    Crops are as given; else as large as the pictures, but at most DEFAULT_CROP, made to fit the network: with
    padding "valid" that is the size of what comes *out*.

    Brightness changes by fractions of what is white to these pictures: 12 bits train alike in files of 8 bits
    and of 16 (`minidl.segmentation.levels.white`).

    Raises:
        InputError: the crop does not fit the network, or an option is out of range.
    """
    given = dict(config.augmentation)
    crop = given.pop("crop", None)
    margin = margin_of(model)
    if crop is None:
        sides = tuple(min(DEFAULT_CROP, n) + 2 * margin for n in found.largest)
    else:
        sides = (crop, crop) if isinstance(crop, int) else tuple(crop)
    fitting = tuple(model.valid_size(n) for n in sides)
    if crop is not None and fitting != sides:
        raise InputError(
            f"crop: {' x '.join(map(str, sides))} does not fit the network; the next larger that does is "
            f"{' x '.join(map(str, fitting))}"
        )
    _check_batch_norm(config, model, fitting)
    options = {"rotate90": fitting[0] == fitting[1], **given, "ignore_index": data.ignore_index}
    made = Augmentation.from_dict({**options, "crop": fitting})
    return replace(made, brightness=made.brightness * white(found.low, found.high)), margin


def margin_of(model: UNet) -> int:
    """Pixels that the output lacks at each side of the input: 0 with padding "same"."""
    size = model.valid_size(model.multiple)
    return (size - model.output_size(size)) // 2


def _check_batch_norm(config: TrainConfig, model: UNet, crop: tuple[int, ...]) -> None:
    """A single value has no variance: one picture of one pixel, at the bottom of the network."""
    bottleneck = len(model.down) > model.depth
    if config.model.get("norm") != "batch" or config.batch_size > 1 or not bottleneck:
        return
    if model.padding == "same" and crop == (model.multiple, model.multiple):
        raise InputError(
            f"batch_size: with 1, crops of {crop[0]} x {crop[1]} and {model.depth} poolings, batch"
            " normalisation is left with a single value; give a larger --batch-size or a smaller --depth, or"
            " --norm group"
        )
