"""Module: parameters, buffers and submodules under the names that torch gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from minidl import _origin, dispatch
from minidl._device import CPU, move, on
from minidl._handles import Hook, HookHandle
from minidl._placement import destination
from minidl._tensor import Tensor, tensor
from minidl.autograd import anomaly
from minidl.dispatch import array_module
from minidl.nn import state

Self = TypeVar("Self", bound="Module")


class Parameter(Tensor):
    """A tensor that a module learns: it requires a gradient and lies in C order.

    Args:
        data: a tensor, whose memory is shared if it lies in C order, or anything that :func:`minidl.tensor`
            takes, which is copied.
        requires_grad: False for one that is not to be learned for now.

    >>> import minidl
    >>> minidl.nn.Parameter(minidl.tensor([1.0, 2.0]))
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else tensor(data)
        with on(source.data):
            data = array_module(source.data).asarray(source.data, order="C")
        super().__init__(data, requires_grad)
        if self.data is source.data:
            self._version = source._version


class Module:
    """Base class of layers and networks.

    Subclasses assign parameters and submodules as attributes and define ``forward``.

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

    training: bool

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

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter; ``None`` keeps the name for one that this module does without (``bias=False``).

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            TypeError: not a parameter.
        """
        self._register(self._parameters, name, parameter, Parameter, "parameter")

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

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [(f"{name}.{k}" if name else k, m) for k, m in module._modules.items() if m is not None]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one."""
        return ((name, m) for name, m in self._modules.items() if m is not None)

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, under dotted names in the order of their creation."""
        return self._named("_parameters")

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def _named(self, table: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in getattr(module, table).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def apply(self: Self, function: Callable[[Module], None]) -> Self:
        """Call ``function`` on every module, those below first."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

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

    def train(self: Self, mode: bool = True) -> Self:
        """Training behaviour (dropout drops, batch normalisation uses the batch), here and in all below."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Evaluation behaviour; the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Let the parameters learn, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self: Self, dtype: Any) -> Self:
        """Convert all floating-point parameters and buffers in place."""
        return self.to(dtype=dtype)

    def to(self: Self, *args: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move all parameters and buffers to a device, or convert floating-point ones to a dtype, or both.

        The module itself is changed and returned; gradients are forgotten where a dtype changes. What an
        optimizer has gathered stays where it was: make optimizers afterwards.

        Raises:
            DeviceUnavailable: this machine has no such device.

        >>> from minidl import nn
        >>> nn.Linear(2, 1).to("cuda_sim").weight.device
        device(type='cuda_sim', index=0)
        """
        where, dtype = destination(args, device, dtype)
        for _, each in [*self.named_parameters(), *self.named_buffers()]:
            if where is not None and each.device != where:
                each.data = move(each.data, where)
                each.grad = None if each.grad is None else each.grad.to(where)
            if dtype is not None and each.dtype.kind == "f":
                with on(each.data):
                    each.data = each.data.astype(dtype)
                each.grad = None
        return self

    def cpu(self: Self) -> Self:
        """Move everything to the host."""
        return self.to("cpu")

    def cuda(self: Self, device: int = 0) -> Self:
        """Move everything to a GPU."""
        return self.to(f"cuda:{device}")

    def double(self: Self) -> Self:
        """Convert to float64, as gradient checks need it."""
        return self.astype(np.float64)

    def float(self: Self) -> Self:
        """Convert to float32."""
        return self.astype(np.float32)

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
        below = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self.named_children()]
        if not below:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}({self.extra_repr()}\n  " + "\n  ".join(below) + "\n)"


def _check_kind(name: str, value: Any, kind: type, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is a {what}: expected a {kind.__name__} or None, got {type(value).__name__}")
