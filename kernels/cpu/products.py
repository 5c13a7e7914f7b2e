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


def emit_times(builder: Any, stride: Any, k: int) -> Any:
    """``stride``·k, for a k that is known while compiling."""
    return builder.mul(stride, ir.Constant(I64, k))


def alloca_sums(builder: Any, bits: int, rows: int, vectors: int) -> list[list[Any]]:
    """Places for rows x vectors sums: LLVM keeps them in registers, since all of them are known by name."""
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
    a_rows = [emit_times(builder, a_row, r) for r in range(rows)]
    places = [ir.Constant(I64, v * lanes) for v in range(vectors)]
    sums = alloca_sums(builder, bits, rows, vectors)
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
            place = builder.gep(c_start, [builder.add(emit_times(builder, c_row, r), places[v])])
            emit_store(builder, builder.load(sums[r][v]), place, bits)
    return context.get_dummy_value()


def _emit(context: Any, builder: Any, signature: Any, args: Any, rows: int, vectors: int, unroll: int) -> Any:
    (a, a_at, a_row, a_segment, a_depth, b, b_at, b_depth, b_vector, c, c_at, c_row, c_vector) = args[:13]
    segments, depth, accumulate = args[13:]
    bits = bits_of(signature.args[0])

    a_start = address(context, builder, signature.args[0], a, a_at)
    b_start = address(context, builder, signature.args[5], b, b_at)
    c_start = address(context, builder, signature.args[9], c, c_at)
    a_rows = [emit_times(builder, a_row, r) for r in range(rows)]
    b_vectors = [emit_times(builder, b_vector, v) for v in range(vectors)]
    targets = [
        [
            builder.gep(
                c_start, [builder.add(emit_times(builder, c_row, r), emit_times(builder, c_vector, v))]
            )
            for v in range(vectors)
        ]
        for r in range(rows)
    ]
    sums = alloca_sums(builder, bits, rows, vectors)
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
