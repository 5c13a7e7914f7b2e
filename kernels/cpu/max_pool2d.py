"""Max pooling, channels in vectors (backend ``"numba"``).

What is different from ``kernels/reference/max_pool2d.py``, and why it is faster:

* The reference makes one pass over the *whole* batch for each tap of the window, with temporary arrays as
  large as the output: for 2x2 windows some 20 trips to main memory. Here each pixel is read once, each
  maximum and each tap (one byte) is written once.
* Activations lie channels-last, so a vector holds neighbouring channels of one pixel, and all its lanes
  have the same window: the taps of a window are compared vector by vector, and both the larger value and
  its tap's number are *selected*. (A branch on which of two pixels is larger is mispredicted every other
  time.)
* No padded copy of the image: each output row and column has its own range of taps that lie inside.
* The backward asks for each pixel which windows hold it (at most one, where windows do not overlap) and
  adds the cotangents of those that it won. So each pixel of dx is written exactly once, with nothing filled
  with zeros before, and rows can be dealt out to the threads even where windows overlap.

The results are the reference's to the bit. Forward: the first of equal values in row-major order wins, and
a NaN wins over everything (the last of several). Backward: a pixel's values are summed in the reference's
order, tap by tap.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba.extending import intrinsic

from minidl.kernels import memory, threads
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pixels import DTYPES, flat, load_integers, store_integers, transposed
from minidl.kernels.cpu.streams import is_far, put
from minidl.kernels.cpu.vectors import lanes, load, splat, store, where_equal
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import max_pool2d as reference

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@channels_last
def forward(
    x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Array, Array]:
    """x (N, C, H, W) to the maxima (N, C, OH, OW) and the winning tap u*kw + v of each window, as integers.

    Every window holds a pixel. All three lie channels-last in memory.
    """
    if x.dtype not in DTYPES:
        return reference.forward(x, kernel, out, stride, padding, dilation)
    n, c, h, w = x.shape
    best = memory.empty_channels_last((n, c, *out), x.dtype)
    tap = memory.empty_channels_last(best.shape, np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)
    ranges = [_inside(*axis) for axis in zip((h, w), kernel, out, stride, padding, dilation, strict=True)]
    threads.deal(
        _forward, n * out[0], flat(x), flat(best), flat(tap), *ranges, h, w, c, *out,
        *stride, *padding, *dilation, kernel[1],
    )  # fmt: skip
    return best, tap


@channels_last
def backward(
    g: Array, tap: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x: each value goes to the pixel that won its window."""
    if g.dtype not in DTYPES:
        return reference.backward(g, tap, x_shape, kernel, stride, padding, dilation)
    (n, c, h, w), out = x_shape, (g.shape[2], g.shape[3])
    dx = memory.empty_channels_last((n, c, h, w), g.dtype)
    inside = out[0] * kernel[0] <= h and out[1] * kernel[1] <= w  # none hangs over the end
    if stride == kernel and padding == (0, 0) and dilation == (1, 1) and inside and g.size:
        far = is_far(flat(dx), c)
        threads.deal(_backward_tiles, n * out[0], flat(g), flat(tap), flat(dx), h, w, c, *out, *kernel, far)
        return dx
    windows = [
        array
        for axis in zip((h, w), kernel, out, stride, padding, dilation, strict=True)
        for array in _windows_of_pixels(*axis)
    ]
    far = is_far(flat(dx), c)
    threads.deal(_backward, n * h, flat(g), flat(tap), flat(dx), *windows, h, w, c, *out, kernel[1], far)
    return dx


@functools.lru_cache(maxsize=256)
def _inside(size: int, kernel: int, out: int, stride: int, padding: int, dilation: int) -> Array:
    """The taps [first, last) of each window that lie on pixels, (OH, 2) flat."""
    start = np.arange(out) * stride - padding
    first = -(np.minimum(0, start) // dilation)
    last = np.minimum(kernel, -((start - size) // dilation))
    return np.stack([first, last], axis=1).reshape(-1)


@functools.lru_cache(maxsize=256)
def _windows_of_pixels(
    size: int, kernel: int, out: int, stride: int, padding: int, dilation: int
) -> tuple[Array, Array, Array]:
    """For each pixel the windows that hold it: where its lists begin, and lists of windows and taps."""
    tap, window = (a.reshape(-1) for a in np.mgrid[:kernel, :out])
    pixel = window * stride - padding + tap * dilation
    inside = (pixel >= 0) & (pixel < size)
    start, order = transposed(pixel[inside], size)
    return start, window[inside][order], tap[inside][order]


def _wins(builder: Any, value: Any, best: Any) -> Any:
    """Lanes in which ``value`` is larger than ``best``, or NaN."""
    larger = builder.fcmp_ordered(">", value, best)
    return builder.or_(larger, builder.fcmp_unordered("uno", value, value))


@intrinsic
def _larger(typingctx: Any, value: Any, best: Any) -> Any:
    """``value`` where it wins, else ``best``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(_wins(builder, *args), *args)

    return value(value, value), codegen


@intrinsic
def _number_of_larger(typingctx: Any, value: Any, best: Any, number: Any, tap: Any) -> Any:
    """``number`` where ``value`` wins, else that of ``tap``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(_wins(builder, *args[:2]), *args[2:])

    return value(value, value, value, value), codegen


@compiled
def _forward(
    begin: int, end: int, worker: int, x: Array, best: Array, tap: Array, vertical: Array, horizontal: Array,
    h: int, w: int, c: int, oh: int, ow: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int, kw: int,
) -> None:  # fmt: skip
    """Output rows begin ... end-1 of all images."""
    for row in range(begin, end):
        image, i = row // oh, row % oh
        u_first, u_last = vertical[2 * i], vertical[2 * i + 1]
        corner = (image * h + i * sh - ph) * w - pw
        for j in range(ow):
            v_first, v_last = horizontal[2 * j], horizontal[2 * j + 1]
            for k in range(0, c, lanes(x)):
                source = (corner + j * sw) * c + k
                # The window's first pixel inside the image wins where nothing is larger.
                largest = load(x, source + (u_first * dh * w + v_first * dw) * c, c - k)
                number = splat(x, u_first * kw + v_first)
                if u_last - u_first == 2 and v_last - v_first == 2:  # most windows of most networks
                    right, below, first = dw * c, dh * w * c, u_first * kw + v_first
                    at = source + u_first * below + v_first * right
                    second = load(x, at + right, c - k)
                    third, fourth = load(x, at + below, c - k), load(x, at + below + right, c - k)
                    number = _number_of_larger(second, largest, splat(x, first + 1), number)
                    largest = _larger(second, largest)
                    number = _number_of_larger(third, largest, splat(x, first + kw), number)
                    largest = _larger(third, largest)
                    number = _number_of_larger(fourth, largest, splat(x, first + kw + 1), number)
                    largest = _larger(fourth, largest)
                else:
                    for u in range(u_first, u_last):
                        for v in range(v_first, v_last):
                            value = load(x, source + (u * dh * w + v * dw) * c, c - k)
                            number = _number_of_larger(value, largest, splat(x, u * kw + v), number)
                            largest = _larger(value, largest)
                target = (row * ow + j) * c + k
                store(best, target, largest, c - k)
                store_integers(tap, target, number, c - k)


@compiled
def _backward(
    begin: int, end: int, worker: int, g: Array, tap: Array, dx: Array,
    v_start: Array, v_window: Array, v_tap: Array, h_start: Array, h_window: Array, h_tap: Array,
    h: int, w: int, c: int, oh: int, ow: int, kw: int, far: bool,
) -> None:  # fmt: skip
    """Rows begin ... end-1 of all images of dx."""
    for row in range(begin, end):
        image, y = row // h, row % h
        for x in range(w):
            for k in range(0, c, lanes(g)):
                total = splat(g, 0)
                for a in range(v_start[y], v_start[y + 1]):
                    above, first = (image * oh + v_window[a]) * ow, v_tap[a] * kw
                    for b in range(h_start[x], h_start[x + 1]):
                        at = (above + h_window[b]) * c + k
                        number = load_integers(g, tap, at, c - k)
                        own = splat(g, first + h_tap[b])
                        total = total + where_equal(number, own, load(g, at, c - k), splat(g, 0))
                put(dx, (row * w + x) * c + k, total, c - k, far)


@compiled
def _backward_tiles(
    begin: int, end: int, worker: int, g: Array, tap: Array, dx: Array,
    h: int, w: int, c: int, oh: int, ow: int, kh: int, kw: int, far: bool,
) -> None:  # fmt: skip
    """Windows that lie side by side: each fills its own tile of dx, the last ones what is left over."""
    zero = splat(g, 0)
    for row in range(begin, end):
        image, i = row // oh, row % oh
        top = image * h + i * kh
        for j in range(ow):
            for k in range(0, c, lanes(g)):
                at = (row * ow + j) * c + k
                number, value = load_integers(g, tap, at, c - k), load(g, at, c - k)
                for u in range(kh):
                    for v in range(kw):
                        own = where_equal(number, splat(g, u * kw + v), value, zero)
                        # 0 + own: a cotangent of -0 gives 0, as in the reference, which adds to zeros
                        put(dx, (((top + u) * w) + j * kw + v) * c + k, zero + own, c - k, far)
        for u in range(kh):  # columns that no window reaches
            for k in range(((top + u) * w + ow * kw) * c, (top + u + 1) * w * c, lanes(g)):
                store(dx, k, zero, (top + u + 1) * w * c - k)
        if i == oh - 1:  # rows that no window reaches
            last = (image + 1) * h * w * c
            for k in range((top + kh) * w * c, last, lanes(g)):
                store(dx, k, zero, last - k)
