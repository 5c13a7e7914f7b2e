"""What can go wrong before a kernel runs."""

from __future__ import annotations


class LaunchError(ValueError):
    """A kernel was called wrongly: nothing has run. The message names the kernel and the argument."""


class DeviceUnavailable(RuntimeError):
    """There is no such device here. The message is one line: what is missing, and what to do about it."""


class OutOfDeviceMemory(MemoryError):
    """The device has no room for an array. The message says for what, how much, and how much is in use.

    What was there before is there still; the process goes on.
    """
