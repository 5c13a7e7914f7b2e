"""Module: parameters, buffers and submodules under the names that torch gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl import _origin, dispatch
from minidl._device import CPU, move
from minidl._handles import Hook, HookHandle
from minidl._tensor import Tensor
from minidl.autograd import anomaly
from minidl.nn import state
from minidl.nn._conversions import Conversions
from minidl.nn._walks import Walks
from minidl.nn.parameter import Parameter as Parameter


class Module(Walks, Conversions):
    """Base class of layers and networks.

    Subclasses assign parameters and submodules as attributes and define ``forward``. What goes through all
    that is below a module is in :class:`~minidl.nn._walks.Walks`, moving and converting it in
    :class:`~minidl.nn._conversions.Conversions`.

    >>> from minidl import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return self.layer(self.layer(x))
    >>> list(Twice().state_dict())
    ['layer.weight', 'layer.bias']
    """

    def __init__(self) -> None:
        # Past __setattr__, which needs these dictionaries to be there.
        for name in ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks"):
            object.__setattr__(self, name, {})
        self.training = True

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not (anomaly.is_enabled() or dispatch.checks_kernels()):
            return self._run(inputs, options)
        with _origin.inside(self):  # an error will say in which module it arose
            return self._run(inputs, options)

    def _run(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The hooks that come first, the module's own forward, the hooks that come after it."""
        for hook in list(self._forward_pre_hooks.values()):
            replaced = hook(self, inputs)
            if replaced is not None:
                inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*inputs, **options)
        for hook in list(self._forward_hooks.values()):
            replaced = hook(self, inputs, output)
            if replaced is not None:
                output = replaced
        return output

    # -- what belongs to the module --------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning attributes"
            )
        home = self._home(name, value)
        if home is None:
            object.__setattr__(self, name, value)
            return
        self._check_name(name, home, hasattr(type(self), name))
        for table in (self.__dict__, self._parameters, self._buffers, self._modules):
            if table is not home:
                table.pop(name, None)
        home[name] = value

    def _home(self, name: str, value: Any) -> dict[str, Any] | None:
        """The table that an attribute belongs to, by its value or by the name that it replaces, if any."""
        if isinstance(value, Parameter):
            return self._parameters
        if isinstance(value, Module) and name not in self._parameters:
            return self._modules
        for table, kind, what in (
            (self._parameters, Parameter, "parameter"),
            (self._modules, Module, "submodule"),
            (self._buffers, Tensor, "buffer"),
        ):
            if name in table:
                _check_kind(f"{type(self).__name__}.{name}", value, kind, what)
                return table
        return None

    def _check_name(self, name: str, table: dict[str, Any], taken: bool) -> None:
        """Raise KeyError unless ``name`` is in the table already, or free and fit for a dotted name."""
        if name in table:
            return
        if not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a name must not be empty or contain a dot, got {name!r}")
        if (
            taken
        ):  # the table would never be asked: Python looks there only for what it does not find elsewhere
            raise KeyError(f"{type(self).__name__}: attribute {name!r} already exists")

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; ``None`` keeps the name for one that this module does without (``bias=False``).

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            TypeError: not a parameter.
        """
        self._register(self._parameters, name, param, Parameter, "parameter")

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Add a tensor that is saved with the module but not learned (running statistics).

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            TypeError: not a tensor.
        """
        self._register(self._buffers, name, tensor, Tensor, "buffer")

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name.

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            TypeError: not a module.
        """
        self._register(self._modules, name, module, Module, "submodule")

    def _register(self, table: dict[str, Any], name: str, value: Any, kind: type, what: str) -> None:
        self._check_name(name, table, hasattr(self, name))
        _check_kind(f"{type(self).__name__}.{name}", value, kind, what)
        table[name] = value

    # -- state -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of all parameters and buffers as NumPy arrays, under torch's keys, wherever they live.

        A module's parameters come before its buffers; what two modules share comes under both names.
        """
        return {name: np.array(move(t.data, CPU), order="C") for name, t in state.named_state(self)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays (or anything ``np.asarray`` takes) into the parameters and buffers of the same names.

        Nothing is changed unless everything fits.

        Args:
            state_dict: as :meth:`state_dict` gives it, from here or from torch.
            strict: also complain of names that are missing or too many.

        Raises:
            KeyError: names are missing or unexpected.
            ValueError: a shape differs, or something is not an array of real numbers.
        """
        state.load(self, state_dict, strict)

    # -- hooks and text --------------------------------------------------------------------------------------

    def register_forward_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, inputs, output)`` after every forward; a result replaces the output.

        Returns:
            a handle, whose ``remove()`` takes the hook off again.
        """
        return HookHandle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, inputs)`` before every forward; a result replaces the inputs.

        Returns:
            a handle, whose ``remove()`` takes the hook off again.
        """
        return HookHandle(self._forward_pre_hooks, hook)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's text."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        above = extra.split("\n") if extra else []
        below = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        if not below and len(above) < 2:
            return f"{type(self).__name__}({''.join(above)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*above, *below]) + "\n)"


def _check_kind(name: str, value: Any, kind: type, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is a {what}: expected a {kind.__name__} or None, got {type(value).__name__}")
