"""What all optimizers share: groups of parameters with options, a state of each parameter, saving both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from minidl._arrays import require_memory_of_its_own
from minidl._device import CPU, move
from minidl._tensor import Tensor
from minidl.autograd import enable_grad
from minidl.autograd.clearing import clear_gradients
from minidl.optim.options import Reader, number
from minidl.optim.placing import Row, by_device

Array = np.ndarray[Any, Any]


class Optimizer:
    """Base class. A subclass gives ``defaults``, says in :attr:`options` what they may be, and in
    :meth:`update` how one parameter moves.

    An option may be a tensor of one element, as in torch: it stays in its group, and each step reads it.

    Attributes:
        param_groups: dictionaries with ``"params"`` and the options (``"lr"`` and so on) that hold for them.
        state: what the optimizer remembers of each parameter, by its position counted through all groups.
    """

    #: How each option is read (``options.py``), in the order that the kernel takes them.
    options: ClassVar[Mapping[str, Reader]] = {}
    #: What the state of a parameter holds in the parameter's own shape and dtype.
    alike: ClassVar[tuple[str, ...]] = ()

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
            self._take(self.param_groups[-1])
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
            require_memory_of_its_own(name, "a parameter", tensor.data)
        return tensors

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (``.grad`` becomes None, or zeros in its place)."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def numbers(self, group: dict[str, Any]) -> dict[str, Any]:
        """The options of a group as plain numbers.

        Raises:
            TypeError, ValueError: one that somebody put there is none; the message names it.
        """
        owner = type(self).__name__
        return {
            name: value
            if type(value := group[name]) is float and read is number
            else read(name, owner, value)
            for name, read in self.options.items()
        }

    def _take(self, group: dict[str, Any]) -> None:
        """Options as they are kept: plain, so that they can be saved; tensors as they are, as in torch."""
        plain = self.numbers(group)
        group.update({k: v for k, v in plain.items() if not _has_tensor(group[k])})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient, in place. The tape notices: a pending backward raises.

        The parameters of a group may live on several devices: each is moved by the kernels of its own.

        Args:
            closure: called first, with gradients recorded, to compute the loss and its gradients anew.

        Returns:
            what the closure gave, or None.

        Raises:
            TypeError, ValueError: an option of a group is no number any more.
            RuntimeError: a gradient or a state lives on another device than its parameter.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        work, start = [], 0
        for group in self.param_groups:
            moving = [(i, p) for i, p in enumerate(group["params"], start) if p.grad is not None]
            rows = [(p.data, p.grad.data, self.state.setdefault(i, {})) for i, p in moving]
            places = by_device(type(self).__name__, moving, rows, self.alike)
            work.append((moving, places, {**group, **self.numbers(group)} if self.options else group))
            start += len(group["params"])
        with np.errstate(all="ignore"):  # infinities and NaN travel silently, as in torch
            for moving, places, options in work:  # nothing moves before all has been looked at
                for rows in places:
                    self.update_all(rows, options)
                for _, parameter in moving:
                    parameter.mark_changed()
        return loss

    def update_all(self, rows: list[Row], group: dict[str, Any]) -> None:
        """:meth:`update` for parameters of a group that have a gradient and live on one device.

        Each row is (weights, gradient, state). An optimizer whose kernel moves many parameters at once
        overrides this instead.
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
            groups.append({**group, **self.numbers(group), "params": list(range(start, start + count))})
            start += count
        state = {
            index: {k: move(v, CPU, copy=True) if hasattr(v, "strides") else v for k, v in values.items()}
            for index, values in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called.

        What was gathered of a parameter is copied to where the parameter lives now, in its dtype.

        Raises:
            TypeError: an option is no number.
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
                    is_moment = value.ndim > 0 and value.dtype.kind == "f"
                    value = value.astype(parameters[index].dtype if is_moment else value.dtype)
                    value = move(value, parameters[index].device)
                state[index][name] = value
        loaded = [
            {**own, **saved, "params": own["params"]}
            for own, saved in zip(self.param_groups, groups, strict=True)
        ]
        for group in loaded:
            self._take(group)
        self.state = state
        for own, group in zip(self.param_groups, loaded, strict=True):
            own.update(group)


def _has_tensor(option: Any) -> bool:
    return any(isinstance(o, Tensor) for o in (option if isinstance(option, tuple | list) else (option,)))
