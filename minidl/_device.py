"""Where tensors live: on the host, on a GPU, or on a simulated one; and how arrays get there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from minidl.kernels.cuda.device import NAMESPACES, device_count, kind_of, namespace_of
from minidl.kernels.cuda.errors import DeviceUnavailable, OutOfDeviceMemory

Result = TypeVar("Result")


class Device:
    """A place for tensors: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; ``"cuda_sim"`` runs CUDA kernels on the CPU.

    Args:
        device: its name, or another of these. "cuda" is "cuda:0".

    Attributes:
        type: "cpu", "cuda" or "cuda_sim".
        index: number of the device among those of its type; None for the host.

    Raises:
        ValueError: there is no such name. Whether the machine has such a device is asked when it is used.

    >>> import minidl
    >>> minidl.device("cuda"), minidl.device("cuda:1").index
    (device(type='cuda', index=0), 1)
    >>> minidl.device("tpu")
    Traceback (most recent call last):
    ValueError: device: there is no 'tpu'; choose from cpu, cuda, cuda:N, cuda_sim
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, device: str | Device) -> None:
        match = re.fullmatch(r"(cpu|cuda|cuda_sim)(?::(\d+))?", str(device))
        if match is None or (match[1] == "cpu" and int(match[2] or 0)):
            raise ValueError(f"device: there is no {device!r}; choose from cpu, cuda, cuda:N, cuda_sim")
        self.type = match[1]
        self.index = None if self.type == "cpu" else int(match[2] or 0)

    def check(self) -> Device:
        """The device itself, if this machine has it.

        Raises:
            DeviceUnavailable: it has not; the message is one line that says why.
        """
        if self.index is not None:
            namespace_of(self.type)
            count = device_count(self.type)
            if self.index >= count:
                raise DeviceUnavailable(f"{self}: this machine has {count} such device(s), numbered from 0")
        return self

    def namespace(self) -> Any:
        """``numpy``, ``cupy``, or CuPy's stand-in."""
        return np if self.index is None else namespace_of(self.check().type)

    def context(self) -> Any:
        """CuPy's own object for the device, whose ``with`` makes it the current one. Not for the host."""
        return self.namespace().cuda.Device(self.index)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + ("" if self.index is None else f", index={self.index}") + ")"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


CPU = Device("cpu")


def device_of(array: Any) -> Device:
    """Where an array lives.

    >>> device_of(np.zeros(3))
    device(type='cpu')
    """
    kind = None if type(array) is np.ndarray else kind_of(array)
    return CPU if kind is None else Device(f"{kind}:{array.device.id}")


#: The element types that a device has, by NumPy's letters: all of the host's but longdouble.
_ON_DEVICES = "?bhilqBHILQefd"


def known_there(array: Any, dtype: np.dtype[Any], device: Device) -> Any:
    """The array; as ``dtype``, which its numbers become anyway, if the device has none like them."""
    if device.index is None or not isinstance(array, np.ndarray) or array.dtype.char in _ON_DEVICES:
        return array
    with np.errstate(all="ignore"):  # too large for the dtype: infinite
        return array.astype(dtype)


def move(array: Any, device: Device, copy: bool = False) -> Any:
    """The array on a device: itself if it lives there (unless ``copy``), else a copy in C order.

    Raises:
        DeviceUnavailable: there is no such device.
        OutOfDeviceMemory: it has no room.
        TypeError: a device has no such numbers (longdouble).
    """
    here = device_of(array)
    if here == device:
        return array.copy() if copy else array
    if device.index is None:
        return array.get()
    if here.index is not None and here.type != device.type:
        array = array.get()
    elif isinstance(array, np.ndarray):
        if array.dtype.char not in _ON_DEVICES:
            raise TypeError(f"to('{device}'): a device has no {array.dtype}; give float64, say")
        array = array.astype(array.dtype.newbyteorder("="), copy=False)  # a device knows its own byte order
    with device.context():
        xp = device.namespace()
        return in_memory(device, f"to('{device}')", (array,), lambda: xp.array(array, order="C"))


def on(array: Any) -> contextlib.AbstractContextManager[Any]:
    """A ``with`` block for computing with an array outside of an operation.

    Its device is the current one; on the host infinities and NaN come about silently, as in an operation and
    in torch.

    >>> with on(np.zeros(1)):
    ...     np.float32(3e38) * np.float32(10)
    np.float32(inf)
    """
    if type(array) is np.ndarray or kind_of(array) is None:
        return np.errstate(all="ignore")
    return device_of(array).context()


def place_of(operation: Callable[[], str], arrays: Iterable[Any]) -> Device | None:
    """The device that all arrays live on; None if that is the host. Numbers and the like live anywhere.

    Raises:
        RuntimeError: they live on several.
    """
    arrays = tuple(arrays)
    if all(type(a) is np.ndarray or kind_of(a) is None for a in arrays):
        return None  # every operation on the host comes by here
    places: list[Device] = []
    for array in arrays:
        if type(array) is np.ndarray:
            place = CPU
        elif kind_of(array) is not None:
            place = device_of(array)
        else:
            continue
        if place not in places:
            places.append(place)
    if len(places) > 1:
        raise RuntimeError(
            f"{operation()}: expected all tensors to be on the same device, but found {places[0]} and "
            f"{places[1]}; move one with .to('{places[1]}') or .to('{places[0]}')"
        )
    return places[0]


def in_memory(device: Device, what: str, arrays: Iterable[Any], compute: Callable[[], Result]) -> Result:
    """The result of ``compute``; if the device lacks the memory for it, one error that says for what.

    Raises:
        OutOfDeviceMemory: ``what`` of arrays of these shapes, the bytes asked for and those in use.
    """
    try:
        return compute()
    except OutOfDeviceMemory:
        raise
    except MemoryError as error:
        reason = str(error)
    # Outside of the handler: the error's frames, and the arrays in them, are gone by now.
    shapes = ", ".join(f"{a.dtype}{tuple(a.shape)}" for a in arrays if hasattr(a, "strides"))
    asked = re.search(r"allocating ([\d,]+) bytes", reason)
    raise OutOfDeviceMemory(
        f"{what} of {shapes or 'numbers'}: {device} has no room for {asked[1] if asked else '?'} bytes; "
        f"{_used(device):,} bytes are in use by arrays. Use smaller batches or crops, or free tensors first"
    )


def _used(device: Device) -> int:
    with device.context():
        return int(device.namespace().get_default_memory_pool().used_bytes())


__all__ = ["CPU", "NAMESPACES", "Device", "device_of", "in_memory", "move", "on", "place_of"]
