"""GPUs: whether there is one, waiting for it, and its memory. ``import minidl`` does not import CuPy.

Every function takes a device or its name; without one it means the first GPU.
"""

from __future__ import annotations

from typing import Any

from minidl._device import Device
from minidl.kernels.cuda import device as _kinds
from minidl.kernels.cuda.errors import DeviceUnavailable as DeviceUnavailable
from minidl.kernels.cuda.errors import OutOfDeviceMemory as OutOfDeviceMemory


def is_available() -> bool:
    """Whether there is a GPU that minidl can compute on.

    >>> import minidl
    >>> minidl.cuda.is_available() == (minidl.cuda.device_count() > 0)
    True
    """
    return not _kinds.cuda_problem()


def why_unavailable() -> str:
    """Why there is none, in one line; empty if there is one."""
    return _kinds.cuda_problem()


def device_count(kind: str = "cuda") -> int:
    """How many devices there are of a kind, ``"cuda"`` or ``"cuda_sim"``.

    >>> import minidl
    >>> minidl.cuda.device_count("cuda_sim")
    2
    """
    return _kinds.device_count(kind)


def use_device(device: str | Device) -> None:
    """Make a device the current one from here on. Needed for others than the first of their kind only.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    place = Device(device).check()
    if place.index is not None:
        place.context().use()


def synchronize(device: str | Device = "cuda") -> None:
    """Wait until the device has done all it was given. Kernels run while the program goes on.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    place = Device(device)
    if place.index is not None:
        place.context().synchronize()


def memory_statistics(device: str | Device = "cuda") -> dict[str, int]:
    """Bytes of the device's memory pool: ``in_use`` by arrays, ``kept`` for arrays to come, its ``limit``
    (0: none), and what the whole device has ``free`` and in ``total``.

    Raises:
        DeviceUnavailable: this machine has no such device.

    >>> import minidl
    >>> before = memory_statistics("cuda_sim")["in_use"]
    >>> x = minidl.tensor([1.0] * 1000, device="cuda_sim")
    >>> memory_statistics("cuda_sim")["in_use"] - before      # 4000 bytes, in units of 512
    4096
    """
    place = Device(device)
    with place.context():
        pool = place.namespace().get_default_memory_pool()
        free, total = place.namespace().cuda.runtime.memGetInfo()
        used = int(pool.used_bytes())
        return {
            "in_use": used,
            "kept": int(pool.total_bytes()) - used,
            "limit": int(pool.get_limit()),
            "free": int(free),
            "total": int(total),
        }


def set_memory_limit(size: int, device: str | Device = "cuda") -> None:
    """Let the pool take at most so many bytes from the device; 0: as many as there are.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    place = Device(device)
    with place.context():
        place.namespace().get_default_memory_pool().set_limit(size=size)


def empty_cache(device: str | Device = "cuda") -> None:
    """Give back to the device what the pool keeps and nobody uses.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    place = Device(device)
    with place.context():
        place.namespace().get_default_memory_pool().free_all_blocks()


def describe(device: str | Device = "cuda") -> dict[str, Any]:
    """Name, compute capability and versions, as a benchmark's result names its machine.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    place = Device(device).check()
    xp = place.namespace()
    properties = xp.cuda.runtime.getDeviceProperties(place.index)
    name = properties["name"]
    return {
        "device": str(place),
        "name": name.decode() if isinstance(name, bytes) else str(name),
        "compute_capability": str(place.context().compute_capability),
        "cupy": xp.__version__,
        "driver": int(xp.cuda.runtime.driverGetVersion()),
        "runtime": int(xp.cuda.runtime.runtimeGetVersion()),
    }
