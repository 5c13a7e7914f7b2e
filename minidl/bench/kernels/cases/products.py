"""Products: convolutions by every algorithm, fused ones, and matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.bench.kernels.case import Call, Case, Draw, Version, only
from minidl.bench.profile import WINOGRAD

Pair = tuple[int, int]

#: Variant, title, channels, filters, extent, kernel size, stride, groups.
CONVOLUTIONS = (
    ("wide", "3x3 convolution 32 → 32 at 128x128", 32, 32, 128, 3, 1, 1),
    ("deep", "3x3 convolution 128 → 128 at 32x32", 128, 128, 32, 3, 1, 1),
    ("strided", "3x3, stride 2, 32 → 64 at 128x128", 32, 64, 128, 3, 2, 1),
    ("pointwise", "1x1 convolution 32 → 2 at 128x128", 32, 2, 128, 1, 1, 1),
    ("depthwise", "3x3, depthwise, 64 at 64x64", 64, 64, 64, 3, 1, 64),
)
#: What an implicit gradient of x launches besides the product.
FLIPPED, ANEW = "conv2d_flipped", "conv2d_backward_data_v1"
DIRECTIONS = {"forward": "forward", "backward_data": "gradient of x", "backward_weight": "gradient of w"}


class _Shape:
    """A convolution's arrays and geometry."""

    def __init__(
        self, draw: Draw, channels: int, filters: int, extent: int, kernel: int, stride: int, groups: int
    ) -> None:
        self.draw, size = draw, draw.side(extent)
        channels, filters, groups = (draw.channels(count) for count in (channels, filters, groups))
        self.x_shape = (draw.batch(), channels, size, size)
        self.weight_shape = (filters, channels // groups, kernel, kernel)
        out = (size + 2 * (kernel // 2) - kernel) // stride + 1
        self.out, self.y_shape = (out, out), (draw.batch(), filters, out, out)
        self.options: dict[str, Any] = {
            "stride": (stride, stride),
            "padding": (kernel // 2,) * 2,
            "dilation": (1, 1),
            "groups": groups,
        }

    def call(self, direction: str) -> Call:
        x, g = (self.draw.normal(*shape) for shape in (self.x_shape, self.y_shape))
        weight = self.draw.weight(*self.weight_shape)
        if direction == "forward":
            return Call((x, weight, self.draw.normal(weight.shape[0]), self.out), self.options)
        if direction == "backward_data":
            return Call((g, weight, self.x_shape), self.options)
        return Call((g, x, self.weight_shape), self.options)


def geometry(direction: str, call: Call) -> Any:
    """The shapes of a convolution's call, as the device's host code has them.

    Args:
        direction: "forward", "backward_data" or "backward_weight".
        call: of that function.
    """
    from minidl.kernels.cuda.conv2d_geometry import Geometry

    first, second, third = call.args[:3]
    if direction == "forward":
        x_shape, weight_shape, out = first.shape, second.shape, call.args[3]
    elif direction == "backward_data":
        x_shape, weight_shape, out = third, second.shape, first.shape[2:]
    else:
        x_shape, weight_shape, out = second.shape, third, first.shape[2:]
    return Geometry(tuple(x_shape), tuple(weight_shape), tuple(out), **call.options)


def _through(direction: str, algorithm: str, version: str) -> Callable[..., Any]:
    """An algorithm of the device in a version; ``kernels/cuda/conv2d.py`` lets one choose the first only."""

    def run(*args: Any, **options: Any) -> Any:
        from minidl.kernels.cuda import conv2d

        arrays = args[:3] if direction == "forward" else args[:2]
        s = geometry(direction, Call(args, options))
        return getattr(conv2d.ALGORITHMS[algorithm], direction)(*arrays, s, version=version)

    return run


def _launches(direction: str, algorithm: str) -> Callable[[Call], tuple[str, ...]]:
    """What an algorithm of the device launches."""

    def launches(call: Call) -> tuple[str, ...]:
        from minidl.kernels.cuda.conv2d_plan import plan

        return plan(direction, geometry(direction, call), algorithm).kernels

    return launches


def _algorithms(direction: str, variant: str) -> tuple[Version, ...]:
    """All that can compute it on a device."""

    def algorithm(name: str, products: float = 1.0) -> Version:
        return Version(name, _launches(direction, name), options={"algorithm": name}, products=products)

    def numbered(name: str, stem: str, names: tuple[str, ...], *also: str) -> tuple[Version, ...]:
        return tuple(
            Version(f"{name} {v}", (*also, f"{stem}_{v}"), _through(direction, name, v), {}) for v in names
        )

    if variant == "depthwise":
        return algorithm("depthwise"), algorithm("direct")
    direct: tuple[Version, ...] = (algorithm("direct"),)
    implicit: tuple[Version, ...] = (algorithm("implicit"),)
    if direction == "forward":
        direct = numbered("direct", "conv2d_forward", ("v1", "v2"))
    if direction != "backward_weight":
        also = ("conv2d_taps",) if direction == "forward" else ("conv2d_taps", FLIPPED, ANEW)
        implicit = numbered("implicit", "conv2d_implicit", ("v1", "v2"), *also)
    fast = (algorithm("winograd", WINOGRAD),) if variant in ("wide", "deep") else ()
    return (*direct, algorithm("im2col"), *implicit, *fast)


def convolutions() -> Iterator[Case]:
    """Each shape, forward and both gradients; and the gradient of the bias."""
    for variant, title, *numbers in CONVOLUTIONS:
        for direction, what in DIRECTIONS.items():

            def make(draw: Draw, numbers: Any = numbers, direction: str = direction) -> Call:
                return _Shape(draw, *numbers).call(direction)

            several = _algorithms(direction, variant)
            yield Case("conv2d", direction, make, several, variant, f"{title}, {what}")

    def bias(draw: Draw) -> Call:
        return Call((draw.signs(draw.batch(), 32, draw.side(128), draw.side(128)),))

    kernel = only("conv2d_backward_bias_v1")
    yield Case("conv2d", "backward_bias", bias, kernel, title="convolution, gradient of the bias", terms=0)


def fused() -> Iterator[Case]:
    """What stands on each level of the documents' U-Net: [skip, doubled] → convolution → bias → ReLU."""
    op = "fused_conv2d"
    one: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}

    def given(draw: Draw) -> tuple[Any, ...]:
        size = draw.side(128)
        c, c1 = draw.channels(32), draw.channels(64)
        second = draw.normal(draw.batch(), c1, size // 2, size // 2)
        return draw.image(c, 128), second, draw.weight(c, c + c1, 3, 3), draw.normal(c), (size, size)

    def forward(draw: Draw) -> Call:
        x, second, weight, bias, out = given(draw)
        return Call((x, second, weight, bias, out, True, True), one)

    def backward(draw: Draw) -> Call:
        from minidl.kernels.reference import fused_conv2d as reference

        x, second, weight, bias, out = given(draw)
        y = reference.forward(x, second, weight, bias, out, True, True, **one)
        return Call((draw.normal(*y.shape), y, x, second, weight, (True, True), True, True), one)

    title = "joined with a doubled half, 3x3 convolution 96 → 32, ReLU"
    for function, make in (("forward", forward), ("backward", backward)):
        several = tuple(Version(name, _fused(function, name), options={"algorithm": name}) for name in FUSED)
        yield Case(op, function, make, several, title=f"{title}, {function}")


#: Algorithms of a fused convolution.
FUSED = ("direct", "im2col", "implicit", "winograd")


def _fused(function: str, algorithm: str) -> Callable[[Call], tuple[str, ...]]:
    """What a fused convolution launches: its convolutions, on the joined input."""

    def launches(call: Call) -> tuple[str, ...]:
        wide = call.args[4].shape if function == "backward" else call.args[2].shape
        x = call.args[2] if function == "backward" else call.args[0]
        whole = np.broadcast_to(np.float32(0), (x.shape[0], wide[1], *x.shape[2:]))
        weight = np.broadcast_to(np.float32(0), wide)
        parts = {"forward": Call((whole, weight, None, call.args[4]), call.options)}
        if function == "backward":
            g = call.args[0]
            parts = {
                "backward_data": Call((g, weight, whole.shape), call.options),
                "backward_weight": Call((g, whole, wide), call.options),
            }
        found: list[str] = []
        for direction, part in parts.items():
            by_name = {v.name.partition(" ")[0]: v for v in _algorithms(direction, "wide")}
            found += by_name[algorithm].launches(part)
        bias = ("conv2d_backward_bias_v1",) if function == "backward" else ()
        return tuple(dict.fromkeys((*found, *bias)))

    return launches


def _multiply(a: Any, b: Any, version: str | None = None) -> Any:
    """The device's product of two matrices, as convolutions call it."""
    from minidl.kernels.cuda import gemm

    left, right = (gemm.matrices(array.reshape(1, 1, *array.shape)) for array in (a, b))
    size = (a.shape[0], b.shape[1], a.shape[1])
    return gemm.multiply(left, right, size, 1, 1, version=version).reshape(size[:2])


def matrices() -> Iterator[Case]:
    """The product that convolutions by columns and by Winograd's algorithm wait for."""

    def square(draw: Draw) -> Call:
        n = draw.side(1024)
        return Call((draw.normal(n, n), draw.normal(n, n)))

    def multiplied(a: Any, b: Any) -> Any:
        return a @ b

    several = tuple(
        Version(v, (f"gemm_{v}",), lambda a, b, v=v: _multiply(a, b, v), {})
        for v in ("v1", "v2", "v3", "v4", "v5")
    )
    title, own = "product of two matrices, 1024 x 1024", {"numpy": multiplied}
    yield Case(
        "gemm",
        "multiply",
        square,
        several,
        title=title,
        expected=multiplied,
        host=own,
        device=_multiply,
        terms=1024,
    )
