"""Windows as columns and back, on a device: see ``unfold.cu`` for the kernels."""

from __future__ import annotations

from math import prod
from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("unfold.cu")
VERSIONS = ("v1", "v2")
WARP = 32

Pair = tuple[int, int]


def choose(direction: str, out: Pair) -> str:
    """The version: rows by warps unless the rows are short; backward always by gathering.

    >>> choose("forward", (64, 64)), choose("forward", (7, 7)), choose("backward", (7, 7))
    ('v2', 'v1', 'v2')
    """
    return "v2" if direction == "backward" or out[1] >= 16 else "v1"


@on_device
def forward(
    x: Any,
    kernel: Pair,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    version: str | None = None,
) -> Any:
    """(N, C, H, W) to (N, C*kh*kw, OH*OW): every column is one window."""
    n, c, h, w = x.shape
    xp = namespace(x)
    col = xp.empty((n, c * prod(kernel), prod(out)), x.dtype)
    version = pick(version, choose("forward", out), VERSIONS)
    if col.size:
        work = col.size if version == "v1" else col.size // out[1] * WARP
        geometry = (h, w, *kernel, *out, *stride, *padding, *dilation)
        arguments = (x, col, col.size, *geometry)
        MODULE.launch(f"im2col_{version}", blocks(work), THREADS, *arguments, like=x)
    return col


@on_device
def backward(
    col: Any,
    x_shape: tuple[int, ...],
    kernel: Pair,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    version: str | None = None,
) -> Any:
    """(N, C*kh*kw, OH*OW) to (N, C, H, W): every pixel is the sum over the windows that hold it.

    Version ``"v1"`` adds with atomics, in an order that changes from run to run; ``"v2"`` gathers.
    """
    xp = namespace(col)
    version = pick(version, choose("backward", out), VERSIONS)
    x = (xp.zeros if version == "v1" else xp.empty)(x_shape, col.dtype)
    count = col.size if version == "v1" else x.size
    if count:
        geometry = (*x_shape[2:], *kernel, *out, *stride, *padding, *dilation)
        arguments = (col, x, count, *geometry)
        MODULE.launch(f"col2im_{version}", blocks(count), THREADS, *arguments, like=col)
    return x
