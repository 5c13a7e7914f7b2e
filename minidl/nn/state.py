"""A module's state as arrays under dotted names, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl._arrays import require_memory_of_its_own
from minidl._device import CPU, device_of, move, on
from minidl._masks import host
from minidl._tensor import Tensor

if TYPE_CHECKING:
    from minidl.nn.module import Module


def named_state(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a module and of all below it, under *all* their names.

    A tensor or a module that is used in two places comes twice, as in torch's state dicts (while
    ``named_parameters`` gives it once, so that an optimizer moves it once).
    """
    for table in (module._parameters, module._buffers):
        for name, tensor in table.items():
            if tensor is not None:
                yield prefix + name, tensor
    for name, child in module._modules.items():
        if child is not None:
            yield from named_state(child, f"{prefix}{name}.")


def load(module: Module, state_dict: Mapping[str, Any], strict: bool) -> None:
    """See :meth:`minidl.nn.Module.load_state_dict`."""
    own = dict(named_state(module))
    missing, extra = sorted(own.keys() - state_dict.keys()), sorted(state_dict.keys() - own.keys())
    if strict and (missing or extra):
        raise KeyError(f"load_state_dict: missing {missing}, unexpected {extra}")
    # All are checked before the first is copied: a refused state dict changes nothing.
    arrays = {
        name: _checked(name, state_dict[name], tensor) for name, tensor in own.items() if name in state_dict
    }
    for name in arrays:
        require_memory_of_its_own("load_state_dict", repr(name), own[name].data)
    for name, array in arrays.items():
        with on(own[name].data), np.errstate(all="ignore"):  # too large for the dtype: infinite, as in torch
            own[name].data[...] = move(array, own[name].device)
        own[name].mark_changed()


def _checked(name: str, value: Any, tensor: Tensor) -> np.ndarray[Any, Any]:
    """``value`` as an array that can be copied into ``tensor``."""
    try:
        value = value.data if isinstance(value, Tensor) else value
        array = host("a state", value) if device_of(value) == CPU else move(value, CPU)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"load_state_dict: {name} is not an array ({error})") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"load_state_dict: {name} must hold real numbers, got {array.dtype}")
    if array.shape != tensor.shape:
        raise ValueError(f"load_state_dict: {name} has shape {array.shape}, the module's has {tensor.shape}")
    return array
