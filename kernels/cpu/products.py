"""Matrix products out of registers: the inner loop of every convolution here.

:func:`tile_product` makes a function that computes a small tile of C = A B,

    C[r, v] (+)= Σ_s Σ_d  A[r, s, d] · B[s, d, v],      r < rows, v < vectors

while the whole tile of C stays in registers: rows x vectors sums, each a vector. Every step of the depth
loads ``vectors`` vectors of B, spreads ``rows`` numbers of A, and does rows·vectors multiply-adds. With 12 x
2 that is 14 loads for 24 multiply-adds; a core does two of each in a cycle, so it is the multiply-adds that
it waits for, as it should be. (12 x 2 sums need 24 of AVX-512's 32 registers; AVX2 has 16: there it is 6
x 2.)

Where the numbers of A lie is free: ``a_row``, ``a_depth`` and a further loop over *segments* ``a_segment``
apart. So the same function multiplies the transformed tiles of Winograd's method, sums over pixels for the
gradient of weights (A transposed costs nothing), and convolves directly: the pixels under a filter's row
are a segment of the image, and no column matrix is ever written (implicit im2col).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.vectors import (
    I64,
    REGISTERS,
    address,
    bits_of,
    constant,
    emit_fma,
    emit_load,
    emit_prefetch,
    emit_splat,
    emit_store,
    llvm_vector,
)

#: A tile of sums: so many rows of VECTORS vectors each.
ROWS, VECTORS = (12, 2) if REGISTERS == 32 else (6, 2)
#: Vectors of the widest tile, of 6 rows. 6 x 4 loads 10 for 24 multiply-adds and needs few addresses.
WIDE = 4 if REGISTERS == 32 else 2


def tile_product(rows: int, vectors: int, unroll: int = 1) -> Any:
    """A function for compiled kernels; positions and strides count elements.

    With ``unroll`` so many steps of the depth make one turn of the loop. It pays where ``a_depth`` and
    ``b_depth`` are constants of the calling code: one turn then works out the places of its rows once
    (+10 % at 4).

    ``f(a, a_at, a_row, a_segment, a_depth, b, b_at, b_depth, b_vector, c, c_at, c_row, c_vector, segments,
    depth, accumulate)``: element (r, s, d) of A is a[a_at + r·a_row + s·a_segment + d·a_depth], vector
    (s, d, v) of B begins at b[b_at + (s·depth + d)·b_depth + v·b_vector], vector (r, v) of C at c[c_at +
    r·c_row + v·c_vector]. With ``accumulate`` the tile is added to C.
    """

    @intrinsic
    def product(
        typingctx: Any,
        a: Any,
        a_at: Any,
        a_row: Any,
        a_segment: Any,
        a_depth: Any,
        b: Any,
        b_at: Any,
        b_depth: Any,
        b_vector: Any,
        c: Any,
        c_at: Any,
        c_row: Any,
        c_vector: Any,
        segments: Any,
        depth: Any,
        accumulate: Any,
    ) -> Any:
        n = types.intp
        signature = types.void(a, n, n, n, n, b, n, n, n, c, n, n, n, n, n, types.boolean)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _emit(context, builder, signature, args, rows, vectors, unroll)

        return signature, codegen

    return product


def packed_product(rows: int, vectors: int, unroll: int = 4) -> Any:
    """The same for packed B and neighbouring numbers of A, which is what a convolution of pixels has.

    ``f(a, a_at, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, start, start_at, c, c_at,
    c_row)``:

        C[r, v] = start[v] + Σ_o Σ_s Σ_d  A[r, o, s, d] · B[o, s, d, v]

    Element (r, o, s, d) of A is a[a_at + r·a_row + o·a_outer + s·a_segment + d]; vectors of B, of
    ``start`` (a bias) and of a row of C lie side by side. So most strides are constants, and the sums
    never visit memory.
    """

    @intrinsic
    def product(
        typingctx: Any,
        a: Any,
        a_at: Any,
        a_row: Any,
        a_outer: Any,
        outers: Any,
        a_segment: Any,
        segments: Any,
        depth: Any,
        b: Any,
        b_at: Any,
        start: Any,
        start_at: Any,
        c: Any,
        c_at: Any,
        c_row: Any,
    ) -> Any:
        n = types.intp
        signature = types.void(a, n, n, n, n, n, n, n, b, n, start, n, c, n, n)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _emit_packed(context, builder, signature, args, rows, vectors, unroll)

        return signature, codegen

    return product


def _times(builder: Any, stride: Any, k: int) -> Any:
    return builder.mul(stride, ir.Constant(I64, k))


def _alloca_sums(builder: Any, bits: int, rows: int, vectors: int) -> list[list[Any]]:
    # LLVM keeps these in registers: they are only stored to and loaded from, at constant places.
    return [[cgutils.alloca_once(builder, llvm_vector(bits)) for _ in range(vectors)] for _ in range(rows)]


def _step(
    builder: Any, a_place: Any, a_rows: Any, b_place: Any, b_vectors: Any, sums: Any, bits: int
) -> None:
    """One step of the depth: sums[r][v] += a[r] · b[v]."""
    loaded = [emit_load(builder, builder.gep(b_place, [offset]), bits) for offset in b_vectors]
    for r, offset in enumerate(a_rows):
        spread = emit_splat(builder, builder.load(builder.gep(a_place, [offset])), bits)
        for v, vector in enumerate(loaded):
            builder.store(emit_fma(builder, spread, vector, builder.load(sums[r][v]), bits), sums[r][v])


def _steps(builder: Any, depth: Any, unroll: int, step: Any) -> None:
    """``step(d)`` for all of the depth, ``unroll`` of them in one turn of the loop."""
    turn = ir.Constant(I64, unroll)
    whole = builder.sdiv(depth, turn)
    done = builder.mul(whole, turn)
    with cgutils.for_range(builder, whole) as inner:
        first = builder.mul(inner.index, turn)
        for u in range(unroll):
            step(builder.add(first, ir.Constant(I64, u)))
    if unroll > 1:
        with cgutils.for_range(builder, builder.sub(depth, done)) as inner:
            step(builder.add(done, inner.index))


def _emit_packed(
    context: Any, builder: Any, signature: Any, args: Any, rows: int, vectors: int, unroll: int
) -> Any:
    a, a_at, a_row, a_outer, outers, a_segment, segments, depth, b, b_at, start, start_at, c, c_at, c_row = (
        args
    )
    bits = bits_of(signature.args[0])
    lanes = llvm_vector(bits).count
    a_start = address(context, builder, signature.args[0], a, a_at)
    b_start = address(context, builder, signature.args[8], b, b_at)
    first = address(context, builder, signature.args[10], start, start_at)
    c_start = address(context, builder, signature.args[12], c, c_at)
    a_rows = [_times(builder, a_row, r) for r in range(rows)]
    places = [ir.Constant(I64, v * lanes) for v in range(vectors)]
    sums = _alloca_sums(builder, bits, rows, vectors)
    for v in range(vectors):
        value = emit_load(builder, builder.gep(first, [places[v]]), bits)
        for r in range(rows):
            builder.store(value, sums[r][v])
    b_depth = ir.Constant(I64, vectors * lanes)
    b_segment = builder.mul(depth, b_depth)
    b_outer = builder.mul(segments, b_segment)
    with cgutils.for_range(builder, outers) as outer:
        a_outside = builder.gep(a_start, [builder.mul(outer.index, a_outer)])
        b_outside = builder.gep(b_start, [builder.mul(outer.index, b_outer)])
        with cgutils.for_range(builder, segments) as middle:
            a_here = builder.gep(a_outside, [builder.mul(middle.index, a_segment)])
            b_here = builder.gep(b_outside, [builder.mul(middle.index, b_segment)])

            def step(d: Any, a_here: Any = a_here, b_here: Any = b_here) -> None:
                b_place = builder.gep(b_here, [builder.mul(d, b_depth)])
                _step(builder, builder.gep(a_here, [d]), a_rows, b_place, places, sums, bits)

            _steps(builder, depth, unroll, step)
    for r in range(rows):
        for v in range(vectors):
            place = builder.gep(c_start, [builder.add(_times(builder, c_row, r), places[v])])
            emit_store(builder, builder.load(sums[r][v]), place, bits)
    return context.get_dummy_value()


def _emit(context: Any, builder: Any, signature: Any, args: Any, rows: int, vectors: int, unroll: int) -> Any:
    (a, a_at, a_row, a_segment, a_depth, b, b_at, b_depth, b_vector, c, c_at, c_row, c_vector) = args[:13]
    segments, depth, accumulate = args[13:]
    bits = bits_of(signature.args[0])

    a_start = address(context, builder, signature.args[0], a, a_at)
    b_start = address(context, builder, signature.args[5], b, b_at)
    c_start = address(context, builder, signature.args[9], c, c_at)
    a_rows = [_times(builder, a_row, r) for r in range(rows)]
    b_vectors = [_times(builder, b_vector, v) for v in range(vectors)]
    targets = [
        [
            builder.gep(c_start, [builder.add(_times(builder, c_row, r), _times(builder, c_vector, v))])
            for v in range(vectors)
        ]
        for r in range(rows)
    ]
    sums = _alloca_sums(builder, bits, rows, vectors)
    before = builder.select(accumulate, ir.Constant(ir.IntType(1), 1), ir.Constant(ir.IntType(1), 0))
    with builder.if_else(before) as (then, otherwise):
        with then:
            for r in range(rows):
                for v in range(vectors):
                    builder.store(emit_load(builder, targets[r][v], bits), sums[r][v])
        with otherwise:
            for r in range(rows):
                for v in range(vectors):
                    builder.store(constant(0, bits), sums[r][v])
    with cgutils.for_range(builder, segments) as outer:
        a_here = builder.gep(a_start, [builder.mul(outer.index, a_segment)])
        b_here = builder.gep(b_start, [builder.mul(builder.mul(outer.index, depth), b_depth)])

        def step(d: Any) -> None:
            a_place = builder.gep(a_here, [builder.mul(d, a_depth)])
            b_place = builder.gep(b_here, [builder.mul(d, b_depth)])
            _step(builder, a_place, a_rows, b_place, b_vectors, sums, bits)

        _steps(builder, depth, unroll, step)
    for r in range(rows):
        for v in range(vectors):
            emit_store(builder, builder.load(sums[r][v]), targets[r][v], bits)
    return context.get_dummy_value()


def tap_product(pixels: int) -> Any:
    """For depthwise convolution: y[r] = start + Σ_t x[r, t] · w[t], r < pixels, a vector of channels each.

    ``f(x, x_at, x_pixel, table, first, taps, w, w_at, start, start_at, y, y_at, y_pixel, ahead, y_ahead)``:
    vector (r, t) of x begins at x[x_at + r·x_pixel + table[2(first + t)]], that of w at w[w_at + table[2(first +
    t) + 1]]. (A table, since LLVM turns two nested loops into a dozen pointers that it keeps in memory.)

    From x[ahead] on, ``pixels`` vectors will be read soon, and from y[y_ahead] on written. They are asked for
    one by one, a tap each: asked for all at once they would hold up what is read now, since a core waits for
    a dozen lines at a time only.
    """

    @intrinsic
    def product(
        typingctx: Any,
        x: Any,
        x_at: Any,
        x_pixel: Any,
        table: Any,
        first: Any,
        taps: Any,
        w: Any,
        w_at: Any,
        start: Any,
        start_at: Any,
        y: Any,
        y_at: Any,
        y_pixel: Any,
        ahead: Any,
        y_ahead: Any,
    ) -> Any:
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
            pairs = address(context, builder, table, args[3], _times(builder, args[4], 2))
            places = [_times(builder, args[2], r) for r in range(pixels)]
            sums = _alloca_sums(builder, bits, 1, pixels)[0]
            for value in sums:
                builder.store(begin, value)
            with cgutils.for_range(builder, args[5]) as loop:
                pair = builder.gep(pairs, [_times(builder, loop.index, 2)])
                x_here = builder.gep(x_start, [builder.load(pair)])
                w_here = builder.gep(w_start, [builder.load(builder.gep(pair, [ir.Constant(I64, 1)]))])
                weight = emit_load(builder, w_here, bits)
                line = builder.select(builder.icmp_signed("<", loop.index, last), loop.index, last)
                emit_prefetch(builder, builder.gep(soon, [_times(builder, line, lanes)]))
                emit_prefetch(builder, builder.gep(target, [_times(builder, line, lanes)]), write=True)
                for place, value in zip(places, sums, strict=True):
                    pixel = emit_load(builder, builder.gep(x_here, [place]), bits)
                    builder.store(emit_fma(builder, pixel, weight, builder.load(value), bits), value)
            for r, value in enumerate(sums):
                to = builder.gep(y_start, [_times(builder, args[12], r)])
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
        typingctx: Any,
        x: Any,
        x_at: Any,
        x_pixel: Any,
        offsets: Any,
        first: Any,
        g: Any,
        g_at: Any,
        g_pixel: Any,
        count: Any,
        dw: Any,
        dw_at: Any,
        dw_tap: Any,
        x_ahead: Any,
        g_ahead: Any,
    ) -> Any:
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
                address(context, builder, dw, args[9], builder.add(args[10], _times(builder, args[11], t)))
                for t in range(taps)
            ]
            sums = _alloca_sums(builder, bits, 1, taps)[0]
            for value, target in zip(sums, targets, strict=True):
                builder.store(emit_load(builder, target, bits), value)
            with cgutils.for_range(builder, args[8]) as loop:
                x_here = builder.gep(x_start, [builder.mul(loop.index, args[2])])
                spread = emit_load(builder, builder.gep(g_start, [builder.mul(loop.index, args[7])]), bits)
                for line in soon:
                    emit_prefetch(builder, builder.gep(line, [_times(builder, loop.index, lanes)]))
                for value, place in zip(sums, places, strict=True):
                    pixel = emit_load(builder, builder.gep(x_here, [place]), bits)
                    builder.store(emit_fma(builder, pixel, spread, builder.load(value), bits), value)
            for value, target in zip(sums, targets, strict=True):
                emit_store(builder, builder.load(value), target, bits)
            return context.get_dummy_value()

        return types.void(x, n, n, offsets, n, g, n, n, n, dw, n, n, n, n), codegen

    return product
