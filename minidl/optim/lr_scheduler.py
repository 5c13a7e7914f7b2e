"""Learning-rate schedules: the rate of step t as a formula of t, times the rate the optimizer began with.

A closed formula (not a product of past factors) needs one number, t, to resume exactly. Call ``step()`` once
after each optimizer step or once an epoch, whichever the schedule counts in. The first rate is set when the
schedule is made.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer


class LRScheduler:
    """Base class; subclasses define :meth:`factor`.

    Attributes:
        last_epoch: t, the number of calls of ``step()`` so far.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def factor(self, t: int) -> float:
        """What the initial rate is multiplied with at step t."""
        raise NotImplementedError

    def rate(self, base: float, t: int) -> float:
        """The learning rate at step t for a group that began with ``base``."""
        return base * self.factor(t)

    def step(self) -> None:
        """Go on to t + 1."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rates now in force, one for each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All there is to remember."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the saved t."""
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), list(state["base_lrs"])
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(base, self.last_epoch)


class ConstantLR(LRScheduler):
    """The rate times ``factor`` for the first ``total_iters`` steps, then the rate itself."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        self._factor, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return self._factor if t < self.total_iters else 1.0


class LambdaLR(LRScheduler):
    """The factor is any function of t."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return self.lr_lambda(t)


class StepLR(LRScheduler):
    """γ^⌊t / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return float(self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """γ to the number of milestones that t has reached."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return float(self.gamma ** bisect_right(self.milestones, t))


class ExponentialLR(LRScheduler):
    """γᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return float(self.gamma**t)


class LinearLR(LRScheduler):
    """From ``start_factor`` in a straight line to ``end_factor`` at ``total_iters``: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return (
            self.start_factor
            + (self.end_factor - self.start_factor) * min(t, self.total_iters) / self.total_iters
        )


class PolynomialLR(LRScheduler):
    """(1 - t / total_iters)^power, the "poly" rule of DeepLab."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """See the class."""
        return float((1 - min(t, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """η_min + (η - η_min) (1 + cos(π t / T_max)) / 2 (Loshchilov and Hutter 2017, without restarts).

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.tensor([0.0], requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> rates = []
    >>> for _ in range(3):
    ...     rates += schedule.get_last_lr(); schedule.step()
    >>> rates
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """See the class."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2
