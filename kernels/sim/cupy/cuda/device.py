"""The simulated devices: two, so that arrays can be on the wrong one."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

COUNT = 2
#: Bytes of memory of each.
TOTAL_MEMORY = 64 * 2**30

_current: ContextVar[int] = ContextVar("minidl_simulated_device", default=0)


def get_device_id() -> int:
    """Number of the current device."""
    return _current.get()


class Device:
    """A device; as a context, the current one.

    >>> with Device(1):
    ...     get_device_id()
    1
    """

    def __init__(self, device: Any = None) -> None:
        self.id = get_device_id() if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise RuntimeError(f"cudaErrorInvalidDevice: invalid device ordinal {self.id}")
        self._before: list[Token[int]] = []

    def use(self) -> None:
        """Make it the current device."""
        _current.set(self.id)

    def synchronize(self) -> None:
        """Wait until everything is done that its streams were given."""
        from minidl.kernels.sim.cupy.cuda import stream

        stream.synchronize_all()

    def __enter__(self) -> Device:
        self._before.append(_current.set(self.id))
        return self

    def __exit__(self, *exc: object) -> None:
        _current.reset(self._before.pop())

    @property
    def mem_info(self) -> tuple[int, int]:
        """Bytes of memory that are free, and all there are."""
        from minidl.kernels.sim.cupy.cuda.memory import pool

        with self:
            return TOTAL_MEMORY - pool.total_bytes(), TOTAL_MEMORY

    @property
    def compute_capability(self) -> str:
        """As an A100's, for example: what is assumed where a choice depends on it."""
        return "80"

    @property
    def attributes(self) -> dict[str, int]:
        """Limits of a launch."""
        return {
            "MaxThreadsPerBlock": 1024,
            "MaxSharedMemoryPerBlock": 49152,
            "MultiProcessorCount": 108,
            "WarpSize": 32,
            "L2CacheSize": 40 * 2**20,
        }

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"
