"""The inner loops of depthwise convolution: no sum over channels, a multiply-add of vectors for each tap.

Made as those of ``products.py`` are: functions that emit the code of a loop whose sums stay in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.products import alloca_sums, emit_times
from minidl.kernels.cpu.vectors import (
    I64,
    address,
    bits_of,
    emit_fma,
    emit_load,
    emit_prefetch,
    emit_store,
    llvm_vector,
)


def tap_product(pixels: int) -> Any:
    """For depthwise convolution: y[r] = start + Σ_t x[r, t] · w[t], r < pixels, a vector of channels each.

    ``f(x, x_at, x_pixel, table, first, taps, w, w_at, start, start_at, y, y_at, y_pixel, ahead, y_ahead)``:
    vector (r, t) of x begins at x[x_at + r·x_pixel + table[2(first + t)]], that of w at w[w_at +
    table[2(first + t) + 1]]. (A table, since LLVM turns two nested loops into a dozen pointers that it keeps
    in memory.)

    From x[ahead] on, ``pixels`` vectors will be read soon, and from y[y_ahead] on written. They are asked for
    one by one, a tap each: asked for all at once they would hold up what is read now, since a core waits for
    a dozen lines at a time only.
    """

    @intrinsic
    def product(
        typingctx: Any, x: Any, x_at: Any, x_pixel: Any, table: Any, first: Any,
        taps: Any, w: Any, w_at: Any, start: Any, start_at: Any, y: Any,
        y_at: Any, y_pixel: Any, ahead: Any, y_ahead: Any,
    ) -> Any:  # fmt: skip
        n = types.intp

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = bits_of(x)
            lanes = llvm_vector(bits).count
            soon = address(context, builder, x, args[0], args[13])
            target = address(context, builder, y, args[10], args[14])
            last = ir.Constant(I64, pixels - 1)
            x_start = address(context, builder, x, args[0], args[1])
            w_start = address(context, builder, w, *args[6:8])
            begin = emit_load(builder, address(context, builder, start, *args[8:10]), bits)
            y_start = address(context, builder, y, *args[10:12])
            pairs = address(context, builder, table, args[3], emit_times(builder, args[4], 2))
            places = [emit_times(builder, args[2], r) for r in range(pixels)]
            sums = alloca_sums(builder, bits, 1, pixels)[0]
            for value in sums:
                builder.store(begin, value)
            with cgutils.for_range(builder, args[5]) as loop:
                pair = builder.gep(pairs, [emit_times(builder, loop.index, 2)])
                x_here = builder.gep(x_start, [builder.load(pair)])
                w_here = builder.gep(w_start, [builder.load(builder.gep(pair, [ir.Constant(I64, 1)]))])
                weight = emit_load(builder, w_here, bits)
                line = builder.select(builder.icmp_signed("<", loop.index, last), loop.index, last)
                emit_prefetch(builder, builder.gep(soon, [emit_times(builder, line, lanes)]))
                emit_prefetch(builder, builder.gep(target, [emit_times(builder, line, lanes)]), write=True)
                for place, value in zip(places, sums, strict=True):
                    pixel = emit_load(builder, builder.gep(x_here, [place]), bits)
                    builder.store(emit_fma(builder, pixel, weight, builder.load(value), bits), value)
            for r, value in enumerate(sums):
                to = builder.gep(y_start, [emit_times(builder, args[12], r)])
                emit_store(builder, builder.load(value), to, bits)
            return context.get_dummy_value()

        return types.void(x, n, n, table, n, n, w, n, start, n, y, n, n, n, n), codegen

    return product


def tap_sums(taps: int) -> Any:
    """For its weights: dw[t] += Σ_j x[j, t] · g[j], t < taps, a vector of channels each; every g is
    loaded once.

    ``f(x, x_at, x_pixel, offsets, first, g, g_at, g_pixel, count, dw, dw_at, dw_tap, x_ahead, g_ahead)``:
    vector (j, t) of x begins at x[x_at + j·x_pixel + offsets[first + t]], that of g at g[g_at + j·g_pixel],
    that of dw at dw[dw_at + t·dw_tap]. From x[x_ahead] and g[g_ahead] on, ``count`` vectors will be read
    soon; with every j one of each is asked for.
    """

    @intrinsic
    def product(
        typingctx: Any, x: Any, x_at: Any, x_pixel: Any, offsets: Any, first: Any,
        g: Any, g_at: Any, g_pixel: Any, count: Any, dw: Any, dw_at: Any,
        dw_tap: Any, x_ahead: Any, g_ahead: Any,
    ) -> Any:  # fmt: skip
        n = types.intp

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = bits_of(x)
            lanes = llvm_vector(bits).count
            soon = [
                address(context, builder, x, args[0], args[12]),
                address(context, builder, g, args[5], args[13]),
            ]
            x_start, g_start = (
                address(context, builder, x, args[0], args[1]),
                address(context, builder, g, *args[5:7]),
            )
            table = address(context, builder, offsets, *args[3:5])
            places = [builder.load(builder.gep(table, [ir.Constant(I64, t)])) for t in range(taps)]
            targets = [
                address(
                    context, builder, dw, args[9], builder.add(args[10], emit_times(builder, args[11], t))
                )
                for t in range(taps)
            ]
            sums = alloca_sums(builder, bits, 1, taps)[0]
            for value, target in zip(sums, targets, strict=True):
                builder.store(emit_load(builder, target, bits), value)
            with cgutils.for_range(builder, args[8]) as loop:
                x_here = builder.gep(x_start, [builder.mul(loop.index, args[2])])
                spread = emit_load(builder, builder.gep(g_start, [builder.mul(loop.index, args[7])]), bits)
                for line in soon:
                    emit_prefetch(builder, builder.gep(line, [emit_times(builder, loop.index, lanes)]))
                for value, place in zip(sums, places, strict=True):
                    pixel = emit_load(builder, builder.gep(x_here, [place]), bits)
                    builder.store(emit_fma(builder, pixel, spread, builder.load(value), bits), value)
            for value, target in zip(sums, targets, strict=True):
                emit_store(builder, builder.load(value), target, bits)
            return context.get_dummy_value()

        return types.void(x, n, n, offsets, n, g, n, n, n, dw, n, n, n, n), codegen

    return product
