"""Dropout with random numbers computed where they are needed (backend ``"numba"``).

Philox's n-th number is a function of key and n alone, so each thread computes those of its own piece; NumPy
draws one after the other. Numbers belong to elements in row-major order, while activations lie channels-last:
the decisions, a byte each, are written in row-major order first and picked up pixel by pixel, when one pass
writes mask and product. The same bits as the reference's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from minidl.kernels import memory
from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.pointwise import PIECE, binary, pieces, run, supported
from minidl.kernels.layout import is_channels_last, to_c_order
from minidl.kernels.reference import dropout as reference
from minidl.kernels.threads import deal

Array = np.ndarray[Any, Any]

#: Pixels whose decisions are picked up together: a line of the cache for each channel.
_PIXELS = 64


def forward(
    x: Array, shape: tuple[int, ...], threshold: int, scale: float, key: tuple[int, int], first: int
) -> tuple[Array, Array]:
    """m x and m, where m has the given shape, which broadcasts to that of x."""
    count = math.prod(shape)
    if count < PIECE or shape != x.shape or not supported(x) or first + count >= 2**62:
        return reference.forward(x, shape, threshold, scale, key, first)
    kept = memory.empty((count,), np.uint8)
    deal(_decide, pieces(count), kept, np.array(key, np.uint64), first, threshold)
    if is_channels_last(x) and x.flags.behaved:
        n, c, h, w = shape
        inner, rows = c, h * w
        y, mask = memory.empty_channels_last(shape, x.dtype), memory.empty_channels_last(shape, x.dtype)
        flat = [a.transpose(0, 2, 3, 1).reshape(-1) for a in (x, y, mask)]
    else:
        n, inner, rows = 1, 1, count
        y, mask = memory.empty(shape, x.dtype), memory.empty(shape, x.dtype)
        source = to_c_order(x)
        flat = [a.reshape(-1) for a in (source if source.flags.behaved else source.copy(), y, mask)]
    blocks = -(-rows // _PIXELS)
    deal(_apply, n * blocks, *flat, kept, float(scale), rows, inner, blocks)
    return y, mask


@register_jitable
def _product(x, y, a, b):  # type: ignore[no-untyped-def]
    return x * y


_multiply = binary(_product)


def backward(g: Array, mask: Array) -> Array:
    """m g."""
    if mask.size < PIECE or g.shape != mask.shape or not supported(g, mask):
        return reference.backward(g, mask)
    return run(_multiply, (g, mask), 0.0, 0.0)


# --- compiled -----------------------------------------------------------------------------------------------


@intrinsic
def _high(typingctx: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a 128-bit product."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(arg, wide) for arg in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@compiled
def _block(number: Any, k0: Any, k1: Any) -> Any:
    """The four words of a block of Philox 4x64-10."""
    c0, c1, c2, c3 = np.uint64(number), np.uint64(0), np.uint64(0), np.uint64(0)
    m0, m1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    for _ in range(10):
        c0, c1, c2, c3 = _high(m1, c2) ^ c1 ^ k0, m1 * c2, _high(m0, c0) ^ c3 ^ k1, m0 * c0
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    return c0, c1, c2, c3


@compiled
def _decide(begin: int, end: int, worker: int, kept: Array, key: Array, first: int, threshold: int) -> None:
    """kept[i] = 1 where the i-th number is at least the threshold; ranges are of pieces of kept."""
    start, stop = begin * PIECE, min(end * PIECE, kept.size)
    limit, low, half = np.uint64(threshold), np.uint64(0xFFFFFFFF), np.uint64(32)
    for block in range((first + start // 2) // 4, (first + (stop + 1) // 2 + 3) // 4):
        place = (4 * block - first) * 2
        for word in _block(block + 1, key[0], key[1]):
            if start <= place < stop:
                kept[place] = (word & low) >= limit
            if start <= place + 1 < stop:
                kept[place + 1] = (word >> half) >= limit
            place += 2


@compiled
def _apply(
    begin: int, end: int, worker: int, x: Array, y: Array, mask: Array, kept: Array, scale: float,
    rows: int, inner: int, blocks: int,
) -> None:  # fmt: skip
    """Mask and product in memory (images, rows, inner); decisions lie (images, inner, rows)."""
    one = x.dtype.type(scale)
    zero = x.dtype.type(0)
    for piece in range(begin, end):
        image, row = piece // blocks, piece % blocks * _PIXELS
        for r in range(row, min(row + _PIXELS, rows)):
            at = (image * rows + r) * inner
            for c in range(inner):
                m = one if kept[(image * inner + c) * rows + r] else zero
                mask[at + c] = m
                y[at + c] = x[at + c] * m
