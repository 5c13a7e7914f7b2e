"""Convolution by columns and products, on a device (``unfold.cu``, ``gemm.cu``).

    forward          Y   = W col
    backward_data    dX  = col2im(Wᵀ G)
    backward_weight  dW  = sum over images of G colᵀ

The columns are kh·kw times the picture. Batches are worked through in parts whose columns fit into
:data:`COLUMN_BYTES` (or one image).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from minidl.kernels.cuda import gemm, unfold
from minidl.kernels.cuda.conv2d_geometry import Geometry
from minidl.kernels.cuda.device import namespace

#: Bound of the columns that exist at any time.
COLUMN_BYTES = 256 * 2**20

#: The images of a part are summed in so many shares at most, in the gradient of the weight.
SHARES = 16


def parts(s: Geometry, itemsize: int) -> Iterator[slice]:
    """Ranges of images."""
    n = s.x_shape[0]
    each = max(1, COLUMN_BYTES // (s.taps * s.groups * prod(s.out) * itemsize))
    for first in range(0, n, each):
        yield slice(first, min(first + each, n))


def _columns(x: Any, s: Geometry) -> Any:
    """(images, groups, taps, pixels)."""
    if s.kernel == (1, 1) and s.stride == (1, 1) and s.padding == (0, 0):
        return x.reshape(len(x), s.groups, s.channels, -1)  # the picture is its columns
    col = unfold.forward(x, s.kernel, s.out, s.stride, s.padding, s.dilation)
    return col.reshape(len(x), s.groups, s.taps, -1)


def forward(
    x: Any, weight: Any, bias: Any, s: Geometry, relu: bool = False, version: str | None = None
) -> Any:
    """y = W col + bias; ``version`` is that of the product."""
    xp, filters = namespace(x), weight.reshape(s.groups, s.filters, s.taps)
    y = xp.empty(s.y_shape, x.dtype)
    size = (s.filters, prod(s.out), s.taps)
    for part in parts(s, x.itemsize):
        col = _columns(x[part], s)
        product = gemm.multiply(
            gemm.matrices(filters), gemm.matrices(col), size, len(col), s.groups, bias=bias, version=version
        )
        y[part] = product.reshape(y[part].shape)
    return xp.maximum(y, y.dtype.type(0)) if relu else y


def backward_data(
    g: Any, weight: Any, s: Geometry, version: str | None = None, scatter: str | None = None
) -> Any:
    """The cotangent of x; ``scatter`` is the version of col2im."""
    dx = namespace(g).empty(s.x_shape, g.dtype)
    filters = gemm.matrices(weight.reshape(s.groups, s.filters, s.taps)).mT
    size = (s.taps, prod(s.out), s.filters)
    for part in parts(s, g.itemsize):
        of_part = g[part].reshape(-1, s.groups, s.filters, prod(s.out))
        col = gemm.multiply(
            filters, gemm.matrices(of_part), size, len(of_part), s.groups, version=version
        ).reshape(len(of_part), -1, prod(s.out))
        geometry = (s.kernel, s.out, s.stride, s.padding, s.dilation)
        dx[part] = unfold.backward(col, (len(of_part), *s.x_shape[1:]), *geometry, version=scatter)
    return dx


def backward_weight(g: Any, x: Any, s: Geometry, version: str | None = None) -> Any:
    """The cotangent of the weight: sums over shares of the images, then over the shares, in a fixed order."""
    total = namespace(g).zeros((s.groups, s.filters, s.taps), g.dtype)
    size = (s.filters, s.taps, prod(s.out))
    for part in parts(s, g.itemsize):
        col = gemm.matrices(_columns(x[part], s)).mT
        of_part = g[part].reshape(-1, s.groups, s.filters, prod(s.out))
        images = len(of_part)
        share = -(-images // SHARES)
        total += gemm.multiply(
            gemm.matrices(of_part), col, size, images, s.groups, share, version=version
        ).sum(axis=0)
    return total.reshape(s.weight_shape)
