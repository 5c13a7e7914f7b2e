"""Max pooling on a device (backend ``"cuda"``); the kernels are in ``max_pool2d.cu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.cuda.arrays import REALS, THREADS, TILE, aligned, blocks, image_grid, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

Pair = tuple[int, int]

MODULE = Module("max_pool2d.cu")
FORWARD = ("v1", "v2", "v2_wide", "v3")
BACKWARD = ("v1", "v2", "v2_wide", "v3")


def choose(
    size: Pair, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, itemsize: int
) -> str:
    """The version of the forward for images of ``size``.

    >>> choose((64, 64), (2, 2), (32, 32), (2, 2), (0, 0), (1, 1), itemsize=4)
    'v3'
    >>> choose((65, 65), (2, 2), (32, 32), (2, 2), (0, 0), (1, 1), itemsize=4)
    'v2'
    >>> choose((65, 65), (17, 17), (49, 49), (1, 1), (0, 0), (1, 1), itemsize=4)
    'v2_wide'
    """
    if kernel[0] * kernel[1] > 256:
        return "v2_wide"
    pairs = kernel == stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
    inside = 2 * out[0] <= size[0] and 2 * out[1] == size[1]
    return "v3" if pairs and inside and size[1] % (16 // itemsize) == 0 else "v2"


def choose_backward(kernel: Pair, stride: Pair, dilation: Pair) -> str:
    """The version of the backward.

    >>> choose_backward((3, 3), (3, 3), (1, 1)), choose_backward((3, 3), (2, 2), (1, 1))
    ('v3', 'v2')
    """
    if kernel[0] * kernel[1] > 256:
        return "v2_wide"
    return "v3" if kernel == stride and dilation == (1, 1) else "v2"


@on_device
def forward(
    x: Any, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, version: str | None = None
) -> tuple[Any, Any]:
    """x (N, C, H, W) to the maxima (N, C, OH, OW) and the winning tap u*kw + v of each window (integers)."""
    if x.dtype not in REALS:
        return _forward_of_integers(x, kernel, out, stride, padding, dilation)
    xp, planes, (h, w) = namespace(x), x.shape[0] * x.shape[1], x.shape[2:]
    chosen = choose((h, w), kernel, out, stride, padding, dilation, x.itemsize)
    if chosen == "v3" and not aligned(x):
        chosen = "v2"
    version = pick(version, chosen, FORWARD)
    best = xp.empty((*x.shape[:2], *out), x.dtype)
    tap = xp.empty(best.shape, xp.int32 if kernel[0] * kernel[1] > 256 else xp.uint8)
    window = (*kernel, *stride, *padding, *dilation)
    if not best.size:
        return best, tap
    name = f"max_pool2d_forward_{version}"
    if version == "v1":
        MODULE.launch(name, blocks(best.size), THREADS, x, best, tap, best.size, h, w, *out, *window, like=x)
    elif version == "v3":
        grid = image_grid(planes, out[0], -(-out[1] // (8 // x.itemsize)))
        MODULE.launch(name, grid, TILE, x, best, tap, planes, h, w, *out, like=x)
    else:
        grid = image_grid(planes, *out)
        MODULE.launch(name, grid, TILE, x, best, tap, planes, h, w, *out, *window, like=x)
    return best, tap


@on_device
def backward(
    g: Any,
    tap: Any,
    x_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    version: str | None = None,
) -> Any:
    """Cotangent g (N, C, OH, OW) to that of x: each value goes to the pixel that won its window."""
    xp, planes, (h, w), out = namespace(g), x_shape[0] * x_shape[1], x_shape[2:], g.shape[2:]
    version = pick(version, choose_backward(kernel, stride, dilation), BACKWARD)
    if not g.size or not math.prod(x_shape):
        return xp.zeros(x_shape, g.dtype)
    window: tuple[int, ...] = (*kernel, *stride, *padding, *dilation)
    name = f"max_pool2d_backward_{version}"
    if version == "v1":
        dx = xp.zeros(x_shape, g.dtype)
        MODULE.launch(name, blocks(g.size), THREADS, g, tap, dx, g.size, h, w, *out, *window, like=g)
        return dx
    dx = xp.empty(x_shape, g.dtype)
    window = (*kernel, *padding) if version == "v3" else window
    MODULE.launch(name, image_grid(planes, h, w), TILE, g, tap, dx, planes, h, w, *out, *window, like=g)
    return dx


def _forward_of_integers(
    x: Any, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Any, Any]:
    """Images of integers, which no network has: tap by tap, by CuPy's own element-wise kernels."""
    xp, (n, c, h, w) = namespace(x), x.shape
    ends = [
        max(p + size, (o - 1) * s + (k - 1) * d + 1)
        for size, k, o, s, p, d in zip((h, w), kernel, out, stride, padding, dilation, strict=True)
    ]
    lowest = x.dtype.type(np.iinfo(x.dtype).min if x.dtype.kind in "iu" else False)
    padded = xp.full((n, c, *ends), lowest, x.dtype)
    covered = xp.zeros(ends, bool)  # where the image is: what lies around it never wins
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = x
    covered[padding[0] : padding[0] + h, padding[1] : padding[1] + w] = True
    best = xp.full((n, c, *out), lowest, x.dtype)
    tap = xp.full(best.shape, -1, xp.int32)
    for number in range(kernel[0] * kernel[1]):
        u, v = divmod(number, kernel[1])
        rows, columns = (
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip((u, v), dilation, out, stride, strict=True)
        )
        value = padded[:, :, rows, columns]
        wins = covered[rows, columns] & ((tap < 0) | (value > best))
        best = xp.where(wins, value, best)
        tap = xp.where(wins, xp.int32(number), tap)
    return best, tap.astype(xp.uint8) if kernel[0] * kernel[1] <= 256 else tap
