"""What a tensor has to do with devices and with other libraries: where it lives, moving it, sharing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl._device import CPU, Device, device_of, move
from minidl._operators import Operations

if TYPE_CHECKING:
    from minidl._tensor import Tensor

#: The module minidl.ops: imported when it is first asked for something, and then it puts itself here.
ops: Any = Operations()


class Placement:
    """What :class:`~minidl.Tensor` inherits: everything that depends on where its array lives."""

    __slots__ = ()

    data: Any
    requires_grad: Any

    @property
    def device(self) -> Device:
        """Where the tensor lives.

        >>> import minidl
        >>> minidl.tensor([1.0]).device
        device(type='cpu')
        """
        return device_of(self.data)

    def to(self, *args: Any, device: Any = None, dtype: Any = None, copy: bool = False) -> Tensor:
        """The same values on another device, or in another dtype, or both; the gradient goes back.

        Args:
            args: a device or its name, a dtype, a device and a dtype, or a tensor whose both are taken.
            device, dtype: the same by name.
            copy: in memory of its own even if nothing is to be changed.

        Returns:
            the tensor itself where nothing is to be changed.

        Raises:
            DeviceUnavailable: this machine has no such device.
            TypeError: neither device nor dtype.

        >>> import minidl
        >>> x = minidl.tensor([1.5, 2.5], requires_grad=True)
        >>> x.to("cuda_sim")
        tensor([1.5, 2.5], device='cuda_sim:0', grad_fn=<ToDeviceBackward>)
        >>> x.to("float64").dtype, x.to("cpu") is x
        (dtype('float64'), True)
        """
        device, dtype = destination(args, device, dtype)
        result = ops.to_device(self, device or self.device)
        if dtype is not None:
            result = ops.cast(result, dtype)
        return ops.clone(result) if copy and result is self else result

    def cpu(self) -> Tensor:
        """The same values on the host: the tensor itself if it is there."""
        return self.to(CPU)

    def cuda(self, device: Any = None) -> Tensor:
        """The same values on a GPU: a number, or a device; by default the first."""
        return self.to(f"cuda:{device or 0}" if device is None or isinstance(device, int) else device)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The array itself, sharing memory; read-only if the tensor requires a gradient.

        (torch refuses here and asks for ``detach()``; ``x.detach().numpy()`` works the same in both.) Writing
        into the array of a tensor that belongs to no graph is possible and is *not* noticed by the tape.

        Raises:
            TypeError: the tensor lives on a device.
        """
        if not isinstance(self.data, np.ndarray):
            raise TypeError(
                f"numpy: a tensor on {self.device} cannot become a NumPy array by itself; copy it to the "
                "host first: x.cpu().numpy()"
            )
        array: np.ndarray[Any, Any] = self.data
        if self.requires_grad:
            array = array.view()
            array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """For other libraries' ``from_dlpack``: the same memory, without a copy."""
        if self.requires_grad:
            raise BufferError(
                "__dlpack__: other libraries know nothing of this tensor's gradient; detach() it"
            )
        given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self.data.__dlpack__(**{name: value for name, value in given.items() if value is not None})

    def __dlpack_device__(self) -> tuple[Any, int]:
        """DLPack's type and number of the device."""
        return self.data.__dlpack_device__()


def destination(args: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Device | None, Any]:
    """What ``to(...)`` was asked for: a device or None, a dtype or None."""
    for given in args:
        if hasattr(given, "data") and isinstance(given, Placement):
            device, dtype = given.device, given.data.dtype
        elif isinstance(given, Device) or (isinstance(given, str) and given.partition(":")[0] in KINDS):
            device = given
        elif isinstance(given, int):
            device = f"cuda:{given}"
        else:
            dtype = given
    if len(args) > 2 or (device is None and dtype is None):
        raise TypeError("to: give a device ('cpu', 'cuda', 'cuda:N', 'cuda_sim'), a dtype, or both")
    try:
        return None if device is None else Device(device), None if dtype is None else np.dtype(dtype)
    except TypeError:
        raise ValueError(
            f"to: {dtype!r} is neither a device (cpu, cuda, cuda:N, cuda_sim) nor a dtype"
        ) from None


KINDS = ("cpu", "cuda", "cuda_sim")


def on_host(tensor: Placement) -> np.ndarray[Any, Any]:
    """The values as a NumPy array: the tensor's own on the host, else a copy; for printing and the like."""
    host: np.ndarray[Any, Any] = move(tensor.data, CPU)
    return host
