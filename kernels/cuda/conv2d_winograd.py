"""3x3 convolution by Winograd's F(4x4, 3x3), on a device (``conv2d_winograd.cu``, ``gemm.cu``).

What is not finite in x, the weight or the cotangents raises a flag on the device, and a kernel that is
launched in any case then computes the result anew, without Winograd; where the flag is down its blocks end at
once. So NaN and infinity arrive where the definition puts them, and the host need not wait for the device to
know.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda import conv2d_direct, conv2d_implicit, gemm
from minidl.kernels.cuda.arrays import THREADS, blocks
from minidl.kernels.cuda.conv2d_geometry import Geometry
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
    y, flag = _convolve(x, weight, bias, s, relu, version)
    return conv2d_direct.forward(x, weight, bias, s, relu, only_if=flag, y=y)


def backward_data(g: Any, weight: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of x: the forward with flipped filters."""
    turned, _ = conv2d_implicit.flipped(weight, s)
    dx, flag = _convolve(g, turned, None, s.adjoint(), False, version)
    return conv2d_direct.backward_data(g, weight, s, only_if=flag, dx=dx)


def backward_weight(g: Any, x: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of the weight, summed over the tiles by the product."""
    xp, flag, (tiles, down, across) = namespace(g), namespace(g).zeros((1,), "int32"), _tiles(s)
    v = _transformed(x, s, flag)
    t = xp.empty((PLACES, s.groups, s.filters, tiles), g.dtype)
    count = s.weight_shape[0] * tiles
    sizes = (count, tiles, s.weight_shape[0], *s.out, down, across)
    grid = blocks(count, TILE_THREADS)
    MODULE.launch("winograd_cotangents_v1", grid, TILE_THREADS, g, t, flag, *sizes, like=g)
    size = (s.filters, s.channels, tiles)
    m = gemm.multiply(gemm.matrices(t), gemm.matrices(v).mT, size, PLACES, s.groups, version=version)
    dw = xp.empty(s.weight_shape, g.dtype)
    pairs = s.weight_shape[0] * s.channels
    MODULE.launch("winograd_weights_v1", blocks(pairs), THREADS, m, dw, pairs, like=g)
    return conv2d_implicit.backward_weight(g, x, s, only_if=flag, dw=dw)


def _tiles(s: Geometry) -> tuple[int, int, int]:
    """Tiles of all images, down and across one of them."""
    down, across = -(-s.out[0] // OUTPUTS), -(-s.out[1] // OUTPUTS)
    return s.x_shape[0] * down * across, down, across


def _transformed(x: Any, s: Geometry, flag: Any) -> Any:
    """Bᵀ X B of all tiles, (places, groups, channels, tiles); the flag is raised by what is not finite."""
    (tiles, down, across), (_, c, h, w) = _tiles(s), s.x_shape
    v = namespace(x).empty((PLACES, s.groups, s.channels, tiles), x.dtype)
    sizes = (c * tiles, tiles, c, h, w, down, across, *s.padding)
    grid = blocks(c * tiles, TILE_THREADS)
    MODULE.launch("winograd_tiles_v1", grid, TILE_THREADS, x, v, flag, *sizes, like=x)
    return v


def _convolve(
    x: Any, weight: Any, bias: Any, s: Geometry, relu: bool, version: str | None
) -> tuple[Any, Any]:
    """y, right where all is finite, and the flag that says whether something is not."""
    xp, k, (tiles, down, across) = namespace(x), s.weight_shape[0], _tiles(s)
    flag = xp.zeros((1,), "int32")
    u = xp.empty((PLACES, s.groups, s.filters, s.channels), x.dtype)
    pairs = k * s.channels
    MODULE.launch("winograd_filters_v1", blocks(pairs), THREADS, weight, u, flag, pairs, like=x)
    v = _transformed(x, s, flag)
    size = (s.filters, tiles, s.channels)
    m = gemm.multiply(gemm.matrices(u), gemm.matrices(v), size, PLACES, s.groups, version=version)
    y = xp.empty(s.y_shape, x.dtype)
    outputs = (k * tiles, tiles, k, *s.out, down, across, int(relu))
    grid = blocks(k * tiles, TILE_THREADS)
    MODULE.launch("winograd_outputs_v1", grid, TILE_THREADS, m, bias, y, *outputs, like=x)
    return y, flag
