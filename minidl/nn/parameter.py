"""Parameter: a tensor that a module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._device import on
from minidl._factories import full
from minidl._tensor import DEFAULT_DTYPE, Tensor, tensor
from minidl.dispatch import array_module


class Parameter(Tensor):
    """A tensor that a module learns: it requires a gradient and lies in C order.

    Args:
        data: a tensor, whose memory is shared if it lies in C order and may be written to, or anything that
            :func:`minidl.tensor` takes, which is copied; None for a parameter without elements.
        requires_grad: False for one that is not to be learned for now.

    Raises:
        RuntimeError: it is to be learned, but is not floating-point.

    >>> import minidl
    >>> minidl.nn.Parameter(minidl.tensor([1.0, 2.0]))
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor(np.empty(0, DEFAULT_DTYPE))
        source = data if isinstance(data, Tensor) else tensor(data)
        with on(source.data):
            data = array_module(source.data).asarray(source.data, order="C")
        if isinstance(data, np.ndarray) and not data.flags.writeable:
            data = data.copy()
        super().__init__(data, requires_grad)
        if self.data is source.data:
            self._version = source._version

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with the same values in memory of its own; its gradient is not copied, as in torch."""
        if id(self) not in memo:
            memo[id(self)] = type(self)._of(self.data.copy(), self.requires_grad)
        copy: Parameter = memo[id(self)]
        return copy


def filled(shape: tuple[int, ...], value: float, device: Any, dtype: Any) -> Tensor:
    """What a layer begins with: one number everywhere, on a device and of a dtype or the default ones."""
    return full(shape, value, dtype=dtype or DEFAULT_DTYPE, device=device or "cpu")
