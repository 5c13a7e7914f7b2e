"""The used part of the CUDA runtime."""

from __future__ import annotations

from minidl.kernels.sim.cupy.cuda import device


class CUDARuntimeError(RuntimeError):
    """What the runtime reports."""


def getDeviceCount() -> int:
    """How many devices there are."""
    return device.COUNT


def getDevice() -> int:
    """Number of the current device."""
    return device.get_device_id()


def memGetInfo() -> tuple[int, int]:
    """Bytes of the current device's memory that are free, and all there are."""
    return device.Device().mem_info


def getDeviceProperties(device: int) -> dict[str, object]:
    """What is known about a device: its name, to begin with."""
    return {"name": b"simulated device (CPU)", "multiProcessorCount": 108, "warpSize": 32}


def driverGetVersion() -> int:
    """The newest CUDA that the driver knows."""
    return 12090


def runtimeGetVersion() -> int:
    """The CUDA that this is."""
    return 12090
