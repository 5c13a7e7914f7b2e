"""Where arrays live: the namespace of an array, and what is to be said where there is no GPU."""

from __future__ import annotations

import importlib
import types
from functools import cache
from typing import Any

from minidl.kernels.cuda.errors import DeviceUnavailable

#: The stand-in for CuPy whose arrays live in the host's memory.
SIMULATED = "minidl.kernels.sim.cupy"
#: The namespace of each kind of device.
NAMESPACES = {"cuda": "cupy", "cuda_sim": SIMULATED}


def kind_of(array: Any) -> str | None:
    """``"cuda"`` for CuPy's array, ``"cuda_sim"`` for a simulated one, None for anything else.

    >>> import numpy
    >>> kind_of(numpy.zeros(3)) is None
    True
    """
    module = type(array).__module__  # by name: asking must not import CuPy
    if type(array).__name__ != "ndarray" or module == "numpy":
        return None
    if module.partition(".")[0] == "cupy":
        return "cuda"
    return "cuda_sim" if module.startswith(SIMULATED) else None


def namespace(array: Any) -> types.ModuleType:
    """The module whose functions work on an array of a device: ``cupy``, or its stand-in.

    Raises:
        TypeError: the array does not live on a device.

    >>> import minidl.kernels.sim.cupy as simulated
    >>> namespace(simulated.zeros(3)) is simulated
    True
    """
    kind = kind_of(array)
    if kind is None:
        raise TypeError(
            f"namespace: a device's array is needed, not {type(array).__module__}.{type(array).__name__}"
        )
    return importlib.import_module(NAMESPACES[kind])  # imported already: the array is one of its own


def namespace_of(kind: str) -> types.ModuleType:
    """The namespace of ``"cuda"`` or ``"cuda_sim"``.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    if kind == "cuda" and (problem := cuda_problem()):
        raise DeviceUnavailable(problem)
    return importlib.import_module(NAMESPACES[kind])


@cache
def cuda_problem() -> str:
    """Why there is no GPU to compute on here, in one line; empty if there is one."""
    from importlib.util import find_spec  # here: `import minidl` stays quick

    if find_spec("cupy") is None:
        return (
            "cuda: CuPy is not installed; install minidl[cuda12x] or minidl[cuda13x], or use the device cpu"
        )
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDA's own errors, or a library that cannot be loaded: all mean the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return f"cuda: no usable GPU ({reason}); install NVIDIA's driver, or use the device cpu or cuda_sim"
    return "" if count else "cuda: no GPU was found; use the device cpu or cuda_sim"


def device_count(kind: str) -> int:
    """How many devices of a kind there are; 0 for ``"cuda"`` where there is no GPU."""
    if kind == "cuda" and cuda_problem():
        return 0
    return int(namespace_of(kind).cuda.runtime.getDeviceCount())
