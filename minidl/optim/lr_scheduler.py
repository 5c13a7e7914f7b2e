"""Learning-rate schedules: what happens to the rate on arriving at step t.

A schedule multiplies the rate that is in force, whoever set it: the schedule itself, another one on the same
optimizer, or the user with ``group["lr"] = ...``. So schedules can be chained, each stepped in turn: their
factors multiply, and what is set by hand is kept, and scaled by what follows. The recursions are torch's. The
closed formulas in the docstrings say what comes out where nobody else touches the rate; to set the rate from
them in each step would undo what others did. (:class:`LambdaLR` does that, as in torch.)

What it costs is rounding. After t steps the rate is the formula's but for some t ε of itself, ε = 1.1e-16; a
cosine, which shortly before its end divides by almost nothing, is off by up to T_max² ε of what is left.

Resuming is exact nonetheless: the rate in force is in the optimizer's groups, so its ``state_dict`` has it,
to the bit, and the schedule's has t. Make the optimizer, then its schedules, and then load the states of all
of them: making a schedule sets the first rate.

Call ``step()`` once after each optimizer step or once an epoch, whichever the schedule counts in.

>>> import minidl
>>> optimizer = minidl.optim.SGD([minidl.tensor([0.0], requires_grad=True)], lr=1.0)
>>> warm, decay = LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)
>>> rates = []
>>> for _ in range(4):
...     rates.append(optimizer.param_groups[0]["lr"]); warm.step(); decay.step()
>>> rates
[0.5, 0.375, 0.25, 0.125]
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.optim.options import in_range, number, positive
from minidl.optim.schedule import LRScheduler

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]


class ConstantLR(LRScheduler):
    """The rate times ``factor``, above 0 to 1, for the first ``total_iters`` steps, then the rate itself."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = _share("factor", "ConstantLR", factor)
        self.total_iters = positive("total_iters", "ConstantLR", total_iters)
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """See the class."""
        if t == 0:
            return self.factor
        return 1.0 / self.factor if t == self.total_iters else 1.0

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return base * (self.factor + (t >= self.total_iters) * (1 - self.factor))


class LambdaLR(LRScheduler):
    """The first rate times any function of t; or a list of functions, one for each parameter group.

    A function that is an object keeps its attributes in the ``state_dict``; any other is not saved.
    """

    _not_saved = LRScheduler._not_saved | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 1
        functions: Any = lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda] * groups
        given = list(functions)
        if len(given) != groups:
            raise ValueError(f"LambdaLR: {groups} parameter groups need as many functions, got {len(given)}")
        for function in given:
            if not callable(function):
                raise TypeError(
                    "LambdaLR: lr_lambda must be a function, or a list of one for each parameter group, got "
                    f"{type(function).__name__}"
                )
        self.lr_lambdas: list[Callable[[int], float]] = given
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        factors = [number("lr_lambda's result", "LambdaLR", f(self.last_epoch)) for f in self.lr_lambdas]
        return [base * factor for base, factor in zip(self.base_lrs, factors, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """See the class."""
        kept = [
            None if isinstance(f, FunctionType) else getattr(f, "__dict__", None) for f in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": [k.copy() if type(k) is dict else None for k in kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the saved t, with the saved attributes of those functions that are objects."""
        super().load_state_dict(state)
        for function, saved in zip(self.lr_lambdas, state.get("lr_lambdas", ()), strict=False):
            if saved:
                vars(function).update(saved)


class StepLR(LRScheduler):
    """γ^⌊t / step_size⌋: times γ after each ``step_size`` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = positive("step_size", "StepLR", step_size)
        self.gamma = number("gamma", "StepLR", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """See the class."""
        return self.gamma if t != 0 and t % self.step_size == 0 else 1.0

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return float(base * self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """γ to the number of milestones that t has reached; one that is given twice counts twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise TypeError(
                f"MultiStepLR: milestones must be a list of steps, got {type(milestones).__name__}"
            )
        self.milestones = Counter(number("a milestone", "MultiStepLR", m) for m in milestones)
        self.gamma = number("gamma", "MultiStepLR", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """See the class."""
        return float(self.gamma ** self.milestones[t])

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return float(base * self.gamma ** bisect_right(sorted(self.milestones.elements()), t))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the saved t. JSON makes text of a dictionary's keys; here they become numbers again."""
        super().load_state_dict(state)
        self.milestones = Counter({float(step): count for step, count in self.milestones.items()})


class ExponentialLR(LRScheduler):
    """γᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("gamma", "ExponentialLR", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """See the class."""
        return 1.0 if self._is_initial else self.gamma

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return float(base * self.gamma**t)


class LinearLR(LRScheduler):
    """From ``start_factor`` in a straight line to ``end_factor`` at ``total_iters``: a warm-up.

    0 < start_factor <= 1 and 0 <= end_factor <= 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = _share("start_factor", "LinearLR", start_factor)
        self.end_factor = _share("end_factor", "LinearLR", end_factor, zero=True)
        self.total_iters = positive("total_iters", "LinearLR", total_iters)
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """The line's value at t divided by that at t - 1."""
        if t == 0:
            return self.start_factor
        if self._is_initial or t > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (t - 1) * rise)

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        rise = self.end_factor - self.start_factor
        return base * (self.start_factor + rise * min(self.total_iters, t) / self.total_iters)


class PolynomialLR(LRScheduler):
    """(1 - t / total_iters)^power, the "poly" rule of DeepLab."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = positive("total_iters", "PolynomialLR", total_iters)
        self.power = in_range("power", "PolynomialLR", power)  # below 0 the end would divide by 0
        super().__init__(optimizer, last_epoch)

    def change(self, t: int) -> float:
        """What is left at t divided by what was left at t - 1."""
        if self._is_initial or t > self.total_iters:
            return 1.0
        left = (1.0 - t / self.total_iters) / (1.0 - (t - 1) / self.total_iters)
        return float(left**self.power)

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return float(base * (1.0 - min(self.total_iters, t) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """η_min + (η - η_min) (1 + cos(π t / T_max)) / 2 (Loshchilov and Hutter 2017, without restarts).

    After T_max the rate rises again, as it fell.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.tensor([0.0], requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> rates = []
    >>> for _ in range(3):
    ...     rates += schedule.get_last_lr(); schedule.step()
    >>> rates
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = positive("T_max", "CosineAnnealingLR", T_max)
        self.eta_min = number("eta_min", "CosineAnnealingLR", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """What is above η_min is multiplied; at the end of a fall that is nothing, and the rise is added."""
        t, T, low, rates = self.last_epoch, self.T_max, self.eta_min, self._in_force()
        if self._is_initial:
            return rates
        if (t - 1 - T) % (2 * T) == 0:
            return [
                rate + (base - low) * (1 - math.cos(math.pi / T)) / 2
                for rate, base in zip(rates, self.base_lrs, strict=True)
            ]
        before, now = (1 + math.cos(math.pi * step / T) for step in (t - 1, t))
        return [now / before * (rate - low) + low for rate in rates]

    def closed_form(self, base: float, t: int) -> float:
        """See the class."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


def _share(name: str, owner: str, value: Any, zero: bool = False) -> float:
    """A factor of at most 1, above 0 or (with ``zero``) 0."""
    plain = number(name, owner, value)
    if not (0 <= plain <= 1 and (plain > 0 or zero)):
        raise ValueError(f"{owner}: {name} must be {'from 0' if zero else 'above 0'} to 1, got {plain}")
    return plain
