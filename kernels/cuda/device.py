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
        reason = _first_line(error)
        return f"cuda: no usable GPU ({reason}); install NVIDIA's driver, or use the device cpu or cuda_sim"
    if not count:
        return "cuda: no GPU was found; use the device cpu or cuda_sim"
    try:
        _run_a_kernel(cupy)
    except Exception as error:
        return (
            f"cuda: there is a GPU, but no kernel runs on it ({_first_line(error)}); install the extra that"
            " fits the driver, minidl[cuda12x] or minidl[cuda13x], which bring NVIDIA's compiler, or use the"
            " device cpu"
        )
    return ""


#: The least kernel that shows the way whole: compiled, loaded, run, its result read back.
_TRIVIAL = 'extern "C" __global__ void minidl_trivial(int* y) { y[threadIdx.x] = (int)threadIdx.x + 1; }'


def _run_a_kernel(cupy: Any) -> None:
    """Compile and run one kernel, and a product of cuBLAS.

    A GPU that is counted is not yet one to compute on: NVRTC, cuBLAS or the headers may be missing, or be
    of a version that the driver or the card does not take. Then every later launch would fail with a text
    of a library's, far from the cause.
    """
    with cupy.cuda.Device(0):
        kernel = cupy.RawModule(code=_TRIVIAL, options=("-std=c++17",)).get_function("minidl_trivial")
        y = cupy.zeros(2, cupy.int32)
        kernel((1,), (2,), (y,))
        one = cupy.ones((1, 1), cupy.float32)
        if y.tolist() != [1, 2] or (one @ one).tolist() != [[1.0]]:
            raise RuntimeError(f"a kernel gave {y.tolist()} where [1, 2] is right")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def device_count(kind: str) -> int:
    """How many devices of a kind there are; 0 for ``"cuda"`` where there is no GPU."""
    if kind == "cuda" and cuda_problem():
        return 0
    return int(namespace_of(kind).cuda.runtime.getDeviceCount())
