"""Matrix products out of registers: the inner loop of every convolution here.

:func:`tile_product` makes a function that computes a small tile of C = A B,

    C[r, v] (+)= Σ_s Σ_d  A[r, s, d] · B[s, d, v],      r < rows, v < vectors

while the whole tile of C stays in registers: rows x vectors sums, each a vector. Every step of the depth loads
``vectors`` vectors of B, spreads ``rows`` numbers of A, and does rows·vectors multiply-adds. With 12 x 2 that is
14 loads for 24 multiply-adds; a core does two of each in a cycle, so it is the multiply-adds that it waits for,
as it should be. (12 x 2 sums need 24 of AVX-512's 32 registers; AVX2 has 16: there it is 6 x 2.)

Where the numbers of A lie is free: ``a_row``, ``a_depth`` and a further loop over *segments* ``a_segment``
apart. So the same function multiplies the transformed tiles of Winograd's method, sums over pixels for the
gradient of weights (A transposed costs nothing), and convolves directly: the pixels under a filter's row are a
segment of the image, and no column matrix is ever written (implicit im2col).
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


def tile_product(rows: int, vectors: int, unroll: int = 1) -> Any:
    """A function for compiled kernels; positions and strides count elements.

    With ``unroll`` so many steps of the depth make one turn of the loop. It pays where ``a_depth`` and ``b_depth``
    are constants of the calling code: one turn then works out the places of its rows once (+10 % at 4).

    ``f(a, a_at, a_row, a_segment, a_depth, b, b_at, b_depth, b_vector, c, c_at, c_row, c_vector, segments,
    depth, accumulate)``: element (r, s, d) of A is a[a_at + r·a_row + s·a_segment + d·a_depth], vector (s, d, v)
    of B begins at b[b_at + (s·depth + d)·b_depth + v·b_vector], vector (r, v) of C at c[c_at + r·c_row +
    v·c_vector]. With ``accumulate`` the tile is added to C.
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


def _emit(context: Any, builder: Any, signature: Any, args: Any, rows: int, vectors: int, unroll: int) -> Any:
    (a, a_at, a_row, a_segment, a_depth, b, b_at, b_depth, b_vector, c, c_at, c_row, c_vector) = args[:13]
    segments, depth, accumulate = args[13:]
    bits = bits_of(signature.args[0])

    def times(stride: Any, k: int) -> Any:
        return builder.mul(stride, ir.Constant(I64, k))

    a_start = address(context, builder, signature.args[0], a, a_at)
    b_start = address(context, builder, signature.args[5], b, b_at)
    c_start = address(context, builder, signature.args[9], c, c_at)
    a_rows = [times(a_row, r) for r in range(rows)]
    b_vectors = [times(b_vector, v) for v in range(vectors)]
    targets = [
        [builder.gep(c_start, [builder.add(times(c_row, r), times(c_vector, v))]) for v in range(vectors)]
        for r in range(rows)
    ]
    # LLVM keeps these in registers: they are only stored to and loaded from, at constant places.
    sums = [[cgutils.alloca_once(builder, llvm_vector(bits)) for _ in range(vectors)] for _ in range(rows)]
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

    def step(a_here: Any, b_here: Any, d: Any) -> None:
        a_place = builder.gep(a_here, [builder.mul(d, a_depth)])
        b_place = builder.gep(b_here, [builder.mul(d, b_depth)])
        loaded = [emit_load(builder, builder.gep(b_place, [offset]), bits) for offset in b_vectors]
        for r in range(rows):
            spread = emit_splat(builder, builder.load(builder.gep(a_place, [a_rows[r]])), bits)
            for v in range(vectors):
                total = emit_fma(builder, spread, loaded[v], builder.load(sums[r][v]), bits)
                builder.store(total, sums[r][v])

    turn = ir.Constant(I64, unroll)
    whole = builder.sdiv(depth, turn)
    done = builder.mul(whole, turn)
    with cgutils.for_range(builder, segments) as outer:
        a_here = builder.gep(a_start, [builder.mul(outer.index, a_segment)])
        b_here = builder.gep(b_start, [builder.mul(builder.mul(outer.index, depth), b_depth)])
        with cgutils.for_range(builder, whole) as inner:
            first = builder.mul(inner.index, turn)
            for u in range(unroll):
                step(a_here, b_here, builder.add(first, ir.Constant(I64, u)))
        if unroll > 1:
            with cgutils.for_range(builder, builder.sub(depth, done)) as inner:
                step(a_here, b_here, builder.add(done, inner.index))
    for r in range(rows):
        for v in range(vectors):
            emit_store(builder, builder.load(sums[r][v]), targets[r][v], bits)
    return context.get_dummy_value()
