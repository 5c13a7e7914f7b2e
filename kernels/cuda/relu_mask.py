"""The mask of a ReLU's backward, as an example of a kernel that is launched without the checked launcher.

``cupy.RawKernel`` takes the source as text and gives a function. Nothing is checked then: the number, the
types and the places of the arguments, and whether they lie in C order, are up to the caller, and a mistake
computes rubbish or ends the process. All else here goes through ``launch.py``; this one function shows
what that saves.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minidl.kernels.cuda.arrays import THREADS, blocks, in_c_order
from minidl.kernels.cuda.device import namespace

#: One thread for each element, in a grid-stride loop. Where y is NaN, g passes, as in torch.
SOURCE = r"""
extern "C" __global__ void relu_mask(const REAL* g, const REAL* y, REAL* delta, long long count) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)
        delta[i] = y[i] <= 0 ? (REAL)0 : g[i];
}
"""


@cache
def _kernel(xp: Any, real: str) -> Any:
    """The compiled kernel; CuPy compiles it at the first launch, for the device at hand."""
    return xp.RawKernel(SOURCE, "relu_mask", options=(f"-DREAL={real}",))


def relu_mask(g: Any, y: Any) -> Any:
    """g where y > 0 or is NaN, else 0.

    Args:
        g, y: of one shape and dtype (float32 or float64), on one device.

    Raises:
        TypeError: dtypes that differ, or have no kernel.
        ValueError: shapes that differ.
    """
    if g.dtype != y.dtype or g.dtype not in (np.float32, np.float64):
        raise TypeError(f"relu_mask: one of float32 and float64 is needed, got {g.dtype} and {y.dtype}")
    if g.shape != y.shape:
        raise ValueError(f"relu_mask: shapes {g.shape} and {y.shape} differ")
    xp, g, y = namespace(g), in_c_order(g), in_c_order(y)
    delta = xp.empty(g.shape, g.dtype)
    if delta.size:
        real = "float" if g.dtype == np.float32 else "double"
        # np.int64: a plain Python int would do for this parameter, but not for an int one.
        _kernel(xp, real)((blocks(g.size),), (THREADS,), (g, y, delta, np.int64(g.size)))
    return delta
