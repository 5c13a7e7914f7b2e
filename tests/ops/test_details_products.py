"""What mutants of matmul, linear and einsum showed to be unchecked."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import placed
from oracles.checks import run

matmul = importlib.import_module("minidl.ops.matmul")  # minidl.ops.matmul is the function

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
B = np.array([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]])

PRODUCTS = {
    "matmul": ops.matmul,
    "linear": lambda a, b: ops.linear(a, b.mT),
    "einsum": lambda a, b: ops.einsum("ij,jk->ik", a, b),
}


@pytest.mark.parametrize("wanted", [0, 1])
@pytest.mark.parametrize("name", PRODUCTS)
def test_only_the_factor_that_wants_it_gets_a_gradient(name, wanted):
    # With a cotangent of ones dA[m, k] is a row sum of B, dB[k, n] a column sum of A.
    a, b = (minidl.tensor(x, requires_grad=i == wanted) for i, x in enumerate((A, B)))
    PRODUCTS[name](a, b).sum().backward()
    expected = (np.array([[0.0, 2.5, 3.0]] * 2), np.array([[5.0] * 2, [7.0] * 2, [9.0] * 2]))[wanted]
    np.testing.assert_array_equal((a, b)[wanted].grad.numpy(), expected)
    assert (a, b)[1 - wanted].grad is None


@pytest.mark.parametrize("wanted", range(3))
def test_only_the_part_of_linear_that_wants_it_gets_a_gradient(wanted):
    parts = A, B.T.copy(), np.zeros(2)
    tensors = [minidl.tensor(p, requires_grad=i == wanted) for i, p in enumerate(parts)]
    ops.linear(*tensors).backward(minidl.tensor([[1.0, 0.0], [0.0, 10.0]]))
    expected = [[[1.0, 2.0, 0.0], [-10.0, 5.0, 30.0]], [[1.0, 2.0, 3.0], [40.0, 50.0, 60.0]], [1.0, 10.0]]
    assert tensors[wanted].grad.tolist() == expected[wanted]
    assert [t.grad is None for t in tensors] == [i != wanted for i in range(3)]


def test_a_vector_on_either_side_of_matrices():
    # y (3) and W (2, 3, 2): every matrix is multiplied from the left, or from the right.
    y, w = np.array([1.0, 10.0, 100.0]), np.arange(12.0).reshape(2, 3, 2)
    left = ops.matmul(minidl.tensor(y), minidl.tensor(w))
    assert left.tolist() == [[420.0, 531.0], [1086.0, 1197.0]]
    right = ops.matmul(minidl.tensor(w).mT, minidl.tensor(y))
    assert right.tolist() == left.tolist()
    g = np.array([[1.0, 0.0], [0.0, 2.0]])
    _, (dy, dw) = run(ops.matmul, (y, w), g)
    np.testing.assert_array_equal(dy, w[0, :, 0] + 2 * w[1, :, 1])
    np.testing.assert_array_equal(dw, np.stack([np.outer(y, row) for row in g]))
    _, (dw, dy) = run(ops.matmul, (w.swapaxes(1, 2), y), g)
    np.testing.assert_array_equal(dy, w[0, :, 0] + 2 * w[1, :, 1])
    np.testing.assert_array_equal(dw, np.stack([np.outer(row, y) for row in g]))
    # Two leading extents: as many vectors as matrices.
    w, g = np.arange(36.0).reshape(3, 2, 3, 2), np.arange(12.0).reshape(3, 2, 2)
    _, (dy, dw) = run(ops.matmul, (y, w), g)
    np.testing.assert_array_equal(dw, np.stack([[np.outer(y, row) for row in rows] for rows in g]))
    np.testing.assert_array_equal(dy, sum(w[i, j] @ g[i, j] for i in range(3) for j in range(2)))


def test_the_inner_product_of_two_vectors():
    z, (dx, dy) = run(ops.matmul, (np.array([1.0, 2.0]), np.array([3.0, 4.0])), np.array(10.0))
    assert z == 11.0 and dx.tolist() == [30.0, 40.0] and dy.tolist() == [10.0, 20.0]


READABLE = {
    "C": lambda a: a,
    "transposed": lambda a: a.T,
    "batches": lambda a: a.reshape(2, 3, 10),
    "gaps between rows": lambda a: a[:, :5],
    "gaps between columns": lambda a: a[:, :5].T,
    "a vector": lambda a: a[0],
}
UNREADABLE = {
    "reversed rows": lambda a: a[::-1],
    "reversed columns": lambda a: a[:, ::-1],
    "gaps in both directions": lambda a: a[::2, ::2],
    "gaps in both directions, transposed": lambda a: a[::2, ::2].T,
    "one row for all": lambda a: np.broadcast_to(a[:1], a.shape),
    "one column for all": lambda a: np.broadcast_to(a[:1], a.shape).T,
    "rows that overlap": lambda a: np.lib.stride_tricks.sliding_window_view(a[0], 6)[::3],
    "columns that overlap": lambda a: np.lib.stride_tricks.sliding_window_view(a[0], 6)[::3].T,
    "a vector backwards": lambda a: a[0, ::-1],
    "a vector with gaps": lambda a: a[0, ::2],
}


@pytest.mark.parametrize("order", [*READABLE, *UNREADABLE])
def test_factors_are_copied_where_blas_cannot_read_them_and_only_there(order):
    """Memory for a copy of a large factor, or in some versions of NumPy one rounding after the other."""
    x = {**READABLE, **UNREADABLE}[order](np.arange(60.0).reshape(6, 10))
    read = matmul._for_blas(x)
    np.testing.assert_array_equal(read, x)
    assert np.shares_memory(read, x) == (order in READABLE)


def test_arrays_are_factors_too():
    expected = [[5.0, 9.0], [14.0, 16.5]]
    a, b = placed.array(A), placed.array(B)
    assert ops.matmul(a, minidl.tensor(B)).tolist() == (minidl.tensor(A) @ b).tolist() == expected
    assert ops.einsum("ij,jk->ik", a, minidl.tensor(B)).tolist() == expected


def counted(fn, *shapes):
    """What is counted for one product of ones."""
    seen = []
    with minidl.autograd.watch(lambda f, *done: seen.append((f.operation(), f.flops(*done[:2], **done[2])))):
        fn(*(minidl.tensor(np.ones(s)) for s in shapes))
    return seen


def test_counted_operations_are_a_product_and_a_sum_for_each_term():
    assert counted(ops.matmul, (2, 3, 4), (4, 5)) == [("matmul", 2 * 2 * 3 * 5 * 4)]
    assert counted(ops.matmul, (7,), (7,)) == [("matmul", 2 * 7)]
    assert counted(ops.matmul, (3, 4), (4,)) == [("matmul", 2 * 3 * 4)]
    assert counted(ops.linear, (2, 3, 4), (5, 4), (5,)) == [("linear", 2 * 2 * 3 * 5 * 4)]
    assert counted(ops.linear, (4,), (5, 4)) == [("linear", 2 * 5 * 4)]
    seen = counted(lambda *t: ops.einsum("ij,jk,jl->il", *t), (2, 3), (3, 4), (3, 5))
    # k is summed before, without a product; so the first pair is "ij,j" and the second "ij,jl".
    assert seen == [("sum", 0), ("einsum", 2 * 2 * 3 + 2 * 2 * 3 * 5)]
    # j stays beyond the first pair, since the third operand has it too; it is gone after that.
    ((_, flops),) = counted(lambda *t: ops.einsum("ij,jk,jk,kl->il", *t), (2, 3), (3, 4), (3, 4), (4, 5))
    assert flops == 2 * 2 * 3 * 4 + 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5


def test_labels_that_a_later_operand_needs_are_not_summed_early():
    a, b, c = (np.random.default_rng(i).integers(0, 9, s) for i, s in enumerate([(2, 3), (3, 4), (3, 4)]))
    y = ops.einsum("ij,jk,jk->i", *(minidl.tensor(x) for x in (a, b, c)))
    expected = [sum(a[i, j] * b[j, k] * c[j, k] for j in range(3) for k in range(4)) for i in range(2)]
    assert y.tolist() == expected


def test_einsum_of_one_operand():
    bools = minidl.tensor([[True, False, True], [False, True, True]])
    assert ops.einsum("ij->ji", bools).tolist() == [[True, False], [False, True], [True, True]]
    assert (
        ops.einsum("ij->ji", [minidl.tensor(A)]).tolist() == ops.einsum("ji", (A,)).tolist() == A.T.tolist()
    )
    cube = minidl.tensor(np.arange(27.0).reshape(3, 3, 3))
    assert ops.einsum("iii->i", cube).tolist() == [0.0, 13.0, 26.0] and ops.einsum("iii", cube).item() == 39.0
    assert ops.einsum("iji->j", cube).tolist() == [30.0, 39.0, 48.0]
    assert ops.einsum("->", minidl.tensor(3.0)).item() == ops.einsum("...", minidl.tensor(3.0)).item() == 3.0


def test_einsum_stretches_extents_of_one_wherever_they_stand():
    one, three = np.array([[2.0], [3.0]]), np.array([1.0, 10.0, 100.0])
    for arrays, equation in [((one, three), "ij,j->ij"), ((three, one), "j,ij->ij")]:
        y = ops.einsum(equation, *(minidl.tensor(a) for a in arrays))
        assert y.tolist() == [[2.0, 20.0, 200.0], [3.0, 30.0, 300.0]]


def test_einsum_has_letters_for_every_axis_behind_the_dots():
    """There are 52; NumPy's arrays can have more axes than that."""
    assert ops.einsum("...->...", minidl.tensor(np.ones((1,) * 52))).ndim == 52
    with pytest.raises(ValueError, match=r"^einsum: '\.\.\.' "):
        ops.einsum("...->...", minidl.tensor(np.ones((1,) * 53)))


def zeros(*shape, dtype=np.float64):
    return minidl.tensor(np.zeros(shape, dtype))


BAD = {
    "matmul a number, left": (lambda: ops.matmul(zeros(), zeros(3)), ValueError, "() and (3,)"),
    "matmul a number, right": (lambda: ops.matmul(zeros(3), zeros()), ValueError, "(3,) and ()"),
    "matmul matrices": (lambda: ops.matmul(zeros(2, 3), zeros(2, 3)), ValueError, "(2, 3) and (2, 3)"),
    "matmul matrix, vector": (lambda: ops.matmul(zeros(2, 3), zeros(2)), ValueError, "inner extents"),
    "matmul vector, matrices": (lambda: ops.matmul(zeros(4), zeros(4, 3, 2)), ValueError, "inner extents"),
    "matmul leading": (lambda: ops.matmul(zeros(2, 1, 4), zeros(3, 4, 1)), ValueError, "leading extents"),
    "matmul dtypes": (
        lambda: ops.matmul(zeros(2), zeros(2, dtype=np.int64)),
        TypeError,
        "float64 and int64",
    ),
    "matmul bools": (lambda: ops.matmul(zeros(2, dtype=bool), zeros(2, dtype=bool)), TypeError, "bool"),
    "linear number": (lambda: ops.linear(zeros(), zeros(2, 3)), ValueError, "shape ()"),
    "linear vector of weights": (lambda: ops.linear(zeros(2, 3), zeros(3)), ValueError, "(3,)"),
    "linear many weights": (lambda: ops.linear(zeros(2, 3), zeros(5, 3, 3)), ValueError, "(5, 3, 3)"),
    "linear transposed": (lambda: ops.linear(zeros(4, 3), zeros(3, 4)), ValueError, "(4, 3)"),
    "linear bias": (lambda: ops.linear(zeros(2, 3), zeros(4, 3), zeros(1)), ValueError, "(4,), got (1,)"),
    "linear matrix of biases": (
        lambda: ops.linear(zeros(2, 3), zeros(4, 3), zeros(4, 3)),
        ValueError,
        "(4,), got (4, 3)",
    ),
    "linear input dtype": (
        lambda: ops.linear(zeros(2, 3, dtype=np.float32), zeros(4, 3)),
        TypeError,
        "input is float32, but the weight float64",
    ),
    "linear bias dtype": (
        lambda: ops.linear(zeros(2, 3), zeros(4, 3), zeros(4, dtype=np.float32)),
        TypeError,
        "bias is float32",
    ),
    "einsum dtypes of three": (
        lambda: ops.einsum("i,i,i", zeros(2), zeros(2), zeros(2, dtype=np.int64)),
        TypeError,
        "float64, float64, int64",
    ),
    "einsum extents after one": (
        lambda: ops.einsum("i,i,i->i", zeros(1), zeros(2), zeros(3)),
        ValueError,
        "extents 2 and 3",
    ),
    "einsum one label too many": (lambda: ops.einsum("...ijk", zeros(2, 2)), ValueError, "(2, 2)"),
    "einsum dots only in the result": (lambda: ops.einsum("ij->...", zeros(2, 2)[0]), ValueError, "(2,)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_products_are_named(name):
    fn, kind, named = BAD[name]
    with pytest.raises(kind) as caught:
        fn()
    assert str(caught.value).startswith(f"{name.split()[0]}: ") and named in str(caught.value)
