"""A module on another device or in another dtype, changed in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minidl._device import Device, device_of, move, on
from minidl._placement import destination, gpu

if TYPE_CHECKING:
    from minidl.nn._walks import Walks

Self = TypeVar("Self", bound="Conversions")


class Conversions:
    """What :class:`~minidl.nn.Module` inherits: moving and converting its parameters and buffers.

    The tensors stay the same objects: what is shared stays shared, hooks and optimizers keep them, and their
    gradients go with them.
    """

    def to(self: Self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Self:
        """Move all parameters and buffers to a device, or convert floating-point ones to a dtype, or both.

        The module itself is changed and returned. Gradients go along. What an optimizer has gathered stays
        where it was: make optimizers afterwards.

        Args:
            args: as torch takes them: a device, or a device and a dtype, or a dtype, or a tensor whose device
                and dtype are taken.
            device, dtype: the same by name.
            non_blocking: taken for torch's sake.

        Raises:
            DeviceUnavailable: this machine has no such device.
            TypeError: the dtype is not floating-point, or the arguments are none of these.

        >>> from minidl import nn
        >>> nn.Linear(2, 1).to("cuda_sim").weight.device
        device(type='cuda_sim', index=0)
        >>> nn.Linear(2, 1).to("int64")
        Traceback (most recent call last):
        TypeError: to: a module can only be converted to a floating-point dtype, got int64
        """
        where, dtype, copy = destination(args, device, dtype)
        if copy:
            raise TypeError("to: a module is changed in its place and takes no copy=True; deepcopy it first")
        _convert(self, where, dtype, "to")
        return self

    def astype(self: Self, dtype: Any) -> Self:
        """Convert all floating-point parameters and buffers; as ``to(dtype=dtype)``."""
        _convert(self, None, np.dtype(dtype), "astype")
        return self

    def cpu(self: Self) -> Self:
        """Move everything to the host."""
        return self.to("cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """Move everything to a GPU: a number, or a device; by default the first."""
        return self.to(gpu(device))

    def double(self: Self) -> Self:
        """Convert to float64, as gradient checks need it."""
        return self.astype(np.float64)

    def float(self: Self) -> Self:
        """Convert to float32."""
        return self.astype(np.float32)


def _convert(module: Any, where: Device | None, dtype: Any, operation: str) -> None:
    if dtype is not None and dtype.kind != "f":
        raise TypeError(f"{operation}: a module can only be converted to a floating-point dtype, got {dtype}")
    tree: Walks = module
    for _, tensor in [*tree.named_parameters(), *tree.named_buffers()]:
        data = _converted(tensor.data, where, dtype)
        gradient = None if tensor.grad is None else _converted(tensor.grad.data, where, dtype)
        tensor.data = data  # both, now that there was room for both
        if tensor.grad is not None:
            tensor.grad.data = gradient


def _converted(array: Any, where: Device | None, dtype: Any) -> Any:
    """The array where it is wanted; itself, if nothing is to be changed."""
    if where is not None and device_of(array) != where:
        array = move(array, where)
    if dtype is None or array.dtype.kind != "f" or array.dtype == dtype:
        return array
    with on(array), np.errstate(all="ignore"):  # what is too large becomes infinite in silence, as in torch
        return array.astype(dtype)
