"""Pooling and resampling: 2x2 windows side by side, 3x3 windows that overlap, pictures twice as large."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minidl.kernels.cuda import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d, max_unpool2d
from minidl.kernels.cuda.workloads.workload import Workload, drawn, on_device

PICTURE = (2, 4, 16, 32)


def max_pool() -> Iterator[Workload]:
    """One comparison for each pixel of a window; backward an addition for each window."""
    (x,) = drawn(PICTURE)
    for kernel, stride, out, versions in (
        ((2, 2), (2, 2), (8, 16), ("v1", "v2", "v3")),
        ((17, 17), (1, 1), (2, 18), ("v2_wide",)),
    ):
        padding = (kernel[0] // 16, kernel[1] // 16)
        window: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": (1, 1)}
        y, tap = max_pool2d.forward(x, out=out, **window)
        taps = kernel[0] * kernel[1]
        for version in versions:
            forward = partial(max_pool2d.forward, x, out=out, **window, version=version)
            yield Workload(forward, y.size, taps)
            backward = partial(max_pool2d.backward, y, tap, x.shape, **window, version=version)
            yield Workload(backward, x.size, y.size / x.size)


def avg_pool() -> Iterator[Workload]:
    """An addition for each pixel of a window, a division for each window; backward the same."""
    (x,) = drawn(PICTURE)
    window: dict[str, Any] = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "divisor": 9}
    for version in avg_pool2d.FORWARD:
        forward = partial(avg_pool2d.forward, x, out=PICTURE[2:], **window, version=version)
        yield Workload(forward, x.size, 10)
    for version in avg_pool2d.BACKWARD:
        yield Workload(partial(avg_pool2d.backward, x, x.shape, **window, version=version), x.size, 10)


def adaptive() -> Iterator[Workload]:
    """One output for each plane: an addition for each pixel, a division."""
    (x,) = drawn(PICTURE)
    h, w = PICTURE[2:]
    windows = (((0, h),), ((0, w),))
    for version in adaptive_avg_pool2d.FORWARD:
        forward = partial(adaptive_avg_pool2d.forward, x, *windows, version=version)
        yield Workload(forward, x.size // (h * w), h * w + 1)
    g = adaptive_avg_pool2d.forward(x, *windows)
    for version in adaptive_avg_pool2d.BACKWARD:
        backward = partial(adaptive_avg_pool2d.backward, g, x.shape, *windows, version=version)
        yield Workload(backward, x.size, 1 + 1 / (h * w))


def resampling() -> Iterator[Workload]:
    """Twice as large: bilinear with two taps on each axis; nearest copies."""
    (x,) = drawn(PICTURE)
    rows, columns = (_linear(size) for size in PICTURE[2:])
    nearest_rows, nearest_columns = (((np.arange(2 * size) // 2, None),) for size in PICTURE[2:])
    outputs = 4 * x.size
    for version in ("v1", "v2"):
        forward = partial(interpolate.forward, x, rows, columns, version=version)
        yield Workload(forward, outputs, 2 * 2 * 2 + 2 * 2)  # multiply-adds: along the columns, then the row
    yield Workload(partial(interpolate.forward, x, nearest_rows, nearest_columns, version="v3"), outputs, 0)
    g = interpolate.forward(x, nearest_rows, nearest_columns)
    for version in interpolate.BACKWARD:
        backward = partial(interpolate.backward, g, x.shape, rows, columns, version=version)
        # A pixel is read by four outputs: two products and four multiply-adds for each.
        yield Workload(backward, x.size, 4 * (2 + 2 * 2 * 2))


def _linear(size: int) -> Any:
    """Two taps for each of 2 * size outputs: index and weight."""
    at = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    return (low, 1 - (at - low)), (low + 1, at - low)


def unpooling() -> Iterator[Workload]:
    """Values are put and read; only `scatter` adds."""
    (x,) = drawn((2, 4, 8, 16))
    size = PICTURE[2:]
    rng = np.random.default_rng(0)  # every pixel is named once at most
    named = [rng.permutation(size[0] * size[1])[: 8 * 16] for _ in range(8)]
    index = on_device(np.stack(named).reshape(x.shape))
    for version in ("v1", "v2"):
        put = partial(max_unpool2d.put, x, index, size, version=version)
        yield Workload(put, 4 * x.size, 0)
    yield Workload(partial(max_unpool2d.stayed, index, size), x.size, 0)
    (y,) = drawn((2, 4, *size))
    yield Workload(partial(max_unpool2d.gather, y, index), x.size, 0)
    yield Workload(partial(max_unpool2d.scatter_add, x, index, size), y.size, x.size / y.size)
