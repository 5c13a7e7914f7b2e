"""A stand-in for the used part of CuPy 14.2, whose devices are simulated in the host's memory.

It is the namespace ``xp`` of backend ``"cuda_sim"``: the host code of ``kernels/cuda`` runs over it
unchanged. It offers what that code uses and nothing more, with CuPy's signatures (a test compares all of them
with the real CuPy), and is strict where CuPy is: host arrays do not mix with a device's, nor those of two
devices; nothing becomes a NumPy array by itself; reductions give arrays, not numbers; fresh memory holds
rubbish. Where CuPy lets a mistake pass, it errs on the strict side.

>>> import minidl.kernels.sim.cupy as xp
>>> x = xp.asarray([1.0, 2.0], dtype=xp.float32)
>>> x.sum().shape, xp.asnumpy(x + 1).tolist()
((), [2.0, 3.0])
>>> import numpy
>>> x + numpy.ones(2)
Traceback (most recent call last):
TypeError: Unsupported type <class 'numpy.ndarray'>
"""

from typing import Any

import numpy

from minidl.kernels.sim.cupy import _functions, _methods, cuda
from minidl.kernels.sim.cupy import lib as lib
from minidl.kernels.sim.cupy._arrays import asnumpy as asnumpy
from minidl.kernels.sim.cupy._arrays import ndarray as ndarray
from minidl.kernels.sim.cupy._tables import ufunc as ufunc

__version__ = "14.2.0"

#: What CuPy takes from NumPy as it is.
FROM_NUMPY = """
bool_ dtype finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 nan newaxis pi promote_types uint8
uint16 uint32 uint64
"""
#: Written out in _functions.py, since they are not NumPy's function of the same name.
WRITTEN_OUT = """
array asarray ascontiguousarray empty empty_like from_dlpack get_array_module may_share_memory result_type
ndim shape shares_memory size
"""

_methods.install()
globals().update({name: getattr(numpy, name) for name in FROM_NUMPY.split()})
globals().update({name: getattr(_functions, name) for name in WRITTEN_OUT.split()})
globals().update(_functions.namespace())


def get_default_memory_pool() -> cuda.MemoryPool:
    """The pool that all arrays come from."""
    return cuda.memory.pool


def __getattr__(name: str) -> Any:
    if name in ("RawModule", "RawKernel"):  # imported when needed: most of what uses arrays launches nothing
        from minidl.kernels.sim import module

        return getattr(module, name)
    raise AttributeError(f"the stand-in for CuPy has no {name!r}")
