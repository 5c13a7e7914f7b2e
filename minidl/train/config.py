"""Everything that decides how a run goes: stored in its checkpoints, to resume, evaluate and repeat it."""

from __future__ import annotations

import reprlib
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from minidl.errors import InputError
from minidl.segmentation.augment import Augmentation

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("cosine", "poly", "constant")
CLASS_WEIGHTS = ("none", "balanced")
HEAD_INITS = ("prior", "network")
#: What numbers of steps and images, and other numbers, may be at most.
LARGEST, MOST = 2**40, 1e30


@dataclass(frozen=True)
class TrainConfig:
    """The options of a training.

    Args:
        model: options of :class:`minidl.models.UNet` except channels and classes, which the data decide.
        steps: optimizer steps in all; or
        epochs: passes over the training images, used where ``steps`` is None.
        batch_size: images in a step.
        optimizer, lr, weight_decay, momentum: "adam", "adamw" or "sgd" (which alone uses the momentum).
        clip_grad_norm: largest norm of a step's gradients, all together; None leaves them as they are.
        schedule: "cosine" (to zero), "poly" (power 0.9, to zero) or "constant"; counted in steps.
        warmup: steps in which the rate rises from a tenth to full.
        class_weights: "none" or "balanced" (median frequency: rare classes weigh more).
        head_init: where the network's last layer starts: "prior" (every pixel has the classes' shares of the
            training masks, see :mod:`minidl.train.prior`) or "network" (at weights drawn as all others).
        augmentation: options of :class:`minidl.segmentation.augment.Augmentation`, ``crop`` included.
        eval_every: steps between validations; by default one epoch, but at least 25 steps.
        seed: decides initial weights, data order, augmentation and dropout.

    Raises:
        InputError: an option is out of range.
    """

    model: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    epochs: int = 40
    batch_size: int = 8
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    clip_grad_norm: float | None = None
    schedule: str = "cosine"
    warmup: int = 0
    class_weights: str = "none"
    head_init: str = "prior"
    augmentation: dict[str, Any] = field(default_factory=dict)
    eval_every: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("model", "augmentation"):
            if not isinstance(getattr(self, name), dict):
                raise InputError(
                    f"{name}: {reprlib.repr(getattr(self, name))} does not do; give a dictionary"
                )
        Augmentation.from_dict(self.augmentation)
        for name, value, choices in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("class_weights", self.class_weights, CLASS_WEIGHTS),
            ("head_init", self.head_init, HEAD_INITS),
        ):
            if value not in choices:
                raise InputError(f"{name}: {reprlib.repr(value)} does not do; give {' or '.join(choices)}")
        optional = ("steps", "eval_every")
        for name, least in (
            *(("steps", 1), ("epochs", 1), ("batch_size", 1), ("eval_every", 1)),
            *(("warmup", 0), ("seed", 0)),
        ):
            whole = getattr(self, name)
            if whole is None and name in optional:
                continue
            if not isinstance(whole, int) or isinstance(whole, bool) or whole < least:
                raise InputError(
                    f"{name}: {reprlib.repr(whole)} does not do; give a whole number of {least} or more"
                )
            if name != "seed" and whole > LARGEST:
                raise InputError(f"{name}: {reprlib.repr(whole)} is too large; give at most {LARGEST}")
        if self.seed >= 2**64:
            raise InputError(f"seed: {self.seed} is too large; give a number below 2**64")
        for name in ("lr", "weight_decay", "momentum"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= MOST:
                raise InputError(
                    f"{name}: {reprlib.repr(number)} does not do; give a finite number of 0 or more"
                )
        clip = self.clip_grad_norm
        if clip is not None and not (isinstance(clip, int | float) and 0 < clip <= MOST):
            raise InputError(
                f"clip_grad_norm: {reprlib.repr(clip)} does not do; give a finite number above 0, or none"
            )
        if self.lr == 0:
            raise InputError("lr: with a learning rate of 0 nothing is learned; give more")

    def total_steps(self, images: int) -> int:
        """Steps of the whole run for so many training images."""
        return self.steps if self.steps is not None else max(1, -(-self.epochs * images // self.batch_size))

    def evaluation_interval(self, images: int) -> int:
        """Steps between two validations."""
        return self.eval_every if self.eval_every is not None else max(25, -(-images // self.batch_size))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The configuration that :meth:`to_dict` described.

        One that was written before there was ``head_init`` is of a run that started with the network's own
        weights.

        Raises:
            InputError: an unknown option.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise InputError(
                f"configuration: unknown option {unknown[0]!r}; it was written by another version"
            )
        return cls(**{"head_init": "network", **values})
