"""Direct convolution with few outputs: vectors go over the numbers that are summed, not over the outputs.

A tile of ``products.py`` has a vector of outputs for each pixel; with 3 outputs, 13 of 16 lanes multiply for
nothing. So here each output of a pixel is a dot product,

    y[j, k] = bias[k] + Σ_o Σ_s Σ_d  a[j, o, s, d] · b[k, o, s, d],

with vectors along d, which is contiguous in the image: the channels of a tap, or of a whole row of the
filter. Four pixels share each load of b. The lanes are added up at the end, which costs about as much as a
few multiply-adds: :func:`pays` weighs both.

It is the way back through a network's first layer (3 colours), and forward through its last (2 classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.products import alloca_sums, emit_times
from minidl.kernels.cpu.vectors import (
    I64,
    address,
    bits_of,
    constant,
    emit_fma,
    emit_load,
    emit_mask,
    emit_masked_load,
    emit_total,
    lanes,
    lanes_of,
    llvm_vector,
)

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Outputs at most; pixels that share a load of b; what adding up the lanes costs, in multiply-adds.
MOST, PIXELS, TOTAL = 8, 4, 5


def pays(outputs: int, lines: int, depth: int, itemsize: int) -> bool:
    """Whether dot products over ``lines`` segments of ``depth`` numbers cost less than vectors of outputs.

    >>> pays(3, 3, 192, 4), pays(16, 3, 192, 4), pays(3, 1, 3, 4)
    (True, False, False)
    """
    return outputs <= MOST and cost(outputs, lines, depth, itemsize) < lines * depth


def cost(outputs: int, lines: float, depth: int, itemsize: int) -> float:
    """Of the dot products of one pixel, in multiply-adds of vectors."""
    return outputs * (lines * -(-depth // lanes_of(itemsize)) + TOTAL)


def lines_of(kernel: Pair, channels: int, dilation: Pair, groups: int) -> Pair:
    """How many segments of the image lie under a filter, and their numbers: rows where its taps touch.

    >>> lines_of((3, 3), 64, (1, 1), 1), lines_of((3, 3), 64, (2, 2), 1)
    ((3, 192), (9, 64))
    """
    merged = groups == 1 and dilation[1] == 1
    return (kernel[0], kernel[1] * channels) if merged else (kernel[0] * kernel[1], channels)


def pack_few(weights: Array, dilation: Pair, lanes: int) -> Array:
    """Weights (group, output, u, v, input) in lines, each filled up with zeros to whole vectors; flat.

    >>> pack_few(np.ones((1, 2, 1, 1, 3)), (1, 1), 4)
    array([1., 1., 1., 0., 1., 1., 1., 0.])
    """
    groups, outputs, *kernel, inputs = weights.shape
    lines, depth = lines_of((kernel[0], kernel[1]), inputs, dilation, groups)
    packed = np.zeros((groups, outputs, lines, -(-depth // lanes) * lanes), weights.dtype)
    packed[..., :depth] = weights.reshape(groups, outputs, lines, depth)
    return packed.reshape(-1)


def _dot_product(outputs: int) -> Any:
    """A function for compiled kernels: PIXELS pixels by so many outputs; positions count elements.

    ``f(a, p0, p1, p2, p3, table, steps, b, b_at, b_output, start, start_at, c, c0, c1, c2, c3)``: in step t,
    table[2t + 1] numbers from a[p_r + table[2t]] on are multiplied with the vector at b[b_at + k·b_output +
    t·lanes]; c[c_r + k] becomes start[start_at + k] + the sum over all. (A table, since LLVM turns nested
    loops into a dozen pointers that it keeps in memory.)
    """

    @intrinsic
    def product(
        typingctx: Any, a: Any, p0: Any, p1: Any, p2: Any, p3: Any, table: Any, steps: Any, b: Any, b_at: Any,
        b_output: Any, start: Any, start_at: Any, c: Any, c0: Any, c1: Any, c2: Any, c3: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, n, n, table, n, b, n, n, start, n, c, n, n, n, n)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _emit(context, builder, signature, args, outputs)

        return signature, codegen

    return product


def _emit(context: Any, builder: Any, signature: Any, args: Any, outputs: int) -> Any:
    a, p0, p1, p2, p3, table, steps, b, b_at, b_output, start, start_at, c, *targets = args
    kinds, bits = signature.args, bits_of(signature.args[0])
    count = ir.Constant(I64, llvm_vector(bits).count)
    pixels = [address(context, builder, kinds[0], a, place) for place in (p0, p1, p2, p3)]
    rows = [builder.add(b_at, emit_times(builder, b_output, k)) for k in range(outputs)]
    rows = [address(context, builder, kinds[7], b, row) for row in rows]
    pairs = address(context, builder, kinds[5], table, ir.Constant(I64, 0))
    sums = alloca_sums(builder, bits, PIXELS, outputs)
    for row in sums:
        for one in row:
            builder.store(constant(0, bits), one)
    with cgutils.for_range(builder, steps) as loop:
        pair = builder.gep(pairs, [emit_times(builder, loop.index, 2)])
        at = builder.load(pair)
        mask = emit_mask(builder, builder.load(builder.gep(pair, [ir.Constant(I64, 1)])), bits)
        vectors = [
            emit_load(builder, builder.gep(row, [builder.mul(loop.index, count)]), bits) for row in rows
        ]
        for pixel, row_sums in zip(pixels, sums, strict=True):
            value = emit_masked_load(builder, builder.gep(pixel, [at]), mask, bits)
            for vector, one in zip(vectors, row_sums, strict=True):
                builder.store(emit_fma(builder, value, vector, builder.load(one), bits), one)
    for target, row_sums in zip(targets, sums, strict=True):
        for k, one in enumerate(row_sums):
            begin, to = (builder.add(position, ir.Constant(I64, k)) for position in (start_at, target))
            first = builder.load(address(context, builder, kinds[10], start, begin))
            value = builder.fadd(first, emit_total(builder, builder.load(one)))
            builder.store(value, address(context, builder, kinds[12], c, to))
    return context.get_dummy_value()


_one, _two, _three = _dot_product(1), _dot_product(2), _dot_product(3)


@compiled
def few_steps(
    table: Array, a: Array, a_outer: int, outers: int, a_segment: int, segments: int, depth: int
) -> int:
    """Fill in where the vectors of a pixel's sum begin, and how many numbers each has; how many they are."""
    L, step = lanes(a), 0
    for outer in range(outers):
        for segment in range(segments):
            for d in range(0, depth, L):
                table[2 * step] = outer * a_outer + segment * a_segment + d
                table[2 * step + 1] = min(L, depth - d)
                step += 1
    return step


@compiled
def few_product(
    a: Array, a_at: int, a_row: int, table: Array, steps: int, b: Array, b_at: int, bias: Array, bias_at: int,
    y: Array, y_at: int, y_row: int, outputs: int, count: int,
) -> None:  # fmt: skip
    """y[j, k] = bias[k] + Σ_t a[j, t] · b[k, t] for ``count`` pixels j, all outputs k, and the table's steps.

    The last tile of pixels repeats the last pixel.
    """
    by_output = steps * lanes(a)
    for first in range(0, count, PIXELS):
        j1, j2, j3 = min(first + 1, count - 1), min(first + 2, count - 1), min(first + 3, count - 1)
        p0, p1, p2, p3 = a_at + first * a_row, a_at + j1 * a_row, a_at + j2 * a_row, a_at + j3 * a_row
        k = 0
        while k < outputs:
            to, at, begin, left = y_at + k, b_at + k * by_output, bias_at + k, outputs - k
            c0, c1, c2, c3 = to + first * y_row, to + j1 * y_row, to + j2 * y_row, to + j3 * y_row
            if left == 3 or left > 4:
                _three(a, p0, p1, p2, p3, table, steps, b, at, by_output, bias, begin, y, c0, c1, c2, c3)
            elif left >= 2:
                _two(a, p0, p1, p2, p3, table, steps, b, at, by_output, bias, begin, y, c0, c1, c2, c3)
            else:
                _one(a, p0, p1, p2, p3, table, steps, b, at, by_output, bias, begin, y, c0, c1, c2, c3)
            k += 3 if left == 3 or left > 4 else min(left, 2)
