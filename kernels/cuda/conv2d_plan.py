"""Which kernels a convolution launches, said without launching any: the choice, printed.

The choice (``conv2d.choose``, and ``choose`` of the product and of the columns) depends on the shapes alone,
so it can be told on a machine without a GPU: ``minidl plan --device cuda``. That what is said here is what
runs is held by ``tests/bench/test_kernel_cases.py``.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from minidl.kernels.cuda import conv2d, gemm, unfold
from minidl.kernels.cuda.conv2d_geometry import Geometry

#: The gradient of x is a forward with turned filters. The last kernel, as Winograd's forward has one, too,
#: computes anew what is not right because some number is not finite.
FLIPPED, ANEW = "conv2d_flipped", "conv2d_backward_data_v1"
IMPLICIT_WEIGHT = ("conv2d_taps", "conv2d_implicit_backward_weight_v1")


class Plan(NamedTuple):
    """A choice: the algorithm, and the kernels that it launches, in their order."""

    algorithm: str
    kernels: tuple[str, ...]


def plan(direction: str, s: Geometry, algorithm: str | None = None, itemsize: int = 4) -> Plan:
    """What runs for a shape, or for the algorithm that is asked for.

    Args:
        direction: "forward", "backward_data" or "backward_weight".
        itemsize: bytes of a number.

    Raises:
        ValueError: there is no such algorithm, or it cannot do this.

    >>> s = Geometry((8, 64, 96, 96), (128, 64, 3, 3), (96, 96), (1, 1), (1, 1), (1, 1), 1)
    >>> plan("backward_weight", s)
    Plan(algorithm='implicit', kernels=('conv2d_taps', 'conv2d_implicit_backward_weight_v1'))
    """
    name = conv2d.algorithm_for(direction, s, algorithm)
    return Plan(name, _KERNELS[name](direction, s, itemsize))


def _product(m: int, n: int, k: int, itemsize: int) -> str:
    return f"gemm_{gemm.choose(m, n, k, itemsize)}"


def _direct(direction: str, s: Geometry, itemsize: int) -> tuple[str, ...]:
    version = "v2" if direction == "forward" and s.filters > 1 else "v1"
    return (f"conv2d_{direction}_{version}",)


def _im2col(direction: str, s: Geometry, itemsize: int) -> tuple[str, ...]:
    plain = s.kernel == (1, 1) and s.stride == (1, 1) and s.padding == (0, 0)
    columns = () if plain else (f"im2col_{unfold.choose('forward', s.out)}",)
    if direction == "forward":
        return (*columns, _product(s.filters, prod(s.out), s.taps, itemsize))
    if direction == "backward_data":
        product = _product(s.taps, prod(s.out), s.filters, itemsize)
        return (product, f"col2im_{unfold.choose('backward', s.out)}")
    return (*columns, _product(s.filters, s.taps, prod(s.out), itemsize))


def _implicit(direction: str, s: Geometry, itemsize: int) -> tuple[str, ...]:
    if direction == "backward_weight":
        return IMPLICIT_WEIGHT
    forward = ("conv2d_taps", "conv2d_implicit_v2")
    return forward if direction == "forward" else (FLIPPED, *forward, ANEW)


def _winograd(direction: str, s: Geometry, itemsize: int) -> tuple[str, ...]:
    s = s.adjoint() if direction == "backward_data" else s
    tiles = s.x_shape[0] * -(-s.out[0] // 4) * -(-s.out[1] // 4)
    if direction == "backward_weight":
        product = _product(s.filters, s.channels, tiles, itemsize)
        return (
            *("winograd_tiles_v1", "winograd_cotangents_v1", product, "winograd_weights_v1"),
            *IMPLICIT_WEIGHT,
        )
    product = _product(s.filters, tiles, s.channels, itemsize)
    forward = ("winograd_filters_v1", "winograd_tiles_v1", product, "winograd_outputs_v1")
    if direction == "forward":
        return (*forward, *_direct("forward", s, itemsize))
    return (FLIPPED, *forward, ANEW)


def _depthwise(direction: str, s: Geometry, itemsize: int) -> tuple[str, ...]:
    return (f"depthwise_{direction}_v1",)


_KERNELS = {
    "direct": _direct,
    "im2col": _im2col,
    "implicit": _implicit,
    "winograd": _winograd,
    "depthwise": _depthwise,
}
