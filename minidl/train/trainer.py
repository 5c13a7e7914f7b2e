"""The training loop: from a scanned data set to checkpoints, history and pictures in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minidl import ops, optim, random
from minidl._atomic import atomic_write
from minidl._tensor import Tensor
from minidl.errors import InputError
from minidl.models import UNet
from minidl.optim import lr_scheduler
from minidl.segmentation.augment import Augmentation
from minidl.segmentation.folder import DataSet
from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.train import checkpoint as checkpoints
from minidl.train import history
from minidl.train.batches import Batches, Cache, Normalisation, Statistics, statistics
from minidl.train.config import TrainConfig
from minidl.train.inference import describe_data, evaluate_samples

DEFAULT_CROP = 256


class Reporter(Protocol):
    """What the loop tells whoever watches: the command line draws bars, a notebook may print, a test may count."""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A part of the work begins: ``total`` units, of which ``done`` are behind us already."""

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """So many units are done; figures (loss, IoU) are what stands now."""

    def message(self, text: str) -> None:
        """One line for the person."""


class Silent:
    """Reports nothing."""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


@dataclass
class Running:
    """Added up since the last row of the history."""

    loss: float
    steps: int
    confusion: np.ndarray[Any, Any]

    @classmethod
    def empty(cls, classes: int) -> Running:
        """Nothing yet."""
        return cls(0.0, 0, np.zeros((classes, classes), np.int64))

    @property
    def mean_loss(self) -> float:
        """Mean over the steps, NaN before the first."""
        return self.loss / self.steps if self.steps else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"loss": self.loss, "steps": self.steps, "confusion": self.confusion.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Running:
        """The inverse of :meth:`to_dict`."""
        return cls(float(values["loss"]), int(values["steps"]), np.array(values["confusion"], np.int64))


class Trainer:
    """Trains a U-Net on a data set and keeps everything in a folder.

    Args:
        data: as :func:`minidl.segmentation.folder.scan` gives it.
        config: the options.
        out: the run's folder. After :meth:`run` it holds ``best.safetensors``, ``last.safetensors``, ``config.json``,
            ``history.csv`` and ``history.png``.
        resume: go on from ``out/last.safetensors``, whose configuration then holds.
        reporter: is told what happens.

    Raises:
        InputError: the data do not fit, ``out`` holds a run already (or none, with ``resume``).
    """

    def __init__(
        self,
        data: DataSet,
        config: TrainConfig,
        out: str | Path,
        resume: bool = False,
        reporter: Reporter | None = None,
    ) -> None:
        self.data, self.out = data, Path(out)
        self.reporter: Reporter = reporter or Silent()
        saved = checkpoints.load(self.out / "last.safetensors") if resume else None
        if saved is None and (self.out / "last.safetensors").exists():
            raise InputError(f"{self.out}: holds a run already; use --resume to go on with it, or give another --out")
        self.config = TrainConfig.from_dict(saved.config) if saved else config
        if saved and saved.data["classes"] != list(data.classes):
            raise InputError(f"{data.root}: has other classes than the run in {self.out}; resume with the run's own data")
        self.train_samples = data.samples("train")
        self.val_samples = data.samples("val")
        self.cache = Cache(data)
        found = self._statistics()
        random.manual_seed(self.config.seed)
        options = {**self.config.model, "in_channels": data.in_channels, "num_classes": data.num_classes}
        self.architecture = saved.architecture if saved else options
        self.model = _build(self.architecture)
        self.normalisation = Normalisation(found.mean, found.std)
        self.batches = self._batches(found)
        self.class_weights = found.class_weights() if self.config.class_weights == "balanced" else None
        self.total = self.config.total_steps(len(self.train_samples))
        self.optimizer = _optimizer(self.config, self.model)
        self.schedule = _schedule(self.config, self.optimizer, self.total)
        self.step, self.rows, self.best = 0, list[dict[str, Any]](), float("-inf")
        self.running = Running.empty(data.num_classes)
        if saved:
            self._restore(saved)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until ``should_stop()`` is true after a step. True if the end was reached.

        Raises:
            InputError: the loss is no longer finite, or a file cannot be read or written.
        """
        self._create_folder()
        interval = self.config.evaluation_interval(len(self.train_samples))
        self.reporter.phase("training", self.total, self.step)
        for images, masks in self.batches.iterate(self.step, self.total):
            loss = self._step(images, masks)
            figures = {"loss": loss, "IoU": Scores.from_confusion(self.running.confusion).mean_iou}
            self.reporter.advance(1, **figures)
            if self.step % interval == 0 or self.step == self.total:
                self._validate()
                self.reporter.phase("training", self.total, self.step)
            if should_stop() and self.step < self.total:
                self.save("last")
                return False
        return True

    def _step(self, images: np.ndarray[Any, Any], masks: np.ndarray[Any, Any]) -> float:
        """One optimizer step. Returns the loss."""
        self.model.train()
        self.optimizer.zero_grad()
        logits = self.model(Tensor(images))
        masks = _crop_like(masks, logits.shape[2:])
        ignore = self.data.ignore_index
        loss = ops.cross_entropy(logits, masks, self.class_weights, ignore_index=ignore)
        value = float(loss.item())
        unlabelled = bool((masks == ignore).all())  # then the loss is 0/0, and there is nothing to learn
        if not np.isfinite(value) and not unlabelled:
            raise InputError(
                f"the loss became {value} at step {self.step + 1} (learning rate {self.schedule.get_last_lr()[0]:.3g}); "
                "train again with a lower --lr"
            )
        if not unlabelled:
            loss.backward()
            self.optimizer.step()
            self.running.loss += value
            self.running.steps += 1
        self.schedule.step()
        self.step += 1
        prediction = logits.data.argmax(axis=1)
        self.running.confusion += confusion_matrix(masks, prediction, self.data.num_classes, ignore)
        return value

    def _validate(self) -> None:
        """Scores on the validation images; a row of history; checkpoints."""
        self.reporter.phase("validating", len(self.val_samples))
        scores = evaluate_samples(
            self.model, self.normalisation, self.data, self.val_samples, lambda: self.reporter.advance(1)
        ).scores
        loss = self.running.mean_loss
        row = {
            "step": self.step,
            "epoch": round(self.step * self.config.batch_size / len(self.train_samples), 3),
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": _number(loss),
            "train_iou": _number(Scores.from_confusion(self.running.confusion).mean_iou),
            "val_iou": _number(scores.mean_iou),
            "val_accuracy": _number(scores.accuracy),
        }
        self.rows.append(row)
        self.running = Running.empty(self.data.num_classes)
        better = np.isfinite(scores.mean_iou) and scores.mean_iou > self.best
        if better:
            self.best = scores.mean_iou
        self.save("last")
        if better or not (self.out / "best.safetensors").exists():
            self.save("best")
        history.write_csv(self.out / "history.csv", self.rows)
        history.write_plot(self.out / "history.png", self.rows)
        self.reporter.message(
            f"step {self.step:>5}/{self.total}  loss {loss:.4f}  val IoU {scores.mean_iou:.4f}"
            f"  accuracy {scores.accuracy:.4f}{'  (best so far)' if better else ''}"
        )

    def save(self, name: str) -> None:
        """Write ``out/NAME.safetensors``."""
        checkpoints.save(self.out / f"{name}.safetensors", self._checkpoint())

    def _checkpoint(self) -> checkpoints.Checkpoint:
        return checkpoints.Checkpoint(
            config=self.config.to_dict(),
            architecture=self.architecture,
            data=describe_data(self.data),
            normalisation={"mean": self.normalisation.mean, "std": self.normalisation.std},
            step=self.step,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            random=random.get_state(),
            history=self.rows,
            running=self.running.to_dict(),
            best=self.best if np.isfinite(self.best) else None,
        )

    def _restore(self, saved: checkpoints.Checkpoint) -> None:
        path = self.out / "last.safetensors"
        try:
            self.model.load_state_dict(saved.model)
            self.optimizer.load_state_dict(saved.optimizer)
            self.schedule.load_state_dict(saved.schedule)
            random.set_state(saved.random)
            self.running = Running.from_dict(saved.running)
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: does not fit its own configuration ({error}); train again") from None
        self.normalisation = Normalisation(tuple(saved.normalisation["mean"]), tuple(saved.normalisation["std"]))
        self.batches.normalisation = self.normalisation
        self.step, self.rows = saved.step, list(saved.history)
        self.best = float("-inf") if saved.best is None else saved.best
        if self.step >= self.total:
            raise InputError(f"{self.out}: this run is finished ({self.step} steps); give another --out to train anew")

    def _statistics(self) -> Statistics:
        self.reporter.phase("reading", len(self.train_samples))
        found = statistics(self.cache, self.train_samples, lambda done, total: self.reporter.advance(1))
        if sum(found.pixels) == 0:
            raise InputError(f"{self.data.root}: no training pixel has a label; check the masks and the ignore index")
        return found

    def _batches(self, found: Statistics) -> Batches:
        """Crops as large as the pictures but at most DEFAULT_CROP, made to fit the network."""
        given = dict(self.config.augmentation)
        crop = given.pop("crop", None)
        sides = (crop, crop) if isinstance(crop, int) else crop
        if sides is None:
            sides = tuple(min(DEFAULT_CROP, n) for n in found.largest)
        fitting = tuple(self.model.valid_size(n) for n in sides)
        if crop is not None and fitting != tuple(sides):
            raise InputError(
                f"crop: {' x '.join(map(str, sides))} does not fit the network; the next larger that does is "
                f"{' x '.join(map(str, fitting))}"
            )
        square = fitting[0] == fitting[1]
        augmentation = Augmentation(
            **{"rotate90": square, **given}, crop=(fitting[0], fitting[1]), ignore_index=self.data.ignore_index
        )
        size, samples = self.config.batch_size, self.train_samples
        return Batches(self.cache, samples, size, augmentation, self.normalisation, self.config.seed)

    def _create_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.out}: cannot create this folder ({error.strerror}); give another --out") from None
        text = json.dumps(checkpoints.describe(self._checkpoint()), indent=2)
        atomic_write(self.out / "config.json", text + "\n")


def _build(architecture: dict[str, Any]) -> UNet:
    try:
        return UNet(**architecture)
    except (TypeError, ValueError) as error:
        raise InputError(f"model: {error}") from None


def _optimizer(config: TrainConfig, model: UNet) -> optim.Optimizer:
    parameters = list(model.parameters())
    if config.optimizer == "sgd":
        return optim.SGD(parameters, config.lr, config.momentum, weight_decay=config.weight_decay)
    kind = optim.AdamW if config.optimizer == "adamw" else optim.Adam
    return kind(parameters, config.lr, weight_decay=config.weight_decay)


def _schedule(config: TrainConfig, optimizer: optim.Optimizer, total: int) -> lr_scheduler.LRScheduler:
    """The rate of step t: a linear warm-up, then the schedule over the steps that are left."""
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


def _crop_like(masks: np.ndarray[Any, Any], size: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The middle of the masks: what a network without padding has outputs for."""
    top, left = (masks.shape[1] - size[0]) // 2, (masks.shape[2] - size[1]) // 2
    return masks[:, top : top + size[0], left : left + size[1]]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


