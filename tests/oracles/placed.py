"""Running the tests of operations on a device: what they make of NumPy arrays is placed there.

The tests are written for the host: they make tensors of NumPy arrays, and take NumPy arrays out of results.
With ``MINIDL_DEVICE=cuda_sim`` (or ``cuda``, on a machine with a GPU) the very same tests run on a device:

* ``minidl.tensor(array)``, ``Tensor(array)`` and the factories give a tensor on the device;
* ``x.numpy()`` gives a copy on the host, as ``x.cpu().numpy()`` does.

Only what tests make is placed. A NumPy array that an operation makes stays on the host, so that an operation
that mixes the two still fails, as it would for a user.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import _tensor
from minidl._device import CPU, Device, move
from minidl._placement import Placement

#: The library itself, whose arrays stay where it makes them.
INSIDE = ("minidl.ops", "minidl.autograd", "minidl.optim", "minidl._methods", "minidl._operators")


def placed(array: Any, device: Device) -> Any:
    """A host array on a device, in the same memory order: axes permuted, reversed, with gaps.

    ``move`` gives C order, which would hide kernels that ignore strides.
    """
    array = np.asarray(array)
    if array.flags.c_contiguous:
        return move(array, device)
    axes = tuple(zip(array.shape, array.strides, strict=True))
    if any(extent > 1 and not stride for extent, stride in axes):  # as after expand(): one element is many
        one = array[tuple(slice(None) if stride else slice(0, 1) for _, stride in axes)]
        with device.context():
            return device.namespace().broadcast_to(placed(one, device), array.shape)
    backwards = tuple(slice(None, None, -1 if s < 0 else 1) for s in array.strides)
    outermost_first = _outermost_first(array)
    straight = array[backwards].transpose(outermost_first)
    if straight.flags.c_contiguous:
        there = move(straight, device)
    else:
        with device.context():
            xp = device.namespace()
            large = xp.full([2 * n + 1 for n in straight.shape], _gap(array.dtype), array.dtype)
            there = large[tuple(slice(1, 2 * n + 1, 2) for n in straight.shape)]
            there[...] = move(straight, device)
    return there.transpose(tuple(int(axis) for axis in np.argsort(outermost_first)))[backwards]


def fetched(array: Any) -> Any:
    """A copy on the host whose axes lie in memory in the same order as the device array's."""
    outermost_first = _outermost_first(array)
    copy = move(array.transpose(outermost_first), CPU)
    return copy.transpose(tuple(int(axis) for axis in np.argsort(outermost_first)))


def _outermost_first(array: Any) -> tuple[int, ...]:
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def _gap(dtype: np.dtype[Any]) -> Any:
    return np.nan if dtype.kind == "f" else 0


def array(values: Any) -> Any:
    """An array as it is where tensors are: the operand of operations that take arrays beside tensors."""
    return np.asarray(values) if _device is None else placed(values, _device)


def nowhere() -> bool:
    """Whether tensors stay where tests make them: on the host."""
    return _device is None


#: Where tensors are placed now; None: nowhere.
_device: Device | None = None


@contextlib.contextmanager
def tensors_on(name: str) -> Iterator[None]:
    """Tensors that tests make in this block live on that device."""
    global _device
    _device = device = Device(name).check()
    make, numpy = _tensor.Tensor.__init__, Placement.numpy

    def init(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        on_the_host = isinstance(self.data, np.ndarray)
        if on_the_host and not sys._getframe(1).f_globals["__name__"].startswith(INSIDE):
            self.data = placed(self.data, device)

    def numpy_of_a_copy(self: Any) -> Any:
        return self.data if isinstance(self.data, np.ndarray) else fetched(self.data)

    _tensor.Tensor.__init__, Placement.numpy = init, numpy_of_a_copy  # type: ignore[method-assign]
    try:
        yield
    finally:
        _device = None
        _tensor.Tensor.__init__, Placement.numpy = make, numpy  # type: ignore[method-assign]
