"""The used part of ``cupy.cuda`` for simulated devices."""

from minidl.kernels.sim.cupy.cuda import device, memory, runtime, stream
from minidl.kernels.sim.cupy.cuda.device import Device, get_device_id
from minidl.kernels.sim.cupy.cuda.memory import (
    MemoryPointer,
    MemoryPool,
    PinnedMemoryPointer,
    alloc_pinned_memory,
)
from minidl.kernels.sim.cupy.cuda.stream import Event, Stream, get_current_stream, get_elapsed_time

__all__ = [
    "Device",
    "Event",
    "MemoryPointer",
    "MemoryPool",
    "PinnedMemoryPointer",
    "Stream",
    "alloc_pinned_memory",
    "device",
    "get_current_stream",
    "get_device_id",
    "get_elapsed_time",
    "is_available",
    "memory",
    "runtime",
    "stream",
]


def is_available() -> bool:
    """Whether there is a device: always."""
    return True
