"""Moving to another device.

y = x, on another device; dx = g, on the device of x.
"""

from __future__ import annotations

from typing import Any

from minidl._device import Device, device_of, move
from minidl._tensor import Tensor
from minidl.autograd import Function, Node


class ToDevice(Function):
    """y = x on another device;  dx = g on the device of x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, device: Device) -> Any:
        ctx.source, ctx.target = device_of(x), device
        return move(x, device)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return move(g, ctx.source)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return to_device(g, ctx.source)


def to_device(x: Tensor, device: str | Device) -> Tensor:
    """The same values on a device: the tensor itself if it lives there; what ``x.to(device)`` calls.

    Raises:
        ValueError: there is no such name.
        DeviceUnavailable: this machine has no such device.

    >>> import minidl
    >>> minidl.ops.to_device(minidl.tensor([1.0]), "cuda_sim")
    tensor([1.], device='cuda_sim:0')
    """
    target = Device(device)
    return x if x.device == target else ToDevice.apply(x, device=target)
