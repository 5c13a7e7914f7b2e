"""Transforms of vectors by matrices known while compiling: Y = L X Rᵀ beside fractions, and shared sums."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from llvmlite import ir

from minidl.kernels.cpu import compiled, transforms
from minidl.kernels.cpu.cook_toom import derive, product, repeats, transpose
from minidl.kernels.cpu.transforms import emit_matrix, transform, transform_back, transform_passed
from minidl.kernels.cpu.vectors import lanes, llvm_vector

F2, F4 = derive(2, 3), derive(4, 3)
#: Entries of every kind: a row and a column of zeros, ±1, others; 3 rows of 4.
ODD = [[Fraction(v) for v in row] for row in ([0, 2, -1, 0], [0, 0, 0, 0], [Fraction(1, 3), 1, 5, 0])]
PAIRS = [(F2.BT, F2.BT), (F4.BT, F4.BT), (F4.AT, F4.AT), (F4.G, F4.G), (transpose(F4.G), ODD), (ODD, F2.AT)]

_functions = [transform(left, right) for left, right in PAIRS]
_bt2, _bt4, _at4, _g4, _gt_odd, _odd_at = _functions
_back, _passed = transform_back(F2.AT, F2.AT), transform_passed(F2.BT, F2.BT)


@compiled
def apply(which, y, at, row, column, x, x_at, x_row, x_column):
    if which == 0:
        _bt2(y, at, row, column, x, x_at, x_row, x_column)
    elif which == 1:
        _bt4(y, at, row, column, x, x_at, x_row, x_column)
    elif which == 2:
        _at4(y, at, row, column, x, x_at, x_row, x_column)
    elif which == 3:
        _g4(y, at, row, column, x, x_at, x_row, x_column)
    elif which == 4:
        _gt_odd(y, at, row, column, x, x_at, x_row, x_column)
    else:
        _odd_at(y, at, row, column, x, x_at, x_row, x_column)


@compiled
def apply_back(y, x, bias, low, seen):
    L = lanes(y)
    _back(y, 0, 2 * L, L, x, 0, 4 * L, L, bias, 0, low, seen)


@compiled
def apply_passed(y, x, z):
    L = lanes(y)
    _passed(y, 0, 4 * L, L, x, 0, 4 * L, L, z)


def exactly(left, x, right):
    """L X Rᵀ for every lane, in float64 of the fractions: these matrices and float32 numbers need no more."""
    L, R = (np.array([[float(v) for v in row] for row in matrix]) for matrix in (left, right))
    return np.einsum("ij,jkl,mk->iml", L, x.astype(np.float64), R)


def magnitude(matrix):
    return [[abs(v) for v in row] for row in matrix]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", range(len(PAIRS)))
def test_a_transform_is_its_matrices(which, dtype):
    left, right = PAIRS[which]
    rng = np.random.default_rng(which)
    L = lanes(np.zeros(1, dtype))
    inputs, outputs = (len(left[0]), len(right[0])), (len(left), len(right))
    # Any strides: vectors of the input overlap (neighbouring pixels of a picture with few channels do).
    x_at, x_row, x_column = 3, 2 * L + 1, 3
    x = rng.normal(size=x_at + inputs[0] * x_row + inputs[1] * x_column + L).astype(dtype)
    at, column, row = 5, L + 2, outputs[1] * (L + 2) + 1
    y = np.full(at + outputs[0] * row, 77, dtype)
    grid = np.array([[x[x_at + i * x_row + j * x_column :][:L] for j in range(inputs[1])]
                     for i in range(inputs[0])])  # fmt: skip
    expected, untouched = np.full(y.size, 77.0), np.ones(y.size, bool)
    sizes = exactly(magnitude(left), np.abs(grid), magnitude(right))
    bound = np.zeros(y.size)
    for i in range(outputs[0]):
        for j in range(outputs[1]):
            place = slice(at + i * row + j * column, at + i * row + j * column + L)
            expected[place], untouched[place] = exactly(left, grid, right)[i, j], False
            # Each number passes below 2·6 roundings, of sums of at most 36 terms that share pairs ±.
            bound[place] = 24 * np.finfo(dtype).eps * sizes[i, j].max()
    apply(which, y, at, row, column, x, x_at, x_row, x_column)
    assert (np.abs(y - expected) <= bound).all()
    assert (y[untouched] == 77).all()


def test_all_of_x_is_read_before_anything_is_written():
    x = np.random.default_rng(0).normal(size=16 * lanes(np.zeros(1)))
    apart, L = np.zeros_like(x), lanes(x)
    apply(0, apart, 0, 4 * L, L, x, 0, 4 * L, L)
    apply(0, x, 0, 4 * L, L, x, 0, 4 * L, L)
    np.testing.assert_array_equal(x, apart)


def multiplications_and_additions(matrix):
    """Instructions that a matrix times a column of vectors takes."""
    module = ir.Module()
    vector = llvm_vector(32)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [vector] * len(matrix[0])), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    emit_matrix(builder, matrix, function.args, 32)
    return len(builder.block.instructions)


def test_sums_that_occur_twice_are_computed_once():
    """F(4, 3)'s Bᵀ has 6 rows of 3 or 4 terms: 14 instructions with rows in pairs, 16 for each on its own."""
    alone = sum(sum(v != 0 for v in row) - (1 in row) for row in F4.BT)
    assert transforms._paired_rows(F4.BT) == [(1, 2), (3, 4)]
    assert multiplications_and_additions(F4.BT) < alone
    assert transforms._paired_columns(F4.AT) == [(1, 2), (3, 4)]
    assert transforms._paired_rows(ODD) == transforms._paired_columns(ODD) == []


def test_repetition_and_transform_in_one_matrix():
    """Bᵀ R of the small picture is Bᵀ of the doubled one."""
    small = [[Fraction(v)] for v in (3, -5, 7, 11)]
    doubled = product(repeats(6, -1), small)
    assert product(product(F4.BT, repeats(6, -1)), small) == product(F4.BT, doubled)


# --- what belongs to the ends of a convolution -------------------------------------------------------------


def back(x, bias, low):
    L = lanes(x)
    y, seen = np.zeros(4 * L, x.dtype), np.zeros(L, x.dtype)
    apply_back(y, x, bias, x.dtype.type(low), seen)
    return y.reshape(2, 2, L), seen


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [0, -np.inf])
def test_bias_and_relu_on_the_way_out(dtype, low):
    L = lanes(np.zeros(1, dtype))
    rng = np.random.default_rng(0)
    x, bias = rng.integers(-9, 9, 16 * L).astype(dtype), rng.integers(-9, 9, L).astype(dtype)
    y, seen = back(x, bias, low)
    np.testing.assert_array_equal(y, np.maximum(exactly(F2.AT, x.reshape(4, 4, L), F2.AT) + bias, low))
    assert (seen == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_results_that_are_not_finite_are_noted_in_their_lane(value):
    """-infinity, too, which a ReLU would hide."""
    L = lanes(np.zeros(1))
    x, bias = np.ones(16 * L), np.zeros(L)
    x[5 * L + 1] = value
    _, seen = back(x, bias, 0)
    assert np.isnan(seen[1]) and np.isfinite(np.delete(seen, 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cotangents_behind_a_relu(dtype):
    """0 where the output is 0; where it is NaN they pass, as in torch."""
    L = lanes(np.zeros(1, dtype))
    rng = np.random.default_rng(0)
    x, z = (
        rng.integers(-9, 9, 16 * L).astype(dtype),
        rng.choice([0.0, -0.0, 2.0, np.nan], 16 * L).astype(dtype),
    )
    x[z == 0] = np.inf  # a product with a mask would make NaN of it
    y = np.zeros(16 * L, dtype)
    apply_passed(y, x, z)
    expected = exactly(F2.BT, np.where(z <= 0, 0, x).reshape(4, 4, L), F2.BT)
    np.testing.assert_array_equal(y.reshape(4, 4, L), expected)
