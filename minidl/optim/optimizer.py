"""What all optimizers share: groups of parameters with options, a state of each parameter, saving both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minidl._device import CPU, move
from minidl._tensor import Tensor

Array = np.ndarray[Any, Any]


class Optimizer:
    """Base class. A subclass sets ``defaults`` and says in :meth:`update` how one parameter moves.

    Attributes:
        param_groups: dictionaries with ``"params"`` and the options (``"lr"`` and so on) that hold for them.
        state: what the optimizer remembers of each parameter, by its position counted through all groups.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be a list of tensors or of groups, got one tensor"
            )
        given: list[Any] = list(params)
        if not given:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimise")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        self.param_groups: list[dict[str, Any]] = []
        for group in groups:
            tensors = self._tensors(group)
            self.param_groups.append({**defaults, **group, "params": tensors})
            self.param_groups[-1].setdefault("initial_lr", self.param_groups[-1]["lr"])
        everything = [p for g in self.param_groups for p in g["params"]]
        if len({id(p) for p in everything}) != len(everything):
            raise ValueError(f"{type(self).__name__}: a parameter is given twice")
        self.state: dict[int, dict[str, Any]] = {}

    def _tensors(self, group: Any) -> list[Tensor]:
        """The parameters of a group as it was given: leaves, since only they keep a gradient."""
        name = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(
                f'{name}: each group must be a dictionary with "params", got {type(group).__name__}'
            )
        tensors = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name}: only tensors can be optimised, got {type(tensor).__name__}")
            if not tensor.is_leaf:
                raise ValueError(
                    f"{name}: a computed tensor (shape {tensor.shape}) cannot be optimised, only a leaf"
                )
        return tensors

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters (``.grad`` becomes None)."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient, in place. The tape notices: a pending backward raises."""
        start = 0
        for group in self.param_groups:
            moving = [(i, p) for i, p in enumerate(group["params"], start) if p.grad is not None]
            self.update_all(
                [(p.data, p.grad.data, self.state.setdefault(index, {})) for index, p in moving], group
            )
            for _, parameter in moving:
                parameter.mark_changed()
            start += len(group["params"])

    def update_all(self, rows: list[tuple[Array, Array, dict[str, Any]]], group: dict[str, Any]) -> None:
        """:meth:`update` for all parameters of a group that have a gradient: (weights, gradient, state) each.

        An optimizer whose kernel moves many parameters at once overrides this instead.
        """
        for w, g, state in rows:
            self.update(w, g, state, group)

    def update(self, w: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the weights ``w`` in place, given their gradient ``g`` (not to be changed)."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Copies of state and options in torch's layout, {"state": {index: ...}, "param_groups": [...]}.

        Arrays come as NumPy arrays, wherever the parameters live; loading puts them there again.
        """
        groups, start = [], 0
        for group in self.param_groups:
            count = len(group["params"])
            groups.append({**group, "params": list(range(start, start + count))})
            start += count
        state = {
            index: {k: move(v, CPU, copy=True) if hasattr(v, "strides") else v for k, v in values.items()}
            for index, values in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called.

        Raises:
            ValueError: groups or shapes differ from this optimizer's.
        """
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"{type(self).__name__}: the saved state has other parameter groups")
        parameters = [p for g in self.param_groups for p in g["params"]]
        state: dict[int, dict[str, Any]] = {}
        for key, values in state_dict["state"].items():
            index = int(key)
            if not 0 <= index < len(parameters):
                raise ValueError(
                    f"{type(self).__name__}: the saved state has a parameter {index}, "
                    f"there are {len(parameters)}"
                )
            state[index] = {}
            for name, value in values.items():
                if isinstance(value, np.ndarray) and value.ndim and value.shape != parameters[index].shape:
                    raise ValueError(
                        f"{type(self).__name__}: saved {name} of parameter {index} has shape {value.shape}, "
                        f"not {parameters[index].shape}"
                    )
                if isinstance(value, np.ndarray):
                    value = move(value, parameters[index].device, copy=True)
                state[index][name] = value
        self.state = state
        for own, saved in zip(self.param_groups, groups, strict=True):
            own.update({k: v for k, v in saved.items() if k != "params"})


def check_range(
    name: str, optimizer: str, value: float, low: float = 0.0, high: float = float("inf")
) -> None:
    """Raise unless low <= value < high."""
    if not low <= value < high:
        raise ValueError(f"{optimizer}: {name} must be in [{low}, {high}), got {value}")
