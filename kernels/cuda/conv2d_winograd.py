"""3x3 convolution by Winograd's F(4x4, 3x3), on a device (``conv2d_winograd.cu``, ``gemm.cu``).

What is not finite in x or the weight raises a flag on the device, and a kernel that is launched in any case
then computes the result anew, without Winograd; where the flag is down its blocks end at once. So NaN and
infinity arrive where the definition puts them, and the host need not wait for the device to know.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda import conv2d_implicit, gemm
from minidl.kernels.cuda.arrays import THREADS, blocks
from minidl.kernels.cuda.conv2d_geometry import Geometry, flipped
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("conv2d_winograd.cu")
PLACES = 36  # of a tile
OUTPUTS = 4  # of a tile, each way
TILE_THREADS = 128


def fits(s: Geometry) -> bool:
    """Whether this is a 3x3 convolution with stride and dilation 1, which the implicit product can repeat."""
    plain = s.kernel == (3, 3) and s.stride == (1, 1) and s.dilation == (1, 1)
    return plain and conv2d_implicit.fits(s)


def forward(
    x: Any, weight: Any, bias: Any, s: Geometry, relu: bool = False, version: str | None = None
) -> Any:
    """y; ``version`` is that of the product."""
    xp, (n, c, h, w), k = namespace(x), s.x_shape, s.weight_shape[0]
    down, across = -(-s.out[0] // OUTPUTS), -(-s.out[1] // OUTPUTS)
    tiles, flag = n * down * across, xp.zeros((1,), "int32")

    u = xp.empty((PLACES, s.groups, s.filters, s.channels), x.dtype)
    pairs = k * s.channels
    MODULE.launch("winograd_filters_v1", blocks(pairs), THREADS, weight, u, flag, pairs, like=x)
    v = xp.empty((PLACES, s.groups, s.channels, tiles), x.dtype)
    sizes = (c * tiles, tiles, c, h, w, down, across, *s.padding)
    grid = blocks(c * tiles, TILE_THREADS)
    MODULE.launch("winograd_tiles_v1", grid, TILE_THREADS, x, v, flag, *sizes, like=x)
    size = (s.filters, tiles, s.channels)
    m = gemm.multiply(gemm.matrices(u), gemm.matrices(v), size, PLACES, s.groups, version=version)
    y = xp.empty(s.y_shape, x.dtype)
    outputs = (k * tiles, tiles, k, *s.out, down, across, int(relu))
    grid = blocks(k * tiles, TILE_THREADS)
    MODULE.launch("winograd_outputs_v1", grid, TILE_THREADS, m, bias, y, *outputs, like=x)
    return conv2d_implicit.forward(x, weight, bias, s, relu, only_if=flag, y=y)


def backward_data(g: Any, weight: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of x: the forward with flipped filters."""
    return forward(g, flipped(weight, s.groups), None, s.adjoint(), version=version)
