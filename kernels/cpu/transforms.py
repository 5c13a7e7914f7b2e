"""Multiplying vectors by small matrices that are known while compiling: the transforms of Winograd's method.

:func:`transform` makes a function, for compiled kernels, that computes Y = L X Rᵀ, where each "number" of X
is a vector of channels somewhere in memory. The sums are written out: zeros cost nothing, ±1 no
multiplication, everything else one fused multiply-add. Sums that occur twice are computed once
(:func:`_paired_rows`, :func:`_paired_columns`): with points ±p the rows of Bᵀ come in pairs e + o, e - o.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.cook_toom import Matrix
from minidl.kernels.cpu.vectors import (
    I64,
    address,
    bits_of,
    constant,
    emit_fma,
    emit_load,
    emit_splat,
    emit_store,
)


def _paired_columns(matrix: Matrix) -> list[tuple[int, int]]:
    """Columns j, k whose entries are equal or opposite in every row: x_j ± x_k can stand for both."""
    pairs, used = list[tuple[int, int]](), set[int]()
    width = len(matrix[0])
    for j in range(width):
        for k in range(j + 1, width):
            if {j, k} & used:
                continue
            signs = [(row[j] == row[k], row[j] == -row[k], row[j] != 0) for row in matrix]
            both = sum(nonzero for _, _, nonzero in signs)
            equal = any(e and z for e, _, z in signs)
            opposite = any(o and z for _, o, z in signs)
            if both > 2 and equal and opposite and all(e or o for e, o, _ in signs):
                pairs.append((j, k))
                used |= {j, k}
    return pairs


def _paired_rows(matrix: Matrix) -> list[tuple[int, int]]:
    """Rows i, k with half sum and half difference that together have no more entries than one of them."""
    pairs, used = list[tuple[int, int]](), set[int]()
    for i in range(len(matrix)):
        for k in range(i + 1, len(matrix)):
            if {i, k} & used:
                continue
            even = [(a + b) / 2 for a, b in zip(matrix[i], matrix[k], strict=True)]
            odd = [(a - b) / 2 for a, b in zip(matrix[i], matrix[k], strict=True)]
            entries = sum(v != 0 for v in (*even, *odd))
            if any(even) and any(odd) and entries <= max(sum(v != 0 for v in matrix[r]) for r in (i, k)):
                pairs.append((i, k))
                used |= {i, k}
    return pairs


def _combination(builder: Any, row: Sequence[Fraction], xs: Sequence[Any], bits: int) -> Any:
    """Σ_k row[k]·xs[k], from left to right; None for a row of zeros."""
    # A leading +1 costs nothing, so it goes first.
    order = sorted((k for k, a in enumerate(row) if a != 0), key=lambda k: (row[k] != 1, k))
    result = None
    for k in order:
        a, x = row[k], xs[k]
        if result is None:
            result = x if a == 1 else builder.fmul(x, constant(float(a), bits))
        elif a == 1:
            result = builder.fadd(result, x)
        elif a == -1:
            result = builder.fsub(result, x)
        else:
            result = emit_fma(builder, x, constant(float(a), bits), result, bits)
    return result


def _factored(row: Sequence[Fraction]) -> tuple[Fraction, list[Fraction]]:
    """A row as factor·rest, where one entry of the rest is 1 and takes no multiplication, and all are exact.

    The factor takes none either: what is multiplied by it is added to something. It may be 1.

    >>> factor, rest = _factored([Fraction(5, 4), Fraction(5, 8)])
    >>> str(factor), [str(v) for v in rest]
    ('5/4', ['1', '1/2'])
    """
    for factor in (v for v in row if v != 0):
        rest = [v / factor for v in row]
        if all(v.denominator & (v.denominator - 1) == 0 for v in rest):
            return factor, rest
    return Fraction(1), list(row)


def emit_matrix(builder: Any, matrix: Matrix, xs: Sequence[Any], bits: int) -> list[Any]:
    """matrix·xs for vectors xs."""
    columns = _paired_columns(matrix)
    if columns:
        xs, matrix = list(xs), [list(row) for row in matrix]
        for j, k in columns:
            xs[j], xs[k] = builder.fadd(xs[j], xs[k]), builder.fsub(xs[j], xs[k])
            for row in matrix:
                row[j], row[k] = (row[j], Fraction(0)) if row[j] == row[k] else (Fraction(0), row[j])
    results: list[Any] = [None] * len(matrix)
    for i, k in _paired_rows(matrix):
        pairs = list(zip(matrix[i], matrix[k], strict=True))
        even = _combination(builder, [(a + b) / 2 for a, b in pairs], xs, bits)
        factor, differences = _factored([(a - b) / 2 for a, b in pairs])
        odd = _combination(builder, differences, xs, bits)
        if factor == 1:
            results[i], results[k] = builder.fadd(even, odd), builder.fsub(even, odd)
        else:
            results[i] = emit_fma(builder, odd, constant(float(factor), bits), even, bits)
            results[k] = emit_fma(builder, odd, constant(float(-factor), bits), even, bits)
    for i, row in enumerate(matrix):
        if results[i] is None:
            results[i] = _combination(builder, row, xs, bits)
    return [constant(0, bits) if r is None else r for r in results]


def emit_sandwich(
    builder: Any, left: Matrix, right: Matrix, grid: list[list[Any]], bits: int
) -> list[list[Any]]:
    """left · grid · rightᵀ for a grid of vectors, as rows."""
    columns = [emit_matrix(builder, left, [row[j] for row in grid], bits) for j in range(len(grid[0]))]
    return [emit_matrix(builder, right, [column[i] for column in columns], bits) for i in range(len(left))]


def _place(builder: Any, base: Any, i: int, row: Any, j: int, column: Any) -> Any:
    """base + i·row + j·column."""
    offset = builder.add(builder.mul(row, ir.Constant(I64, i)), builder.mul(column, ir.Constant(I64, j)))
    return builder.gep(base, [offset])


def _grid(
    builder: Any, base: Any, shape: tuple[int, int], row: Any, column: Any, bits: int
) -> list[list[Any]]:
    return [
        [emit_load(builder, _place(builder, base, i, row, j, column), bits) for j in range(shape[1])]
        for i in range(shape[0])
    ]


def transform(left: Matrix, right: Matrix) -> Any:
    """A function for compiled kernels, Y = left · X · rightᵀ on whole vectors.

    ``f(y, at, row, column, x, x_at, x_row, x_column)``: X[i, j] is the vector at x[x_at + i·x_row +
    j·x_column], Y[i, j] goes to y[at + i·row + j·column]. All of X is read before anything is written.
    """

    @intrinsic
    def apply(
        typingctx: Any, y: Any, at: Any, row: Any, column: Any, x: Any, x_at: Any, x_row: Any, x_column: Any
    ) -> Any:
        n = types.intp

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = bits_of(signature.args[0])
            y, at, row, column, x, x_at, x_row, x_column = args
            source = address(context, builder, signature.args[4], x, x_at)
            target = address(context, builder, signature.args[0], y, at)
            grid = _grid(builder, source, (len(left[0]), len(right[0])), x_row, x_column, bits)
            for i, values in enumerate(emit_sandwich(builder, left, right, grid, bits)):
                for j, value in enumerate(values):
                    emit_store(builder, value, _place(builder, target, i, row, j, column), bits)
            return context.get_dummy_value()

        return types.void(y, n, n, n, x, n, n, n), codegen

    return apply


def transform_passed(left: Matrix, right: Matrix) -> Any:
    """As :func:`transform`, of a cotangent behind a ReLU: 0 where the ReLU's output z, in the same places, is
    0.

    ``f(y, at, row, column, x, x_at, x_row, x_column, z)``. Where z is NaN the cotangent passes, as in torch.
    """

    @intrinsic
    def apply(
        typingctx: Any,
        y: Any,
        at: Any,
        row: Any,
        column: Any,
        x: Any,
        x_at: Any,
        x_row: Any,
        x_column: Any,
        z: Any,
    ) -> Any:
        n = types.intp

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = bits_of(signature.args[0])
            y, at, row, column, x, x_at, x_row, x_column, z = args
            target = address(context, builder, signature.args[0], y, at)
            shape = (len(left[0]), len(right[0]))
            source = address(context, builder, signature.args[4], x, x_at)
            outputs = address(context, builder, signature.args[8], z, x_at)
            grid = _grid(builder, source, shape, x_row, x_column, bits)
            passed = _grid(builder, outputs, shape, x_row, x_column, bits)
            zero = constant(0, bits)
            grid = [
                [
                    builder.select(builder.fcmp_ordered("<=", p, zero), zero, v)
                    for v, p in zip(*rows, strict=True)
                ]
                for rows in zip(grid, passed, strict=True)
            ]
            for i, values in enumerate(emit_sandwich(builder, left, right, grid, bits)):
                for j, value in enumerate(values):
                    emit_store(builder, value, _place(builder, target, i, row, j, column), bits)
            return context.get_dummy_value()

        return types.void(y, n, n, n, x, n, n, n, z), codegen

    return apply


def transform_back(left: Matrix, right: Matrix) -> Any:
    """As :func:`transform`, and what belongs to the end of a convolution: bias, ReLU, and a look for NaN.

    ``f(y, at, row, column, x, x_at, x_row, x_column, bias, bias_at, low, seen)``: every result gets the bias
    and is raised to ``low`` (0 for a ReLU, -infinity for none). 0·result is added to the vector ``seen``,
    which is NaN from then on if a result was not finite.
    """

    @intrinsic
    def apply(
        typingctx: Any,
        y: Any,
        at: Any,
        row: Any,
        column: Any,
        x: Any,
        x_at: Any,
        x_row: Any,
        x_column: Any,
        bias: Any,
        bias_at: Any,
        low: Any,
        seen: Any,
    ) -> Any:
        n = types.intp

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = bits_of(signature.args[0])
            y, at, row, column, x, x_at, x_row, x_column, bias, bias_at, low, seen = args
            source = address(context, builder, signature.args[4], x, x_at)
            target = address(context, builder, signature.args[0], y, at)
            plus = emit_load(builder, address(context, builder, signature.args[8], bias, bias_at), bits)
            notes = address(context, builder, signature.args[11], seen, ir.Constant(I64, 0))
            least, zero = emit_splat(builder, low, bits), constant(0, bits)
            grid = _grid(builder, source, (len(left[0]), len(right[0])), x_row, x_column, bits)
            nan = emit_load(builder, notes, bits)
            for i, values in enumerate(emit_sandwich(builder, left, right, grid, bits)):
                for j, value in enumerate(values):
                    value = builder.fadd(value, plus)
                    nan = emit_fma(builder, value, zero, nan, bits)
                    value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
                    emit_store(builder, value, _place(builder, target, i, row, j, column), bits)
            emit_store(builder, nan, notes, bits)
            return context.get_dummy_value()

        return types.void(y, n, n, n, x, n, n, n, bias, n, bias.dtype, seen), codegen

    return apply
