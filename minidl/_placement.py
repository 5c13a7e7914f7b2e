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

    def to(
        self,
        *args: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
    ) -> Tensor:
        """The same values on another device, or in another dtype, or both; the gradient goes back.

        Args:
            args: as torch takes them: a device or its name, or a device and a dtype, or a dtype, or a tensor
                whose both are taken; then perhaps ``non_blocking`` and ``copy``.
            device, dtype: the same by name.
            non_blocking: taken for torch's sake.
            copy: in memory of its own even if nothing is to be changed.

        Returns:
            the tensor itself where nothing is to be changed.

        Raises:
            DeviceUnavailable: this machine has no such device.
            TypeError: neither device nor dtype, or arguments in another order.

        >>> import minidl
        >>> x = minidl.tensor([1.5, 2.5], requires_grad=True)
        >>> x.to("cuda_sim")
        tensor([1.5, 2.5], device='cuda_sim:0', grad_fn=<ToDeviceBackward>)
        >>> x.to("float64").dtype, x.to("cpu") is x
        (dtype('float64'), True)
        """
        device, dtype, also_copy = destination(args, device, dtype)
        result = ops.to_device(self, device or self.device)
        if dtype is not None:
            result = ops.cast(result, dtype)
        return ops.clone(result) if (copy or also_copy) and result is self else result

    def cpu(self) -> Tensor:
        """The same values on the host: the tensor itself if it is there."""
        return self.to(CPU)

    def cuda(self, device: Any = None) -> Tensor:
        """The same values on a GPU: a number, or a device; by default the first."""
        return self.to(gpu(device))

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


def destination(args: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Device | None, Any, bool]:
    """What ``to(...)`` was asked for: a device or None, a dtype or None, and whether to copy in any case.

    The arguments that come by position are, as torch has them, ``(device, dtype, non_blocking, copy)``,
    ``(dtype, non_blocking, copy)`` or ``(tensor, non_blocking, copy)``.
    """
    switches: list[Any] = []
    if args:
        first, *rest = args
        if isinstance(first, Placement):
            twice = device is not None or dtype is not None
            device, dtype, switches = first.device, first.data.dtype, rest
        elif _is_device(first):
            twice = device is not None or (bool(rest) and dtype is not None)
            device, dtype, switches = _numbered(first), rest[0] if rest else dtype, rest[1:]
        else:
            twice = dtype is not None
            dtype, switches = first, rest
        if twice:
            raise TypeError("to: a device or dtype is given twice, by position and by name")
    if len(switches) > 2 or not all(isinstance(switch, bool) for switch in switches):
        raise TypeError(
            f"to: {switches[0]!r} is not expected there; the order is device, dtype, non_blocking, copy"
        )
    if not args and device is None and dtype is None:
        raise TypeError("to: give a device ('cpu', 'cuda', 'cuda:N', 'cuda_sim'), a dtype, or both")
    copy = len(switches) == 2 and bool(switches[1])
    try:
        where = None if device is None else Device(_numbered(device))
        return where, None if dtype is None else np.dtype(dtype), copy
    except TypeError:
        raise ValueError(
            f"to: {dtype!r} is neither a device (cpu, cuda, cuda:N, cuda_sim) nor a dtype"
        ) from None


KINDS = ("cpu", "cuda", "cuda_sim")


def _is_device(given: Any) -> bool:
    """Whether something stands for a device (None: for the one that it is on)."""
    if isinstance(given, str):
        return given.partition(":")[0] in KINDS
    return given is None or (isinstance(given, Device | int) and not isinstance(given, bool))


def _numbered(device: Any) -> Any:
    """A GPU may be given by its number."""
    return f"cuda:{device}" if isinstance(device, int) else device


def gpu(device: Any) -> Any:
    """What ``cuda(...)`` was asked for: a number or a device; the first GPU by default."""
    return "cuda:0" if device is None else _numbered(device)


def on_host(tensor: Placement) -> np.ndarray[Any, Any]:
    """The values as a NumPy array: the tensor's own on the host, else a copy; for printing and the like."""
    host: np.ndarray[Any, Any] = move(tensor.data, CPU)
    return host
