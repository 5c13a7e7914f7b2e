"""What all learning-rate schedules share: setting the rates of an optimizer's groups, saving, going on."""

from __future__ import annotations

from typing import Any

from minidl._device import on
from minidl._tensor import Tensor
from minidl.optim.optimizer import Optimizer
from minidl.optim.options import number, whole


class LRScheduler:
    """Base class; a subclass defines :meth:`change`, or :meth:`get_lr` as in torch.

    Args:
        optimizer: whose rates are set, from now on.
        last_epoch: -1 for a new schedule. Any other t is that of a schedule to be continued, which goes on to
            t + 1 at once; the optimizer must have its saved groups by then. (Loading the schedule's
            ``state_dict`` instead restores all of it.)

    Attributes:
        base_lrs: the rate each parameter group began with, kept in the group as "initial_lr".
        last_epoch: t, the number of calls of ``step()`` so far.

    Raises:
        TypeError: no optimizer, or an option of a wrong type.
        ValueError: an option out of range.
        KeyError: a ``last_epoch``, but no "initial_lr" in a group.
    """

    #: What ``state_dict`` leaves out.
    _not_saved = frozenset(("optimizer", "_is_initial"))

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.last_epoch = whole("last_epoch", name, last_epoch)
        for i, group in enumerate(optimizer.param_groups):
            if self.last_epoch == -1:
                group.setdefault("initial_lr", number("lr", name, group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{name}: last_epoch={last_epoch} continues a schedule, but parameter group {i} has no "
                    "'initial_lr'; load the optimizer's saved state first"
                )
        self.base_lrs = [number("initial_lr", name, group["initial_lr"]) for group in optimizer.param_groups]
        self._step_count = 0
        self._is_initial = True  # the first rate is set; a schedule that is continued finds it set
        self.step()
        self._is_initial = False

    def change(self, t: int) -> float:
        """What the rate in force is multiplied with on arriving at step t."""
        raise NotImplementedError

    def closed_form(self, base: float, t: int) -> float:
        """The rate at step t of a group that began with ``base`` and that nobody else touched."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rates that follow those in force, on arriving at ``last_epoch``."""
        change = self.change(self.last_epoch)
        return [rate * change for rate in self._in_force()]

    def step(self, epoch: int | None = None) -> None:
        """Go on to t + 1; or to step ``epoch``, where the closed form gives the rate, as in torch."""
        owner = type(self).__name__
        self.last_epoch = self.last_epoch + 1 if epoch is None else whole("epoch", owner, epoch)
        self._step_count += 1
        if epoch is None or type(self).closed_form is LRScheduler.closed_form:
            rates = self.get_lr()
        else:
            rates = [self.closed_form(base, self.last_epoch) for base in self.base_lrs]
        self._set([number("the rate", owner, rate) for rate in rates])
        self._last_lr = self._in_force()

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last, one for each parameter group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All there is to remember, with torch's keys: t, the rates, and the schedule's own options."""
        return {name: _copy(value) for name, value in vars(self).items() if name not in self._not_saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the saved t. The rates in force come with the optimizer's own state.

        Raises:
            KeyError: t or the first rates are missing. All else may be.
            TypeError: t or a rate is no number.
            ValueError: there are more or fewer parameter groups.
        """
        owner, groups = type(self).__name__, len(self.optimizer.param_groups)
        last_epoch = whole("last_epoch", owner, state["last_epoch"])
        base_lrs = [number("base_lrs", owner, rate) for rate in state["base_lrs"]]
        if len(base_lrs) != groups:
            raise ValueError(
                f"{owner}: the saved schedule has {len(base_lrs)} parameter groups, the optimizer {groups}"
            )
        self._last_lr, self._step_count = self._in_force(), last_epoch + 1  # unless they are saved, too
        for name in (vars(self).keys() - self._not_saved) & state.keys():
            setattr(self, name, _copy(state[name]))
        self.last_epoch, self.base_lrs = last_epoch, base_lrs

    def _in_force(self) -> list[float]:
        return [number("lr", type(self).__name__, group["lr"]) for group in self.optimizer.param_groups]

    def _set(self, rates: list[float]) -> None:
        """A rate that is a tensor stays one and is overwritten, as in torch, unless groups share it."""
        held = [group["lr"] for group in self.optimizer.param_groups]
        for group, lr, rate in zip(self.optimizer.param_groups, held, rates, strict=True):
            if isinstance(lr, Tensor) and lr.dtype.kind == "f" and sum(lr is other for other in held) == 1:
                with on(lr.data):
                    lr.data[...] = rate
                lr.mark_changed()
            else:
                group["lr"] = rate


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, list | dict) else value
