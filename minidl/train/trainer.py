"""The training loop: from a scanned data set to checkpoints, history and pictures in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from minidl import _outputs, ops, random
from minidl._atomic import atomic_write
from minidl._device import Device, on
from minidl._tensor import Tensor
from minidl.errors import InputError
from minidl.nn.utils import clip_grad_norm_
from minidl.segmentation.folder import DataSet
from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.train import checkpoint as checkpoints
from minidl.train import class_check, collapse, continued, history, run_folder
from minidl.train.batches import Batches, Cache, Normalisation, Statistics, statistics
from minidl.train.config import TrainConfig
from minidl.train.feed import feed
from minidl.train.inference import Evaluation, describe_data, evaluate_samples
from minidl.train.reporting import Reporter, Silent
from minidl.train.running import Running
from minidl.train.setup import (
    build_augmentation,
    build_model,
    build_optimizer,
    build_schedule,
    check_batch,
    check_weights,
    start_head,
)


class _Stopped(Exception):
    """Someone asked to stop."""


class Trainer:
    """Trains a U-Net on a data set and keeps everything in a folder.

    Args:
        data: as :func:`minidl.segmentation.folder.scan` gives it.
        config: the options.
        out: the run's folder. After :meth:`run` it holds ``best.safetensors``, ``last.safetensors``,
            ``config.json``, ``history.csv`` and ``history.png``.
        resume: go on from ``out/last.safetensors``, whose configuration then holds.
        reporter: is told what happens.
        data_options: the arguments that ``data`` was scanned with; kept in the checkpoints.
        workers: threads that prepare batches ahead; the result is the same for any number of them.
        device: where the network is trained; a checkpoint does not depend on it.
        overwrite: replace files in ``out`` that no run of minidl's has written.

    Initial weights and dropout are drawn from a generator of the trainer's own
    (:class:`minidl.random.Stream`): two trainers in two threads repeat, and nothing that the program draws
    elsewhere matters to them.

    Raises:
        InputError: the data do not fit, ``out`` holds a run already (or none, with ``resume``), or files of
            somebody's, or lies within the data, or another process trains there.
    """

    def __init__(
        self,
        data: DataSet,
        config: TrainConfig,
        out: str | Path,
        resume: bool = False,
        reporter: Reporter | None = None,
        data_options: dict[str, Any] | None = None,
        workers: int = 1,
        device: str | Device = "cpu",
        overwrite: bool = False,
    ) -> None:
        if workers < 0:
            raise InputError(f"workers: {workers} does not do; give a whole number of 0 or more")
        self.data, self.out, self.workers = data, Path(out), workers
        self.device = Device(device).check()
        self.reporter: Reporter = reporter or Silent()
        self.data_options = data_options
        self.overwrite = overwrite
        run_folder.check(self.out, resume, overwrite, data.files(), data.root)
        self._seen = run_folder.signature(self.out)  # before it is read: what comes later is noticed
        saved = checkpoints.load(self.out / "last.safetensors") if resume else None
        if saved:
            self._check_same_data(saved)
        self.config = self._saved_config(saved) if saved else config
        self.train_samples, self.val_samples = self._samples()
        self.cache = Cache(data)
        found, self.val_pixels = self._statistics(fresh=not saved)
        self.train_pixels = found.pixels
        self.random = random.Stream(self.config.seed)
        options = {**self.config.model, "in_channels": data.in_channels, "num_classes": data.num_classes}
        self.architecture = saved.architecture if saved else options
        check_weights(self.architecture)
        self.class_weights = found.class_weights() if self.config.class_weights == "balanced" else None
        with random.using(self.random):
            model = build_model(self.architecture)
        if not saved:
            start_head(self.config, model, found, self.class_weights)
        self.model = model.to(self.device)
        self.normalisation = Normalisation(found.mean, found.std)
        self.batches = self._batches(found)
        self.total = self.config.total_steps(len(self.train_samples))
        self.interval = self.config.evaluation_interval(len(self.train_samples))
        self.optimizer = build_optimizer(self.config, self.model)
        self.schedule = build_schedule(self.config, self.optimizer, self.total)
        self.step, self.rows, self.best = 0, list[dict[str, Any]](), float("-inf")
        self.running = Running.empty(data.num_classes)
        if saved:
            self._restore(saved)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until ``should_stop()`` is true. True if the end was reached.

        It is asked after each step and, while validating, after each image; all is saved before this returns.

        Raises:
            InputError: the loss is no longer finite, or a file cannot be read or written. The checkpoints
                stay as they were last saved; if there are none yet, nothing is left behind.
        """
        described = json.dumps(checkpoints.describe(self._checkpoint()), indent=2) + "\n"
        say, worth = self.reporter.message, "last.safetensors"
        with _outputs.writing(self.out, run_folder.FILES, self.overwrite, say, worth):
            run_folder.check_unchanged(self.out, self._seen)
            atomic_write(self.out / "config.json", described)
            try:
                # What is not finite is noticed in the loss.
                with np.errstate(all="ignore"), random.using(self.random):
                    self._run(should_stop)
            except _Stopped:
                self.save("last")
                return False
        return True

    def _run(self, should_stop: Callable[[], bool]) -> None:
        self._validate_if_due(should_stop)  # the run may have been stopped while it was validating
        self.reporter.phase("training", self.total, self.step)
        with closing(self.batches.iterate(self.step, self.total, self.workers)) as batches:
            for images, masks, host_masks in feed(batches, self.device):
                loss = self._step(images, masks, host_masks)
                iou = Scores.from_confusion(self.running.confusion).mean_iou
                self.reporter.advance(1, loss=loss, IoU=iou)
                if self._validate_if_due(should_stop) and self.step < self.total:
                    self.reporter.phase("training", self.total, self.step)
                if self.step < self.total and should_stop():
                    raise _Stopped

    def _validate_if_due(self, should_stop: Callable[[], bool]) -> bool:
        due = self.step > 0 and (self.step % self.interval == 0 or self.step == self.total)
        if not due or (self.rows and self.rows[-1]["step"] == self.step):
            return False
        self._validate(should_stop)
        return True

    def _step(self, images: Any, masks: Any, host_masks: np.ndarray[Any, Any]) -> float:
        """One optimizer step on arrays of the device. Returns the loss."""
        self.model.train()
        self.optimizer.zero_grad()
        logits = self.model(Tensor(images))
        masks, host_masks = (_crop_like(m, logits.shape[2:]) for m in (masks, host_masks))
        ignore = self.data.ignore_index
        loss = ops.cross_entropy(logits, Tensor(masks), self.class_weights, ignore_index=ignore)
        value = float(loss.item())
        unlabelled = bool((host_masks == ignore).all())  # then the loss is 0/0, and there is nothing to learn
        if not np.isfinite(value) and not unlabelled:
            rate = self.schedule.get_last_lr()[0]
            raise InputError(
                f"the loss became {value} at step {self.step + 1} (learning rate {rate:.3g});"
                " train again with a lower --lr"
            )
        if not unlabelled:
            loss.backward()
            if self.config.clip_grad_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.config.clip_grad_norm)
            self.optimizer.step()
            self.running.loss += value
            self.running.steps += 1
        self.schedule.step()
        self.step += 1
        with on(logits.data):
            prediction = logits.data.argmax(axis=1)
        self.running.confusion += confusion_matrix(masks, prediction, self.data.num_classes, ignore)
        return value

    def _validate(self, should_stop: Callable[[], bool]) -> None:
        """Scores on the validation images; a row of history; checkpoints."""
        self.reporter.phase("validating", len(self.val_samples))

        def tick() -> None:
            self.reporter.advance(1)
            if should_stop():
                raise _Stopped

        result = evaluate_samples(
            *(self.model, self.normalisation, self.data, self.val_samples, tick), weights=self.class_weights
        )
        scores = result.scores
        weights = 1 if self.class_weights is None else self.class_weights
        # Of classes that weigh nothing, or of no pixel, the mean loss is 0/0, which is no mistake.
        if (scores.support * weights).sum() > 0 and not np.isfinite(result.loss):
            raise InputError(
                f"the loss on the validation images became {result.loss} at step {self.step};"
                " train again with a lower --lr"
            )
        row = self._row(result)
        better = np.isfinite(scores.mean_iou) and scores.mean_iou > self.best
        # The history is in every checkpoint, and ``last`` is written last: if anything fails before that, a
        # resumed run comes here again and writes the same files.
        self.rows.append(row)
        self.running = Running.empty(self.data.num_classes)
        if better:
            self.best = scores.mean_iou
        # Always in the first row: a run that was killed before its first ``last`` may have left its ``best``.
        if better or len(self.rows) == 1 or not (self.out / "best.safetensors").exists():
            self.save("best")
        history.write_csv(self.out / "history.csv", self.rows, self.data.classes)
        history.write_plot(self.out / "history.png", self.rows, self.data.classes)
        self.save("last")
        line = history.line(row, self.total, self.data.classes)
        self.reporter.message(line + ("  (best so far)" if better else ""))
        pixels = self.val_pixels, self.train_pixels
        warning = collapse.warning(self.rows, *pixels, self.data.classes, self.config, self.total)
        if warning is not None:
            self.reporter.message(warning)

    def _row(self, result: Evaluation) -> dict[str, Any]:
        """See `minidl.train.history`."""
        scores = result.scores
        return {
            "step": self.step,
            "epoch": round(self.step * self.config.batch_size / len(self.train_samples), 3),
            "lr": self.config.lr * self.schedule.lr_lambdas[0](self.step - 1),
            "train_loss": _number(self.running.mean_loss),
            "train_iou": _number(Scores.from_confusion(self.running.confusion).mean_iou),
            "val_loss": _number(result.loss),
            "val_iou": _number(scores.mean_iou),
            "val_accuracy": _number(scores.accuracy),
            history.CLASS_IOU: _numbers(scores.iou),
            history.CLASS_RECALL: _numbers(scores.recall),
        }

    def save(self, name: str) -> None:
        """Write ``out/NAME.safetensors``."""
        checkpoints.save(self.out / f"{name}.safetensors", self._checkpoint())
        self._seen = run_folder.signature(self.out)

    def _checkpoint(self) -> checkpoints.Checkpoint:
        return checkpoints.Checkpoint(
            config=self.config.to_dict(),
            architecture=self.architecture,
            data=describe_data(self.data, self.data_options),
            normalisation={"mean": self.normalisation.mean, "std": self.normalisation.std},
            step=self.step,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            random=self.random.get_state(),
            history=self.rows,
            running=self.running.to_dict(),
            best=self.best if np.isfinite(self.best) else None,
        )

    def _check_same_data(self, saved: checkpoints.Checkpoint) -> None:
        """Other images, or another share of them for validation, would be another run."""
        now = describe_data(self.data)
        for name, what in (
            *(("classes", "classes"), ("ignore_index", "ignore index"), ("in_channels", "channels")),
            *(("train", "training images"), ("val", "validation images")),
        ):
            there, here = (
                d["splits"].get(name) if name in d["splits"] else d.get(name) for d in (saved.data, now)
            )
            if there != here:
                raise InputError(
                    f"{self.data.root}: has other {what} than the run in {self.out}; resume with the run's"
                    " own data, and with the same --val, --ignore-index, --num-classes and --dataset-toml"
                )
        if self.data_options is None:
            self.data_options = saved.data.get("options") or {}

    def _saved_config(self, saved: checkpoints.Checkpoint) -> TrainConfig:
        try:
            return TrainConfig.from_dict(saved.config)
        except InputError as error:
            raise InputError(f"{self.out / 'last.safetensors'}: {error} (its configuration)") from None

    def _check_state(self, saved: checkpoints.Checkpoint) -> None:
        """Raise a ValueError if what was loaded would fail later, in the middle of a step."""
        if saved.schedule["last_epoch"] != saved.step:
            raise ValueError(f"its schedule is at step {saved.schedule['last_epoch']}, not {saved.step}")
        if saved.step > self.total:
            raise ValueError(f"step {saved.step} of {self.total}")
        parameters = list(self.model.parameters())
        if saved.optimizer["param_groups"][0]["params"] != list(range(len(parameters))):
            raise ValueError("its optimizer has other parameters")
        names = set(self.optimizer.alike)
        for index, values in self.optimizer.state.items():
            shapes = {name: value.shape for name, value in values.items() if hasattr(value, "shape")}
            kinds = {value.dtype.kind for value in values.values() if hasattr(value, "shape")}
            if (
                set(shapes) != names
                or kinds != {"f"}
                or any(s != parameters[index].shape for s in shapes.values())
            ):
                raise ValueError(
                    f"the optimizer's moments of parameter {index} have other names, shapes or types"
                )
            if "exp_avg" in names and not isinstance(values.get("step"), int):
                raise ValueError(f"the optimizer has no step of parameter {index}")

    def _restore(self, saved: checkpoints.Checkpoint) -> None:
        path = self.out / "last.safetensors"
        try:
            self.model.load_state_dict(saved.model)
            self.optimizer.load_state_dict(saved.optimizer)
            self.schedule.load_state_dict(saved.schedule)
            self.random.set_state(saved.random)
            self.running = Running.from_dict(saved.running)
            self._check_state(saved)
            mean, std = saved.normalisation["mean"], saved.normalisation["std"]
        except (LookupError, ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{path}: does not fit its own configuration ({error}); train again") from None
        self.normalisation = Normalisation(tuple(mean), tuple(std))
        self.batches.normalisation = self.normalisation
        self.step, self.rows = saved.step, list(saved.history)
        self.best = float("-inf") if saved.best is None else saved.best
        if self.rows and self.rows[-1]["step"] >= self.total:
            raise InputError(
                f"{self.out}: this run is finished ({self.step} steps); give another --out to train anew"
            )

    def _samples(self) -> tuple[list[Any], list[Any]]:
        if not self.data.splits.get("val"):
            raise InputError(
                f"{self.data.root}: has no images for validation; add a folder val/, or more images"
            )
        return self.data.samples("train"), self.data.samples("val")

    def _statistics(self, fresh: bool) -> tuple[Statistics, tuple[int, ...]]:
        """Of the training images, and how many pixels of each class validation has."""
        self.reporter.phase("reading", len(self.train_samples) + len(self.val_samples))
        found = statistics(self.cache, self.train_samples, lambda done, total: self.reporter.advance(1))
        if sum(found.pixels) == 0:
            raise InputError(
                f"{self.data.root}: no training pixel has a label; check the masks and the ignore index"
            )
        val = class_check.count_pixels(self.data, self.val_samples, lambda: self.reporter.advance(1))
        if fresh:  # a run that an older version began is not given up for that
            class_check.refuse(self.data, found.pixels, val)
        for note in class_check.notes(self.data.classes, found.pixels, val):
            self.reporter.message(f"note: {note}")
        return found, val

    def _batches(self, found: Statistics) -> Batches:
        augmentation, margin = build_augmentation(self.config, self.model, self.data, found)
        check_batch(self.config, self.architecture, augmentation.crop)
        if note := continued.in_crops(found.sizes, augmentation.crop, margin):
            self.reporter.message(f"note: {note}")
        size, seed = self.config.batch_size, self.config.seed
        return Batches(self.cache, self.train_samples, size, augmentation, self.normalisation, seed, margin)


def _crop_like(masks: Any, size: tuple[int, ...]) -> Any:
    """The middle of the masks: what a network without padding has outputs for."""
    top, left = (masks.shape[1] - size[0]) // 2, (masks.shape[2] - size[1]) // 2
    return masks[:, top : top + size[0], left : left + size[1]]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: Any) -> list[float | None]:
    """Of each class; six digits are enough to read and to compare."""
    return [None if value is None else round(value, 6) for value in map(_number, values)]
